"""The storm over the real service: Kafka, a worker, `tocsin notify` and a webhook that is told."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import chain, islice
from typing import Any

import yaml
from kafka import KafkaConsumer, TopicPartition

from alerts.alert import Alert
from alerts.incident import Incident
from benchmarks.storm import GATEWAYS, INTERVAL, TOPOLOGY, Reading, rounds
from tocsin.bench.fleet import Fleet, fleet
from tocsin.bench.stream import fill
from tocsin.broker import EmbeddedKafka
from tocsin.broker.children import Children
from tocsin.demo.settings import worker_environment
from tocsin.demo.worker import free_port

CALM, FAILING, AFTER = 90, 12, 30
PARTITIONS = 2
NOTIFIER = 1
MOST_SECONDS = 1800.0


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


def measure(sources: int) -> str:
    """Let it happen with and without `tocsin notify`, and return what people read."""
    with EmbeddedKafka() as broker:
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


def live_storm(broker: EmbeddedKafka, sources: int, *, notify: bool = True) -> LiveStorm:
    """Let so many sensors fail at once through one switch, and return what the service made of it.

    Parameters
    ----------
    broker
        A running Kafka.
    sources
        Sensors.
    notify
        Whether `tocsin notify` runs beside the worker.

    """
    name = f"storm-{sources}-{'told' if notify else 'alone'}"
    start = time.time() - INTERVAL * (CALM + FAILING + AFTER + 1)
    parts = rounds(sources, CALM, FAILING, AFTER, start)
    with fleet(broker, name, PARTITIONS) as worker, Hook() as hook, _notifying(worker, hook, notify):
        worker.start()
        _send(worker, islice(parts, 1))  # the first events of a source cost more than those that follow
        calm = _send(worker, islice(parts, CALM - 1))
        storm = _send(worker, islice(parts, FAILING))
        if notify:
            _until(lambda: bool(hook.told), "the incident was told")
        _send(worker, parts)
        if notify:
            _until(lambda: hook.told[-1]["status"] == "resolved", "the end of the incident was told")
        incidents = [Incident.model_validate_json(one) for one in _values(worker, "incidents")]
        alerts = [Alert.model_validate_json(one) for one in _values(worker, "alerts")]
        newest = {one.alert_id: one for one in sorted(alerts, key=lambda one: one.version)}
        return LiveStorm(calm, storm, list(hook.told), incidents, list(newest.values()))


class Hook:
    """A web server that is told."""

    def __init__(self) -> None:
        self.told: list[dict[str, Any]] = []
        told = self.told

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                told.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Hook:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._server.server_close()


@contextlib.contextmanager
def _notifying(worker: Fleet, hook: Hook, wanted: bool) -> Iterator[None]:
    """Run `tocsin notify` beside the worker: of incidents of at least five sources, one message each."""
    if not wanted:
        yield
        return
    settings = {
        "incidents": {"topology": TOPOLOGY.model_dump(mode="json"), "min_sources": 5},
        "notify": {
            "tell": "incidents",
            "route": {"receiver": "hook", "group_by": ["alert_id"], "group_wait": 1, "group_interval": 5},
            "receivers": [{"name": "hook", "webhook": [{"url": hook.url}]}],
        },
    }
    port = free_port()
    with contextlib.closing(Children(worker_environment(os.environ, worker.kafka, port))) as children:
        folder = children.make_folder()
        (folder / "tocsin.yaml").write_text(yaml.safe_dump(settings))
        log = folder / "notify.log"
        children.start(NOTIFIER, [sys.executable, "-m", "tocsin", "notify"], log, folder)

        def active() -> bool:
            if NOTIFIER not in children.running():
                raise SystemExit(f"tocsin notify ended: {log.read_text()[-800:]}")
            with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
                return b"tocsin_notify_active 1.0" in answer.read()
            return False

        _until(active, "tocsin notify is active")
        yield


def _send(worker: Fleet, parts: Iterator[list[Reading]]) -> Pace:
    """Send some rounds, and wait until all of them are scored."""
    events = [(_gateway(one.source), one.source.encode(), one.event) for one in chain.from_iterable(parts)]
    scored, processor = _scored(worker)
    began = time.monotonic()
    fill(worker.kafka, PARTITIONS, events)
    _until(lambda: _scored(worker)[0] >= scored + len(events), f"{len(events):,} events are scored", 0.05)
    return Pace(len(events), time.monotonic() - began, _scored(worker)[1] - processor)


def _gateway(source: str) -> int:
    """Return what decides the partition: a sensor's is that of its gateway."""
    return int(source.split("-")[1]) % GATEWAYS


def _scored(worker: Fleet) -> tuple[float, float]:
    found = worker.metrics()
    scored = sum(value for name, value in found.items() if name.startswith('tocsin_events_total{outcome="scored"'))
    return scored, found["process_cpu_seconds_total"]


def _values(worker: Fleet, topic: str) -> list[bytes]:
    name = worker.kafka.topic(topic)
    with contextlib.closing(
        KafkaConsumer(
            bootstrap_servers=worker.kafka.servers, enable_auto_commit=False, isolation_level="read_committed"
        )
    ) as consumer:
        places = [TopicPartition(name, number) for number in range(PARTITIONS)]
        consumer.assign(places)
        consumer.seek_to_beginning()
        found: list[bytes] = []
        ends = consumer.end_offsets(places)
        while any(consumer.position(place) < end for place, end in ends.items()):
            for records in consumer.poll(timeout_ms=500).values():
                found += [record.value for record in records]
        return found


def _until(done: Callable[[], bool], what: str, pause: float = 0.2) -> None:
    deadline = time.monotonic() + MOST_SECONDS
    while not done():
        if time.monotonic() > deadline:
            raise SystemExit(f"not within {MOST_SECONDS:g} s: {what}")
        time.sleep(pause)
