"""Replays the Numenta Anomaly Benchmark over the real service, and counts what people would be told.

    python -m benchmarks.nab_live --data DIR

All series are sources that begin at the same time. Kafka, a worker with the default detector and the default policy,
and `tocsin notify` with its default settings for incidents take their events in the order of their times. Then the
same events go to a worker without a policy: an alert begins with each event at the same p-value, ends with the next
above it, and is told by itself. Recordings end, so silence raises no alert.
"""

from __future__ import annotations

import argparse
import csv
import heapq
import json
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import msgspec

from alerts.alert import Alert, State
from alerts.incident import Incident
from alerts.policy import Policy, Thresholds
from benchmarks.service import Hook, notifying, until, values_of
from tocsin.bench.fleet import Fleet, fleet
from tocsin.bench.stream import fill
from tocsin.broker import EmbeddedKafka
from tocsin.evaluation.nab_scorer import windows_of

PARTITIONS = 2
START = 1_700_000_000.0
DAY = 86_400.0
NONE = Policy(default=Thresholds(clear_p=Thresholds().fire_p, resolve_after_events=1))
"""An event is an alert while it is improbable, and nothing else counts."""


class Reading(NamedTuple):
    """One row of a series, moved in time."""

    at: float
    source: str
    value: float


@dataclass(frozen=True, slots=True)
class Series:
    """A recording as a source.

    Parameters
    ----------
    source
        Its name.
    readings
        In the order of time.
    windows
        First and last time of what people have labelled as anomalous.

    """

    source: str
    readings: list[Reading]
    windows: list[tuple[float, float]]

    @property
    def days(self) -> float:
        """How long it lasts."""
        return (self.readings[-1].at - self.readings[0].at) / DAY


class Told(NamedTuple):
    """Something that people are told: which source it names first, since when, and its other sources."""

    at: float
    sources: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Counted:
    """What is told, beside what people have labelled.

    Parameters
    ----------
    told
        How often.
    a_day
        Of them, per day and source.
    true
        Share of them that begin within a window of one of their sources.
    found
        Share of the windows in which at least one begins.

    """

    told: int
    a_day: float
    true: float
    found: float

    def __str__(self) -> str:
        return f"{self.told:>6,}   {self.a_day:>6.3f}   {self.true:>5.1%}   {self.found:>5.1%}"


def read(data: Path) -> list[Series]:
    """Read all series, moved so that they begin together."""
    series = []
    for file, windows in sorted(windows_of(data).items()):
        source = file.removesuffix(".csv")
        with (data / "data" / file).open() as lines:
            rows = [(_seconds(row["timestamp"]), float(row["value"])) for row in csv.DictReader(lines)]
        moved = START - rows[0][0]
        times = [at + moved for at, _ in rows]
        readings = sorted(Reading(at, source, value) for at, (_, value) in zip(times, rows, strict=True))
        series.append(Series(source, readings, [(times[first], times[last]) for first, last in windows]))
    return series


def _seconds(timestamp: str) -> float:
    return datetime.fromisoformat(timestamp).replace(tzinfo=UTC).timestamp()


def live(broker: EmbeddedKafka, series: list[Series], policy: Policy, *, incidents: bool) -> tuple[list[Told], ...]:
    """Send all events, and return what alerts there were and what incidents.

    Parameters
    ----------
    broker
        A running Kafka.
    series
        The sources.
    policy
        The worker's.
    incidents
        Whether `tocsin notify` makes incidents of the alerts.

    """
    settings = {"TOCSIN_TELEMETRY__POLICY": policy.model_dump_json()}
    name = "nab-incidents" if incidents else "nab-alerts"
    with fleet(broker, name, PARTITIONS, **settings) as worker, Hook() as hook:
        with notifying(worker, hook, {}, wanted=incidents):
            worker.start()
            events = list(_events(series))
            fill(worker.kafka, PARTITIONS, events)
            until(lambda: _scored(worker) >= len(events), f"{len(events):,} events are scored", 1.0)
            if incidents:
                time.sleep(5.0)  # all is on its topics once a transaction of theirs has ended
        alerts = [Alert.model_validate_json(one) for one in values_of(worker, "alerts", PARTITIONS)]
        values = [Incident.model_validate_json(one) for one in values_of(worker, "incidents", PARTITIONS)]
    return _fired(alerts), _opened(values)


def _events(series: list[Series]) -> Iterator[tuple[int, bytes, bytes]]:
    number = {one.source: i for i, one in enumerate(series)}
    for at, source, value in heapq.merge(*(one.readings for one in series)):
        event = {"source": source, "timestamp": round(1000 * at), "values": {"value": value}}
        yield number[source], source.encode(), msgspec.json.encode(event)


def _scored(worker: Fleet) -> float:
    found = worker.metrics()
    return sum(found[name] for name in found if name.startswith("tocsin_events_total{") and "dead" not in name)


def _fired(alerts: Iterable[Alert]) -> list[Told]:
    first = {one.alert_id: one for one in alerts if one.state is State.FIRING and one.kind != "silence"}
    return [Told(one.started_at, (one.source,)) for one in first.values()]


def _opened(values: Iterable[Incident]) -> list[Told]:
    last = {one.incident_id: one for one in values}
    return [Told(one.started_at, tuple(alert.source for alert in one.alerts)) for one in last.values()]


def count(told: list[Told], series: list[Series]) -> Counted:
    """Compare what is told with what people have labelled.

    Examples
    --------
    >>> pump = Series("pump", [Reading(0.0, "pump", 1.0), Reading(2 * DAY, "pump", 1.0)], [(100.0, 200.0)])
    >>> count([Told(150.0, ("pump",)), Told(500.0, ("pump",))], [pump])
    Counted(told=2, a_day=1.0, true=0.5, found=1.0)

    """
    windows = {one.source: one.windows for one in series}
    hits = [
        {(source, window) for source in one.sources for window in windows[source] if window[0] <= one.at <= window[1]}
        for one in told
    ]
    found = set().union(*hits)
    days = sum(one.days for one in series)
    labelled = sum(len(one.windows) for one in series)
    return Counted(len(told), len(told) / days, sum(map(bool, hits)) / max(len(told), 1), len(found) / labelled)


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with NAB's data and labels")
    parser.add_argument("--json", action="store_true", help="end with one JSON object, on the last line")
    arguments = parser.parse_args()
    series = read(arguments.data)
    with EmbeddedKafka() as broker:
        alerts, incidents = live(broker, series, Policy(), incidents=True)
        each, _ = live(broker, series, NONE, incidents=False)
    rows = {
        "default policy, incidents": count(incidents, series),
        "default policy, alerts": count(alerts, series),
        "no policy, no incidents": count(each, series),
    }
    print(f"{len(series)} sources, {sum(one.days for one in series):,.0f} days of them")
    print(f"{'':<28}{'told':>6}   {'a day':>6}   {'true':>5}   {'found':>5}")
    for name, counted in rows.items():
        print(f"{name:<28}{counted}")
    if arguments.json:
        print(json.dumps({name: asdict(counted) for name, counted in rows.items()}))


if __name__ == "__main__":
    main()
