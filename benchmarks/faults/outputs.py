"""What came out beside what should have: every output, to the last bit, by the record that caused it."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from kafka import KafkaConsumer, TopicPartition

from streams.processor import Output, Record
from streams.publication import DUE, POSITION
from tocsin.config import Configuration
from tocsin.wiring import make_processor

INPUTS = ("telemetry", "transactions")
OUTPUTS = ("scores", "decisions", "alerts", "dead-letters")
BATCH = 500

Cause = tuple[str, str, int, int]
"""Output topic, and topic, partition and offset of the record that led to the output."""


@dataclass(slots=True)
class Outputs:
    """Outputs in the order in which they came, those with the same cause together, as digests.

    Alerts are kept besides as subscribers see them: each change, and the last of each.
    """

    by_cause: dict[Cause, list[bytes]] = field(default_factory=lambda: defaultdict(list))
    changes: dict[tuple[str, int, str], set[bytes]] = field(default_factory=lambda: defaultdict(set))
    alerts: dict[str, bytes] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    def add(self, cause: Cause, key: bytes, value: bytes) -> None:
        """Take in one output."""
        self.by_cause[cause].append(hashlib.blake2b(key + b"\x00" + value, digest_size=12).digest())
        self.counts[cause[0]] += 1
        if cause[0] == "alerts":
            alert = json.loads(value)
            self.changes[alert["alert_id"], alert["version"], alert["state"]].add(value)
            self.alerts[alert["alert_id"]] = value


@dataclass(frozen=True, slots=True)
class Comparison:
    """How two sets of outputs differ; all numbers but ``compared`` and ``alerts`` are 0 if nothing went wrong.

    Parameters
    ----------
    compared
        Outputs that should be there, and of these scores and alerts.
    lost, repeated, different
        Outputs that are missing, that are there too often, and that are not what they should be.
    alerts
        How many alerts there are in the end.
    wrong_alerts
        Alerts that are in another state in the end, are missing, or should not be there.
    two_contents
        Changes of an alert to one state that were published with different contents.

    """

    compared: int
    scores: int
    lost: int
    repeated: int
    different: int
    alerts: int
    wrong_alerts: int
    two_contents: int

    @property
    def exact(self) -> bool:
        """Whether all is as it should be."""
        return not (self.lost or self.repeated or self.different or self.wrong_alerts or self.two_contents)


def compare(found: Outputs, expected: Outputs) -> Comparison:
    """Compare what was published with what should have been."""
    lost = repeated = different = 0
    for cause in found.by_cause.keys() | expected.by_cause.keys():
        there, wanted = found.by_cause.get(cause, []), expected.by_cause.get(cause, [])
        if there != wanted:
            lost += max(len(wanted) - len(there), 0)
            repeated += max(len(there) - len(wanted), 0)
            different += sum(a != b for a, b in zip(there, wanted, strict=False))
    return Comparison(
        compared=sum(expected.counts.values()),
        scores=expected.counts["scores"] + expected.counts["decisions"],
        lost=lost,
        repeated=repeated,
        different=different,
        alerts=len(expected.alerts),
        wrong_alerts=sum(
            found.alerts.get(name) != expected.alerts.get(name) for name in found.alerts.keys() | expected.alerts.keys()
        ),
        two_contents=sum(len(contents) > 1 for contents in found.changes.values()),
    )


def published(brokers: str, prefix: str) -> Outputs:
    """Read all that was published; outputs that fell due as time passed are no part of it."""
    outputs = Outputs()
    for topic in OUTPUTS:
        for record in read(brokers, prefix, topic):
            headers = dict(record.headers)
            if DUE not in headers:
                source, partition, offset = headers[POSITION].decode().rsplit("/", 2)
                outputs.add((topic, source, int(partition), int(offset)), record.key, record.value)
    return outputs


def undisturbed(brokers: str, prefix: str, configuration: Configuration) -> Outputs:
    """Give the records that are in Kafka to processors that nothing happens to: they know no broker and no crash."""
    outputs = Outputs()
    make = make_processor(configuration)
    labels = [_as_record(record, prefix) for record in read(brokers, prefix, "labels")]
    for topic in INPUTS:
        by_partition: dict[int, list[Record]] = defaultdict(list)
        for record in read(brokers, prefix, topic):
            by_partition[record.partition].append(_as_record(record, prefix))
        for partition, records in sorted(by_partition.items()):
            processor = make(topic, partition, {})
            _add(outputs, processor.absorb(labels).outputs)
            if topic in processor.broadcasts:  # how early it knows the other partitions makes no difference
                elsewhere = (other for number, other in sorted(by_partition.items()) if number != partition)
                _add(outputs, processor.absorb([record for other in elsewhere for record in other]).outputs)
            for start in range(0, len(records), BATCH):
                _add(outputs, processor.process(records[start : start + BATCH]).outputs)
    return outputs


def read(brokers: str, prefix: str, topic: str) -> Iterator[Any]:
    """Read a topic whole."""
    consumer = KafkaConsumer(
        bootstrap_servers=brokers, enable_auto_commit=False, max_poll_records=5000, max_partition_fetch_bytes=8_000_000
    )
    name = prefix + topic
    tps = [TopicPartition(name, partition) for partition in sorted(consumer.partitions_for_topic(name) or ())]
    consumer.assign(tps)
    consumer.seek_to_beginning()
    for tp, end in consumer.end_offsets(tps).items():
        consumer.assign([tp])
        consumer.seek_to_beginning(tp)
        while consumer.position(tp) < end:
            for records in consumer.poll(timeout_ms=500).values():
                yield from records
    consumer.close()


def _add(outputs: Outputs, found: list[Output]) -> None:
    for output in sorted(found, key=lambda output: output.cause.offset):
        cause = output.cause
        outputs.add((output.topic, cause.topic, cause.partition, cause.offset), output.key, output.value)


def _as_record(record: Any, prefix: str) -> Record:
    topic = record.topic.removeprefix(prefix)
    return Record(topic, record.partition, record.offset, record.timestamp / 1000, record.key, record.value)
