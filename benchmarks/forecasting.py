"""What forecasts cost: the time of an event and the state of a source with them, beside without.

    python -m benchmarks.forecasting [--events 50000] [--sources 100]

Events of one value go through the whole processor of a partition, without Kafka, with the default detector; once
without forecasts, once with all values forecast but nothing published, once with forecasts published every five
minutes. Rounds alternate and the least time counts, since other work on the machine only adds.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import sys
import time

from streams.packed import pack
from streams.processor import Record
from streams.telemetry import TelemetryProcessor
from tocsin.config import Configuration
from tocsin.wiring import make_processor

START = 1_767_225_600.0
WAYS = {
    "without": {"values": "none"},
    "with": {"values": "all", "publish_every": None},
    "published": {"values": "all"},
}
BATCH = 500


def records(events: int, sources: int) -> list[Record]:
    """Return events of a minute, of all sources in turn."""
    draw = random.Random(0)
    found = []
    for offset in range(events):
        source, minute = f"source-{offset % sources}", offset // sources
        at = START + 60.0 * minute
        value = {
            "source": source,
            "timestamp": round(at),
            "values": {"x": 20 + 5 * math.sin(minute / 229) + draw.gauss(0, 1)},
        }
        found.append(Record("telemetry", 0, offset, at, source.encode(), json.dumps(value).encode()))
    return found


def timed(said: dict[str, object], events: list[Record], sources: int) -> tuple[float, float]:
    """Return microseconds an event, and bytes of a source's state as it is stored."""
    configuration = Configuration.model_validate({"telemetry": {"forecasts": said}})
    processor = make_processor(configuration)("telemetry", 0, {})
    assert isinstance(processor, TelemetryProcessor)
    begun = time.perf_counter()
    for start in range(0, len(events), BATCH):
        processor.process(events[start : start + BATCH])
    taken = time.perf_counter() - begun
    states = dict(processor.changes())
    size = sum(len(pack(states[f"source-{number}"] or b"")) for number in range(sources)) / sources
    return taken / len(events) * 1e6, size


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=50_000)
    parser.add_argument("--sources", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    events = records(options.events, options.sources)
    found: dict[str, list[tuple[float, float]]] = {way: [] for way in WAYS}
    for said in WAYS.values():  # compiles
        timed(said, events[: 5 * options.sources], options.sources)
    for _ in range(options.rounds):
        for way, said in WAYS.items():
            found[way].append(timed(said, events, options.sources))
    least = {way: min(times) for way, times in found.items()}
    without = least["without"]
    for way, (micros, size) in least.items():
        more = "" if way == "without" else f"  (+{micros - without[0]:.1f} µs, +{size - without[1]:,.0f} bytes)"
        print(f"{way:10} {micros:6.1f} µs an event, {size:8,.0f} bytes a source{more}")
    print(json.dumps({way: {"microseconds": one[0], "bytes": one[1]} for way, one in least.items()}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
