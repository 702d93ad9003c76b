"""The storm over the real service: Kafka, a worker, `tocsin notify` and a webhook that is told."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from alerts.alert import Alert
from alerts.incident import Incident
from benchmarks.service import Hook, notifying, until, values_of
from benchmarks.storm import GATEWAYS, INTERVAL, TOPOLOGY, Reading, rounds
from tocsin.bench.fleet import Fleet, fleet
from tocsin.bench.stream import Events, fill
from tocsin.broker import EmbeddedKafka

CALM, FAILING, AFTER = 90, 12, 30
PACED = 3
"""Rounds before the switch fails that are sent at a pace, if one is given."""

PARTITIONS = 2
INCIDENTS = {"topology": TOPOLOGY.model_dump(mode="json"), "min_sources": 5}


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast the worker scored a part: events, seconds by the clock, and seconds of its processor time."""

    events: int
    seconds: float
    processor: float

    def __str__(self) -> str:
        by_clock, by_processor = self.events / self.seconds, self.events / self.processor
        return f"{by_clock:,.0f} events/s, {by_processor:,.0f} a second of processor time"


@dataclass(frozen=True, slots=True)
class LiveStorm:
    """What a storm came to.

    Parameters
    ----------
    calm, storm
        How fast the worker scored before the switch failed, and while it did.
    told
        Notifications that arrived.
    incidents
        All values of topic ``incidents``, in their order.
    alerts
        The last value of each alert.

    """

    calm: Pace
    storm: Pace
    told: list[dict[str, Any]]
    incidents: list[Incident] = field(default_factory=list)
    alerts: list[Alert] = field(default_factory=list)

    @property
    def largest(self) -> list[Incident]:
        """The values of the incident with the most sources."""
        whole = max(self.incidents, key=lambda one: one.source_count)
        return [one for one in self.incidents if one.incident_id == whole.incident_id]

    def __str__(self) -> str:
        last, ends = self.largest[-1], [one.resolved_at or 0.0 for one in self.alerts]
        quiet = "" if last.resolved_at is None else f" {last.resolved_at - max(ends):.3f} s after its last alert"
        return "\n".join(
            (
                f"  alerts: {len(self.alerts):,}; incidents: {len({one.incident_id for one in self.incidents})}",
                f"  of {last.source_count:,} sources, first cause {last.causes[0].source}, {last.state}{quiet}",
                f"  notifications: {len(self.told)} ({', '.join(one['status'] for one in self.told)})",
                f"  calm: {self.calm}",
                f"  storm: {self.storm}",
            )
        )


def measure(sources: int, pace: float | None = None) -> str:
    """Let it happen with and without `tocsin notify`, and return what people read.

    Parameters
    ----------
    sources
        Sensors.
    pace
        Seconds in which each sends one event; ``None`` sends all that the worker can take.

    """
    with EmbeddedKafka() as broker:
        if pace is not None:
            told = live_storm(broker, sources, pace=pace)
            drop = 1 - (told.storm.events / told.storm.seconds) / (told.calm.events / told.calm.seconds)
            return f"{sources:,} sources over the service, an event of each in {pace:g} s\n{told}\n  drop: {drop:.1%}"
        alone = live_storm(broker, sources, notify=False)
        told = live_storm(broker, sources)
    lost = 1 - (told.storm.events / told.storm.seconds) / (alone.storm.events / alone.storm.seconds)
    of_processor = 1 - (told.storm.events / told.storm.processor) / (alone.storm.events / alone.storm.processor)
    return "\n".join(
        (
            f"{sources:,} sources over the service",
            str(told),
            f"  calm, without notify: {alone.calm}",
            f"  storm, without notify: {alone.storm}",
            f"  notify costs {lost:.1%} of scored events/s, {of_processor:.1%} of those a second of processor time",
        )
    )


def live_storm(broker: EmbeddedKafka, sources: int, *, notify: bool = True, pace: float | None = None) -> LiveStorm:
    """Let so many sensors fail at once through one switch, and return what the service made of it.

    Parameters
    ----------
    broker
        A running Kafka.
    sources
        Sensors.
    notify
        Whether `tocsin notify` runs beside the worker.
    pace
        Seconds in which each sends one event just before the switch fails, and while it does.

    """
    name = f"storm-{sources}-{'told' if notify else 'alone'}"
    start = time.time() - INTERVAL * (CALM + FAILING + AFTER + 1)
    parts = rounds(sources, CALM, FAILING, AFTER, start)
    with fleet(broker, name, PARTITIONS) as worker, Hook() as hook, notifying(worker, hook, INCIDENTS, wanted=notify):
        worker.start()
        _send(worker, islice(parts, 1))  # the first events of a source cost more than those that follow
        calm = _send(worker, islice(parts, CALM - 1 - (PACED if pace else 0)))
        if pace:
            calm = _send(worker, islice(parts, PACED), pace)
        storm = _send(worker, islice(parts, FAILING), pace)
        if notify:
            until(lambda: bool(hook.told), "the incident was told")
        _send(worker, parts)
        if notify:
            until(lambda: hook.told[-1]["status"] == "resolved", "the end of the incident was told")
        incidents = [Incident.model_validate_json(one) for one in values_of(worker, "incidents", PARTITIONS)]
        alerts = [Alert.model_validate_json(one) for one in values_of(worker, "alerts", PARTITIONS)]
        newest = {one.alert_id: one for one in sorted(alerts, key=lambda one: one.version)}
        return LiveStorm(calm, storm, list(hook.told), incidents, list(newest.values()))


def _send(worker: Fleet, parts: Iterator[list[Reading]], pace: float | None = None) -> Pace:
    """Send some rounds, each within as many seconds as the pace says, and wait until all of them are scored."""
    sent = list(parts)
    count = sum(map(len, sent))
    scored, processor = _scored(worker)
    began = time.monotonic()
    fill(worker.kafka, PARTITIONS, _at_pace(sent, pace or 0.0))
    until(lambda: _scored(worker)[0] >= scored + count, f"{count:,} events are scored")
    return Pace(count, time.monotonic() - began, _scored(worker)[1] - processor)


def _at_pace(parts: Sequence[list[Reading]], seconds: float) -> Events:
    began = time.monotonic()
    for number, readings in enumerate(parts):
        for i, one in enumerate(readings):
            if i % 100 == 0:
                due = began + seconds * (number + i / len(readings))
                time.sleep(max(due - time.monotonic(), 0.0))
            yield _gateway(one.source), one.source.encode(), one.event


def _gateway(source: str) -> int:
    """Return what decides the partition: a sensor's is that of its gateway."""
    return int(source.split("-")[1]) % GATEWAYS


def _scored(worker: Fleet) -> tuple[float, float]:
    found = worker.metrics()
    scored = sum(value for name, value in found.items() if name.startswith('tocsin_events_total{outcome="scored"'))
    return scored, found["process_cpu_seconds_total"]
