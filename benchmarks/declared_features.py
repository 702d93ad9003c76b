"""What declared features cost a worker: time for each transaction, and bytes of state, with and without.

Run from the repository: ``python -m benchmarks.declared_features``. Payments of a simulated town come from a device
each, and go through one partition of four, which decides a quarter of them and hears of the others. No Kafka is needed.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from dataclasses import dataclass
from typing import Any

from detectors.transactions.classifier import prepare
from streams.partitioner import partition_of
from streams.processor import Record
from streams.transaction_settings import TransactionSettings
from streams.transactions import TransactionProcessor
from tocsin.demo.cards import CardSimulator

PARTITIONS = 4
BATCH = 500
DECLARED: list[dict[str, Any]] = [
    {"key": "device", "of": "count", "window": "1h"},
    {"key": "device", "of": "distinct", "what": "account", "window": "7d"},
    {"key": "ip_country", "of": "sum", "window": "30d"},
    {"key": ["account", "device"], "of": "first_seen"},
    {"key": "device", "of": "risk", "window": "30d"},
]


@dataclass(frozen=True, slots=True)
class Cost:
    """Microseconds of CPU for a payment that is decided: alone, and with those that others decide meanwhile.

    ``stored`` are the bytes of all states.
    """

    features: int
    alone: float
    with_others: float
    stored: int


def payments(days: int) -> list[Record]:
    """Return payments of a town, from one device of 300 each."""
    found, ends = [], [0] * PARTITIONS
    for topic, key, at, value in CardSimulator(seed=3, days=days, customers=400, terminals=200).messages():
        if topic != "transactions":
            continue
        number = partition_of(key, PARTITIONS)
        event = {**value, "device": f"device-{len(found) * 7 % 300}", "ip_country": "DE" if len(found) % 9 else "FR"}
        found.append(Record(topic, number, ends[number], at, key.encode(), json.dumps(event).encode()))
        ends[number] += 1
    return found


def measure(records: list[Record], kinds: list[list[dict[str, Any]]], times: int) -> list[Cost]:
    """Let partition 0 decide its payments, alone and with all others heard; the fastest of some runs counts."""
    own = [record for record in records if not record.partition]
    alone, whole = [math.inf] * len(kinds), [(math.inf, 0)] * len(kinds)
    for _ in range(times):  # all in turn: a slow minute of the machine is one for all
        for i, features in enumerate(kinds):
            alone[i] = min(alone[i], _play(own, features)[0])
            whole[i] = min(whole[i], _play(records, features))
    each = 1e6 / len(own)
    return [
        Cost(len(features), each * seconds, each * with_others, stored)
        for features, seconds, (with_others, stored) in zip(kinds, alone, whole, strict=True)
    ]


def _play(records: list[Record], features: list[dict[str, Any]]) -> tuple[float, int]:
    """Return the seconds that it took, and the bytes stored."""
    processor = TransactionProcessor(TransactionSettings.model_validate({"features": features}), 0)
    stored: dict[str, bytes | None] = {}
    taken = 0.0
    for start in range(0, len(records), BATCH):
        batch = records[start : start + BATCH]
        begun = time.process_time()
        processor.absorb([record for record in batch if record.partition])
        processor.process([record for record in batch if not record.partition])
        taken += time.process_time() - begun
        stored |= processor.changes()
    return taken, sum(len(key) + len(state) for key, state in stored.items() if state is not None)


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--days", type=int, default=20, help="of payments")
    parser.add_argument("--times", type=int, default=5, help="of which the fastest counts")
    arguments = parser.parse_args()
    prepare()
    records = payments(arguments.days)
    print(f"{len(records):,} payments, {PARTITIONS} partitions")
    print("features  alone, µs  with others, µs  bytes stored")
    for cost in measure(records, [[], DECLARED[:1], DECLARED], arguments.times):
        print(f"{cost.features:8}  {cost.alone:9.0f}  {cost.with_others:15.0f}  {cost.stored:12,}")


if __name__ == "__main__":
    main()
