"""Times the default detector beside detectors of River, and measures its state.

    python benchmarks/detector_cost.py

Every detector sees the same events, in one run, each score followed by its learning; medians of repeated runs.
"""

from __future__ import annotations

import json
import random
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

from river import anomaly, preprocessing

from detectors.auto import Auto
from detectors.base import Detector

EVENTS, REPEATS = 5_000, 5


def events(values: int) -> list[dict[str, float]]:
    """Return events of so many values: waves with noise."""
    chance = random.Random(values)
    return [{f"v{k}": chance.gauss((i % 200) / 50, 1.0) for k in range(values)} for i in range(EVENTS)]


def microseconds(make: Callable[[], Any], stream: list[dict[str, float]]) -> float:
    """Return the median time for an event."""
    taken = []
    for _ in range(REPEATS):
        model = make()
        step = process(model)
        began = time.perf_counter()
        for x in stream:
            step(x)
        taken.append((time.perf_counter() - began) / len(stream) * 1e6)
    return statistics.median(taken)


def process(model: Any) -> Callable[[Mapping[str, float]], object]:
    """Return what a service does with an event: score it, then learn it."""
    if isinstance(model, Detector):
        return model.process_one

    def step(x: Mapping[str, float]) -> None:
        model.score_one(x)
        model.learn_one(x)

    return step


def state_bytes(values: int) -> int:
    """Return the size of a source's state after all events."""
    detector = Auto()
    for x in events(values):
        detector.process_one(x)
    return len(detector.snapshot())


def main() -> None:
    """Measure, and print a table; the last line is one JSON object."""
    models: dict[str, Callable[[], Any]] = {
        "auto": Auto,
        "HalfSpaceTrees(10, 8)": lambda: preprocessing.MinMaxScaler() | anomaly.HalfSpaceTrees(seed=1),
        "HalfSpaceTrees(25, 8)": lambda: (
            preprocessing.MinMaxScaler() | anomaly.HalfSpaceTrees(n_trees=25, height=8, seed=1)
        ),
        "LODA": lambda: anomaly.LODA(seed=1),
    }
    results: dict[str, dict[str, Any]] = {}
    print(f"{'detector':<24}{'values':>8}{'µs an event':>14}{'beside auto':>14}")
    for values in (1, 8):
        stream = events(values)
        times = {name: microseconds(make, stream) for name, make in models.items()}
        for name, taken in times.items():
            print(f"{name:<24}{values:>8}{taken:>14.1f}{taken / times['auto']:>14.2f}")
        results[str(values)] = {"microseconds": times, "auto_state_bytes": state_bytes(values)}
        print(f"state of auto with {values} value(s) after {EVENTS:,} events: {state_bytes(values):,} bytes")
    print(json.dumps(results))


if __name__ == "__main__":
    main()
