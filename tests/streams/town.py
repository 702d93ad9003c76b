"""A small town with much fraud, whose payments lie in several partitions."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any

from streams.partitioner import partition_of
from streams.processor import Output, Record
from streams.transaction_settings import TransactionSettings
from streams.transactions import TransactionProcessor
from tests.crashes import in_batches
from tocsin.demo.cards import CardSimulator

PARTITIONS = 3
SETTINGS = TransactionSettings.model_validate({"labels": {"across_partitions": True}})


@cache
def town() -> tuple[Record, ...]:
    """Three weeks of payments, and their labels five days later, in the order in which they were produced."""
    simulator = CardSimulator(seed=8, days=21, customers=30, terminals=20, fraud_rate=40.0, label_delay=5.0)
    records, ends = [], defaultdict[tuple[str, int], int](int)
    for topic, key, time, value in simulator.messages():
        place = topic, partition_of(key, PARTITIONS)
        produced_at = time - 0.5 if topic == "labels" else time  # what is produced at one moment has no order
        records.append(Record(*place, ends[place], produced_at, key.encode(), json.dumps(value).encode()))
        ends[place] += 1
    return tuple(records)


def payments(partition: int) -> list[Record]:
    """Return the payments that one partition decides."""
    return [record for record in town() if record.topic == "transactions" and record.partition == partition]


def heard_by(partition: int) -> list[Record]:
    """Return what is broadcast to a partition: all labels, and the payments of the others."""
    return [record for record in town() if record.topic == "labels" or record.partition != partition]


def batches(partition: int, size: int) -> Iterator[tuple[list[Record], list[Record]]]:
    """Yield a partition's payments, each batch with what was broadcast until its last was produced."""
    return in_batches(payments(partition), heard_by(partition), size)


def play(processor: TransactionProcessor, partition: int, size: int = 200) -> list[Output]:
    """Return what a processor puts out."""
    outputs = []
    for batch, news in batches(partition, size):
        outputs += processor.absorb(news).outputs + processor.process(batch).outputs
    return outputs


@cache
def uninterrupted(partition: int) -> tuple[Output, ...]:
    """Return what a partition puts out if nothing happens."""
    return tuple(play(TransactionProcessor(SETTINGS, partition), partition))


def decisions(outputs: Iterable[Output]) -> list[dict[str, Any]]:
    """Return the decisions among outputs."""
    return [json.loads(output.value) for output in outputs if output.topic == "decisions"]
