"""How long it takes from an event to the acknowledged alert, and from a payment to its decision, under load."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from streams.publication import DUE
from streams.settings import KafkaSettings
from streams.topics import TopicSettings
from tocsin.bench.contestants import BenchError, worker_settings
from tocsin.bench.stream import MARK, SOURCES, Marks, empty_outputs, fill, telemetry
from tocsin.demo.worker import running_worker
from tocsin.evaluation.tables import Table, cell
from tocsin.plotting import plot_into

SHARES = (0.25, 0.5, 0.75)
ODD = 0.005
"""Share of the events that are odd: enough alerts for a 99th percentile."""

AHEAD = 2.5
"""How much more telemetry waits, in times the worker's rate, than it can take while transactions are sent."""

LEAST_EVENTS = round(20 / ODD)
"""Fewer of them may raise no alert: on a slow machine a load lasts longer."""

ACCOUNTS = 50
PATIENCE = 120.0


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is measured.

    Parameters
    ----------
    events
        Events by which the highest rate is found.
    seconds
        How long each load lasts at least.
    transactions
        Transactions a second.
    partitions
        Partitions of the topics.
    sources
        Sources of the telemetry.

    """

    events: int = 100_000
    seconds: float = 15.0
    transactions: float = 50.0
    partitions: int = 4
    sources: int = SOURCES


SHORT = Effort(events=2_000, seconds=2.0, sources=10)
"""Enough to see that it runs."""


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds from when a record was produced to when what it led to was written, as the broker's clock tells."""

    events_per_second: float
    samples: int
    p50: float
    p99: float


@dataclass(frozen=True, slots=True)
class Latencies:
    """What came of it: from event to alert by share of the highest rate, and from transaction to decision."""

    effort: Effort
    maximum: float
    alerts: dict[float, Latency]
    decisions: Latency
    saturated: bool

    def as_json(self) -> dict[str, Any]:
        """Return what programs read."""
        return {
            "events_per_second": self.maximum,
            "alerts": {f"{share:.0%}": asdict(latency) for share, latency in self.alerts.items()},
            "decisions_while_telemetry_saturates": asdict(self.decisions),
            "saturated": self.saturated,
        }

    def tables(self) -> list[Table]:
        """Return what people read."""
        rows = [(f"alerts, {share:.0%} of the rate", latency) for share, latency in self.alerts.items()]
        rows.append(("decisions, telemetry saturated", self.decisions))
        cells = [
            (name, f"{one.events_per_second:,.0f}", f"{one.samples:,}", cell(one.p50), cell(one.p99))
            for name, one in rows
        ]
        title = f"From a record to what it led to; the worker's highest rate is {self.maximum:,.0f} events/s"
        return [Table(title, ("", "records/s", "samples", "p50, ms", "p99, ms"), cells)]

    def plot(self, file: Path) -> None:
        """Draw both percentiles over the load.

        Parameters
        ----------
        file
            An .svg or .png file.

        """
        with plot_into(file, size=(6.0, 2.8)) as (_, (panel,)):
            shares = [100 * share for share in self.alerts]
            for name, color in (("p50", "#4c566a"), ("p99", "#c1440e")):
                panel.plot(shares, [getattr(one, name) for one in self.alerts.values()], "o-", color=color, label=name)
            panel.set_ylim(bottom=0)
            panel.set_xlabel("% of the highest rate")
            panel.set_ylabel("ms from event to alert")
            panel.legend(frameon=False)


def bench(kafka: KafkaSettings, effort: Effort, progress: Callable[[int, int], None] | None = None) -> Latencies:
    """Find the worker's highest rate, then measure at shares of it.

    Parameters
    ----------
    kafka
        A Kafka without topics of this prefix.
    effort
        How much is measured.
    progress
        Called with the steps done and in all.

    Raises
    ------
    BenchError
        If the worker does not keep up, or raises no alert.

    """
    tell = progress or (lambda done, total: None)
    steps = len(SHARES) + 2
    empty_outputs(kafka, TopicSettings(partitions=effort.partitions))
    load = Load(kafka, effort.partitions, sources=effort.sources)
    fill(kafka, effort.partitions, load.make(effort.events))
    with Marks(kafka, effort.partitions) as marks, running_worker(kafka, worker_settings(effort.partitions)):
        times = marks.wait_for(2 * effort.partitions, PATIENCE)
        if times is None:
            raise BenchError(f"the worker did not take {effort.events:,} events within {PATIENCE:.0f} s")
        maximum = effort.events / max(times[-1] - times[0], 1e-3)
        tell(1, steps)
        alerts = {}
        for done, share in enumerate(SHARES, 2):
            alerts[share] = _at_rate(kafka, load, marks, share * maximum, effort.seconds)
            tell(done, steps)
        decisions, saturated = _while_saturated(kafka, load, marks, maximum, effort)
        tell(steps, steps)
    return Latencies(effort, maximum, alerts, decisions, saturated)


class Load:
    """Sends events, each later than those before it.

    Parameters
    ----------
    kafka
        How to reach Kafka.
    partitions
        Of the topics.
    back
        Seconds before now at which the first event was. At thousands of events a second their time goes faster than the
        clock, and what is ahead of that is refused.
    sources
        Of the events.

    """

    def __init__(
        self, kafka: KafkaSettings, partitions: int, back: float = 12 * 3600.0, sources: int = SOURCES
    ) -> None:
        from confluent_kafka import Producer  # noqa: PLC0415 - an optional extra

        self.partitions, self.kafka, self._sources = partitions, kafka, sources
        self.producer = Producer(
            {
                "bootstrap.servers": kafka.bootstrap_servers,
                "linger.ms": 1,
                "queue.buffering.max.messages": 2_000_000,
                "log_level": 0,
            }
        )
        self._next = time.time() - back
        self._lots = 0

    def make(self, count: int) -> list[tuple[int, bytes, bytes]]:
        """Return new events."""
        made = list(telemetry(count, self._next, seed=self._lots, odd=ODD, sources=self._sources))
        self._next += (count + 1) * 0.01
        self._lots += 1
        return made

    def send(self, topic: str, records: Iterable[tuple[int, bytes, bytes]], rate: float | None = None) -> None:
        """Send records to the partitions of their sources, at a rate or as fast as can be, and wait for their end."""
        began, name = time.monotonic(), self.kafka.topic(topic)
        at_once = 20 if rate is None else max(round(rate / 1000), 1)
        for i, (source, key, value) in enumerate(records):
            if i % at_once == 0:
                self.producer.poll(0)
                if rate is not None:
                    time.sleep(max(0.0, began + i / rate - time.monotonic()))
            self.producer.produce(name, value, key, partition=source % self.partitions)
        self.producer.flush()

    def mark(self) -> None:
        """Send a mark to each partition."""
        for partition in range(self.partitions):
            self.producer.produce(self.kafka.topic("telemetry"), MARK, partition=partition)
        self.producer.flush()


def _at_rate(kafka: KafkaSettings, load: Load, marks: Marks, rate: float, seconds: float) -> Latency:
    events = load.make(max(round(rate * seconds), LEAST_EVENTS))
    with contextlib.closing(_Outputs(kafka, "alerts", load.partitions)) as alerts:
        load.send("telemetry", events, rate)
        load.mark()
        if marks.wait_for(marks.seen + load.partitions, PATIENCE) is None:
            raise BenchError(f"the worker did not keep up with {rate:,.0f} events/s, though it took more before")
        return _summary(rate, alerts.latencies())


def _while_saturated(
    kafka: KafkaSettings, load: Load, marks: Marks, maximum: float, effort: Effort
) -> tuple[Latency, bool]:
    load.send("telemetry", load.make(round(AHEAD * maximum * effort.seconds)))
    load.mark()
    with contextlib.closing(_Outputs(kafka, "decisions", effort.partitions)) as decisions:
        load.send("transactions", transactions(round(effort.transactions * effort.seconds)), effort.transactions)
        saturated = marks.wait_for(marks.seen + effort.partitions, 0) is None
        deadline, wanted = time.monotonic() + PATIENCE, round(effort.transactions * effort.seconds)
        found: list[float] = []
        while len(found) < wanted and time.monotonic() < deadline:
            found += decisions.latencies()
        return _summary(effort.transactions, found), saturated


def transactions(count: int, first: int = 0) -> Iterator[tuple[int, bytes, bytes]]:
    """Yield payments of ``ACCOUNTS`` accounts; each has the account's number, the key and the value."""
    for i in range(first, first + count):
        account = i * 7919 % ACCOUNTS
        payment = {
            "transaction_id": f"t{i}",
            "timestamp": time.time(),
            "account": f"account-{account}",
            "counterparty": f"shop-{i % 17}",
            "amount": 20.0 + i % 31,
        }
        yield account, payment["account"].encode(), msgspec.json.encode(payment)  # type: ignore[attr-defined]


class _Outputs:
    """Reads an output topic from its present end on."""

    def __init__(self, kafka: KafkaSettings, topic: str, partitions: int) -> None:
        from kafka import KafkaConsumer, TopicPartition  # noqa: PLC0415 - start-up time

        self._consumer: Any = KafkaConsumer(**kafka.client_options(), enable_auto_commit=False)
        self._partitions = [TopicPartition(kafka.topic(topic), number) for number in range(partitions)]
        self._consumer.assign(self._partitions)
        for tp, end in self._consumer.end_offsets(self._partitions).items():
            self._consumer.seek(tp, end)

    def latencies(self) -> list[float]:
        """Return the milliseconds of what has been written since the last call, but for what fell due by itself."""
        found = []
        for tp, end in self._consumer.end_offsets(self._partitions).items():
            while self._consumer.position(tp) < end:
                for records in self._consumer.poll(timeout_ms=200).values():
                    for record in records:
                        headers = dict(record.headers)
                        if DUE not in headers:
                            found.append(record.timestamp - _produced(headers))
        return found

    def close(self) -> None:
        """Close the connection."""
        self._consumer.close()


def _produced(headers: Mapping[str, bytes]) -> float:
    return datetime.fromisoformat(headers["ce_time"].decode()).timestamp() * 1000


def _summary(rate: float, milliseconds: list[float]) -> Latency:
    if not milliseconds:
        raise BenchError("nothing was published: there is nothing to measure")
    p50, p99 = np.percentile(milliseconds, (50, 99)).tolist()
    return Latency(rate, len(milliseconds), round(p50, 1), round(p99, 1))
