"""The events that contestants consume, and the marks by which they are timed."""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from streams.settings import KafkaSettings
from streams.topics import TopicSettings, create_topics

SOURCES = 100
USUAL = {"temperature": (70.0, 1.0), "pressure": (5.0, 0.1), "flow": (12.0, 2.0), "vibration": (0.4, 0.05)}
"""Mean and standard deviation of each of an event's values."""

ODD = 0.001
"""Share of events in which one value is off by ten standard deviations."""

MARK = b"a mark: not JSON"
"""First and last record of each partition: whatever consumes it puts it out to ``dead-letters``."""

OUTPUTS = ("alerts", "scores", "decisions", "dead-letters")
APPENDED = {"message.timestamp.type": "LogAppendTime"}
"""Of output topics: one clock, the broker's, says when each contestant was how far."""


INTERVAL = 0.01
"""Seconds between two events."""

Events = Iterable[tuple[int, bytes, bytes]]
"""Of each the source's number, the key and the value."""


def telemetry(
    events: int, start: float | None = None, seed: int = 0, odd: float = ODD, sources: int = SOURCES
) -> Iterator[tuple[int, bytes, bytes]]:
    """Yield events of some sources in random order; each of ``SOURCES`` has about one a second.

    Parameters
    ----------
    events
        How many.
    start
        Time of the first, epoch seconds; ``None`` lets the last be now, so that none is ahead of the clock.
    seed
        The same seed gives the same values.
    odd
        Share in which one value is off by ten standard deviations.
    sources
        How many.

    """
    chance = random.Random(seed)  # noqa: S311 - simulates
    at = time.time() - events * INTERVAL if start is None else start
    for i in range(events):
        source = chance.randrange(sources)
        values = {name: chance.gauss(mean, sigma) for name, (mean, sigma) in USUAL.items()}
        if chance.random() < odd:
            name = chance.choice(list(USUAL))
            values[name] += 10.0 * USUAL[name][1]
        key = f"machine-{source}"
        timestamp = datetime.fromtimestamp(at + i * INTERVAL, UTC).isoformat(timespec="milliseconds")
        event = {
            "source": key,
            "timestamp": timestamp.removesuffix("+00:00") + "Z",
            "values": {name: round(value, 4) for name, value in values.items()},
        }
        yield source, key.encode(), msgspec.json.encode(event)


def fill(kafka: KafkaSettings, partitions: int, events: Events) -> None:
    """Send events to topic ``telemetry``, with a mark at both ends of each partition."""
    from confluent_kafka import Producer  # noqa: PLC0415 - an optional extra

    producer = Producer({"bootstrap.servers": kafka.bootstrap_servers, "linger.ms": 50, "log_level": 0})
    topic = kafka.topic("telemetry")
    for partition in range(partitions):
        producer.produce(topic, MARK, partition=partition)
    for i, (source, key, value) in enumerate(events):
        while True:
            try:
                producer.produce(topic, value, key, partition=source % partitions)
            except BufferError:
                producer.poll(0.1)
            else:
                break
        if i % 1000 == 0:
            producer.poll(0)
    for partition in range(partitions):
        producer.produce(topic, MARK, partition=partition)
    producer.flush()


def empty_outputs(kafka: KafkaSettings, settings: TopicSettings) -> None:
    """Make all topics anew but the inputs: each run begins with empty outputs."""
    from kafka.admin import KafkaAdminClient  # noqa: PLC0415 - start-up time

    names = [kafka.topic(name) for name in OUTPUTS]
    with contextlib.closing(KafkaAdminClient(**kafka.client_options())) as admin:
        if there := set(names) & set(admin.list_topics()):
            admin.delete_topics(sorted(there))
            while there & set(admin.list_topics()):
                time.sleep(0.05)
    create_topics(kafka, settings, APPENDED)


class Marks:
    """Waits for marks in topic ``dead-letters``, and tells when the first and the last was written there."""

    def __init__(self, kafka: KafkaSettings, partitions: int) -> None:
        from kafka import KafkaConsumer, TopicPartition  # noqa: PLC0415 - start-up time

        self._consumer: Any = KafkaConsumer(**kafka.client_options(), enable_auto_commit=False)
        topic = kafka.topic("dead-letters")
        self._consumer.assign([TopicPartition(topic, number) for number in range(partitions)])
        self._consumer.seek_to_beginning()
        self._at: list[float] = []

    def __enter__(self) -> Marks:
        return self

    def __exit__(self, *error: object) -> None:
        self._consumer.close()

    @property
    def seen(self) -> int:
        """How many have been seen."""
        return len(self._at)

    def wait_for(self, count: int, seconds: float) -> Sequence[float] | None:
        """Return when the marks were written, in order; ``None`` if they are not all there after so many seconds."""
        deadline = time.monotonic() + seconds
        while len(self._at) < count:
            for records in self._consumer.poll(timeout_ms=200).values():
                self._at += [record.timestamp / 1000 for record in records]
            if len(self._at) < count and time.monotonic() > deadline:
                return None
        return sorted(self._at)
