"""Lets 10,000 sources fail at once through one shared cause, and measures what incidents cost.

    python -m benchmarks.storm                    10,000 sensors behind 10 gateways behind one switch
    python -m benchmarks.storm --sources 2000     fewer
    python -m benchmarks.storm --alerts-only      what one alert costs among so many, without telemetry
    python -m benchmarks.storm --service          over Kafka, a worker, `tocsin notify` and a webhook
    python -m benchmarks.storm --service --pace 10    the same, each source sending one event in ten seconds

Each sensor has learned what is normal; then the switch fails, the gateways' latency rises, and a second later that of
all sensors; minutes later all is well again. The events go through the default detector, the policy and the life of
alerts, with and without incidents made of the alerts in the same thread: the share of scored events a second that
incidents take is at most what it would be if nobody gave them a core of their own.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from typing import NamedTuple

import msgspec
import numpy as np

from alerts.alert import Alert, Severity, State
from alerts.incident import Incident
from alerts.incident_settings import IncidentSettings
from alerts.incidents import Incidents
from alerts.topology import SourceRule, TopologySettings
from detectors.registry import detector_factory
from streams.processor import Record
from streams.telemetry import TelemetryProcessor
from streams.telemetry_settings import TelemetrySettings

GATEWAYS = 10
INTERVAL = 10.0
START = 1_700_000_000.0
TOPOLOGY = TopologySettings(
    sources=(
        SourceRule(match=r"sensor-(?P<gateway>\d+)-\d+", depends_on=("gateway-{gateway}",)),
        SourceRule(match=r"gateway-\d+", depends_on=("switch",)),
        SourceRule(match="switch", owner="network"),
    )
)


def alert(source: str, at: float, version: int = 1) -> Alert:
    """Return the first value of an alert, or the second, with which it ends."""
    return Alert(
        alert_id=f"alert of {source}",
        stream="telemetry",
        source=source,
        kind="level",
        state=State.FIRING if version == 1 else State.RESOLVED,
        severity=Severity.WARNING,
        version=version,
        started_at=at if version == 1 else 0.0,
        updated_at=at,
        anomaly_score=0.9,
        p_value=1e-6,
        summary="",
    )


class Alone(NamedTuple):
    """What alerts alone cost: seconds of processor time for all that begin, and for all that end."""

    begin: float
    end: float
    said: tuple[Incident, ...]
    snapshot: int


def alerts_alone(count: int) -> Alone:
    """Let so many sensors each raise an alert within ten seconds, and end it within as many."""
    sensors = [f"sensor-{i % GATEWAYS}-{i}" for i in range(count)]
    begins = [alert(sensor, 4.0 + 10.0 * i / count) for i, sensor in enumerate(sensors)]
    ends = [alert(sensor, 300.0 + 10.0 * i / count, 2) for i, sensor in enumerate(sensors)]
    incidents = Incidents(IncidentSettings(topology=TOPOLOGY))
    started = time.process_time()
    said = [*incidents.take(begins), *incidents.advance(60.0)]
    begun = time.process_time()
    size = len(incidents.snapshot())
    snapped = time.process_time()
    said += [*incidents.take(ends), *incidents.advance(330.0)]
    return Alone(begun - started, time.process_time() - snapped, tuple(said), size)


class Reading(NamedTuple):
    """What a sensor or gateway sends: its name, the time of the round, and the event."""

    source: str
    at: float
    event: bytes


def rounds(sources: int, calm: int, failing: int, after: int, start: float, seed: int = 1) -> Iterator[list[Reading]]:
    """Yield what all send in each round, before, while and after the switch fails."""
    names = [f"gateway-{i}" for i in range(GATEWAYS)] + [f"sensor-{i % GATEWAYS}-{i}" for i in range(sources)]
    chance = np.random.default_rng(seed)
    for step in range(calm + failing + after):
        at, wrong = start + INTERVAL * step, calm <= step < calm + failing
        values = 20.0 + chance.normal(size=len(names)) + (40.0 if wrong else 0.0)
        yield [
            Reading(name, at, _event(name, at + i / len(names), float(value)))
            for i, (name, value) in enumerate(zip(names, values, strict=True))
        ]


def _event(source: str, at: float, latency: float) -> bytes:
    return msgspec.json.encode({"source": source, "timestamp": round(1000 * at), "values": {"latency": latency}})


class Storm(NamedTuple):
    """What a storm came to.

    Parameters
    ----------
    events, alerts
        Events while it lasted, and values of alerts that they led to.
    scoring, deciding
        Seconds of processor time that scoring took, and that incidents took besides.
    said
        Values of incidents, in their order.
    snapshot
        Bytes of the state at the height of the storm.

    """

    events: int
    alerts: int
    scoring: float
    deciding: float
    said: tuple[Incident, ...]
    snapshot: int


def storm(sources: int, calm: int = 90, failing: int = 12, after: int = 10, seed: int = 1) -> Storm:
    """Let it happen.

    Parameters
    ----------
    sources
        Sensors.
    calm, failing, after
        Events of each before, while and after the switch fails.
    seed
        Of the noise.

    """
    settings = TelemetrySettings()
    processor = TelemetryProcessor(settings, 0, {}, detector_factory(settings.detector))
    incidents = Incidents(IncidentSettings(topology=TOPOLOGY))
    events = alerts = snapshot = offset = 0
    scoring = deciding = 0.0
    said: list[Incident] = []
    for step, readings in enumerate(rounds(sources, calm, failing, after, START, seed)):
        records = [
            Record("telemetry", 0, offset + i, one.at, one.source.encode(), one.event) for i, one in enumerate(readings)
        ]
        offset += len(records)
        began = time.process_time()
        outputs = processor.process(records).outputs
        scored = time.process_time()
        changes = [Alert.model_validate_json(one.value) for one in outputs if one.topic == "alerts"]
        said += incidents.take(changes)
        said += incidents.advance(START + INTERVAL * step)
        decided = time.process_time()
        if step >= calm:
            events, alerts = events + len(records), alerts + len(changes)
            scoring, deciding = scoring + scored - began, deciding + decided - scored
        if step == calm + failing - 1:
            snapshot = len(incidents.snapshot())
    said += incidents.advance(START + INTERVAL * (calm + failing + after))
    return Storm(events, alerts, scoring, deciding, tuple(one for one in said if one.opened_at >= START), snapshot)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sources", type=int, default=10_000, help="sensors that fail")
    parser.add_argument("--alerts-only", action="store_true", help="leave the telemetry out")
    parser.add_argument("--service", action="store_true", help="let the real service take it")
    parser.add_argument("--pace", type=float, help="seconds in which each source sends one event")
    options = parser.parse_args()
    if options.service:
        from benchmarks.storm_live import measure  # noqa: PLC0415 - it is built on this module

        print(measure(options.sources, options.pace))
        return
    for count in (options.sources // 10, options.sources):
        alone = alerts_alone(count)
        print(
            f"{count:,} alerts: {1e6 * alone.begin / count:.0f} µs to begin one, {1e6 * alone.end / count:.0f} µs",
            end="",
        )
        print(f" to end one; {len(alone.said)} values, first cause {alone.said[-1].causes[0].source}", end="")
        print(f"; state {alone.snapshot:,} bytes")
    if options.alerts_only:
        return
    for sources in (options.sources // 10, options.sources):
        found = storm(sources)
        largest = max(found.said, key=lambda one: one.source_count)
        of_it = [one for one in found.said if one.incident_id == largest.incident_id]
        print(f"{sources:,} sources: {found.alerts:,} values of alerts from {found.events:,} events")
        print(f"  incidents: {len({one.incident_id for one in found.said})}; the storm's: {len(of_it)} values")
        print(f"  of {largest.source_count:,} sources, first cause {largest.causes[0].source}, now {of_it[-1].state}")
        print(f"  scoring {found.events / found.scoring:,.0f} events/s", end="; ")
        print(f"with incidents {found.events / (found.scoring + found.deciding):,.0f} events/s", end=" ")
        print(f"(-{found.deciding / (found.scoring + found.deciding):.1%})")
        print(f"  an alert's value costs {1e6 * found.deciding / found.alerts:.0f} µs; state {found.snapshot:,} bytes")


if __name__ == "__main__":
    main()
