"""Measures whether p-values mean what they say: how often p ≤ 0.1, 0.01 and 0.001 happen where nothing is wrong.

    python benchmarks/calibration.py                        12 streams of 40,000 events of each shape, half a minute
    python benchmarks/calibration.py --seeds 4 --json       fewer; and what programs read, on the last line

Each number is the share of such p-values divided by what it should be: 1 is right, below 1 is calm, above 1 is noisy.
The first 15,000 events of each stream are not counted. A signal that never speaks on a shape has no row.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.compiled import compiled
from detectors.judgement import KINDS, SOURCE, VALUE, _judge_value, _weigh
from detectors.registry import DetectorSettings, detector_factory
from detectors.signals import arrival
from detectors.signals.joint import STATE as JOINT_STATE
from detectors.signals.joint import process as joint_process

LEVELS = (0.1, 0.01, 0.001)
INTERVAL = 600.0
"""Seconds between events."""

Numbers = NDArray[np.float64]
Ratios = dict[str, tuple[float, ...]]
"""By detector, for each level: how often p is at or below it, divided by the level."""


def autoregressive(chance: np.random.Generator, count: int, share: float) -> Numbers:
    """Return values of which each keeps a share of the one before it."""
    values = chance.normal(size=count)
    _accumulate(values, share)
    return values


@compiled
def _accumulate(values: Any, share: float) -> None:
    for i in range(1, len(values)):
        values[i] += share * values[i - 1]


def daily(chance: np.random.Generator, count: int) -> Numbers:
    """Return a wave of a day, four times as high as the noise on it."""
    hours = np.arange(count) * INTERVAL / 3600.0
    return 4.0 * np.sin(hours / 24.0 * 2.0 * np.pi) + chance.normal(size=count)


SHAPES: Mapping[str, Callable[[np.random.Generator, int], Numbers]] = {
    "gaussian": lambda chance, count: chance.normal(size=count),
    "exponential": lambda chance, count: chance.exponential(size=count),
    "Student t, 5 degrees": lambda chance, count: chance.standard_t(5, size=count),
    "autoregressive 0.5": lambda chance, count: autoregressive(chance, count, 0.5),
    "autoregressive 0.9": lambda chance, count: autoregressive(chance, count, 0.9),
    "daily season": daily,
    "uniform": lambda chance, count: chance.uniform(size=count),
    "five values": lambda chance, count: chance.integers(0, 5, size=count).astype(float),
}
"""Stationary streams, from which a day's season takes nothing away: it is the same each day."""

DETECTORS = (*KINDS, "arrival", "auto")


@compiled
def _p_values(sources: Any, values: Any, x: Any, times: Any, given: Any) -> None:
    """Put a row for each event: the p-value of each signal, of its arrival, and of all together."""
    row, places = np.ones((1, len(KINDS))), np.zeros(1, np.int64)
    for i in range(len(x)):
        _judge_value(values[0], x[i], times[i], row[0])
        given[i, : len(KINDS)] = row[0]
        given[i, len(KINDS)] = arrival.process(sources[0].arrival, 0.0, times[i])
        given[i, len(KINDS) + 1] = _weigh(sources[0], values, places, row, -1.0, given[i, len(KINDS)])


def measure(shape: str, seeds: Sequence[int], count: int, burn_in: int) -> Ratios:
    """Measure the signals of one value and the default detector; events come at random times, 600 s apart on average.

    Parameters
    ----------
    shape
        One of ``SHAPES``.
    seeds
        One stream for each.
    count, burn_in
        Events of a stream, and how many of them are not counted.

    """
    shares = []
    for seed in seeds:
        chance = np.random.default_rng(seed)
        x, given = SHAPES[shape](chance, count), np.ones((count, len(DETECTORS)))
        regular = shape == "daily season"
        times = INTERVAL * (np.arange(count) if regular else np.cumsum(chance.exponential(size=count)))
        _p_values(np.zeros(1, SOURCE), np.zeros(1, VALUE), x, times, given)
        shares.append([(given[burn_in:] <= level).mean(axis=0) / level for level in LEVELS])
    ratios = np.mean(shares, axis=0).T
    return {name: tuple(map(float, row)) for name, row in zip(DETECTORS, ratios, strict=True) if row.any()}


@compiled
def _joint_p_values(state: Any, values: Any, given: Any) -> None:
    size = values.shape[1]
    mean, recent, told = values[0].copy(), np.zeros(size), np.zeros(size)
    covariance, precision = np.zeros((size, size)), np.zeros((size, size))
    for i in range(len(values)):
        given[i] = joint_process(state, mean, recent, covariance, precision, values[i], told)


def measure_joint(shape: str, seeds: Sequence[int], count: int, burn_in: int) -> tuple[float, ...]:
    """Measure ``joint`` on four values that have half of what they are in common."""
    shares = []
    for seed in seeds:
        chance = np.random.default_rng(seed)
        common, given = SHAPES[shape](chance, count), np.ones(count)
        values = np.stack([common + SHAPES[shape](chance, count) for _ in range(4)], axis=1)
        _joint_p_values(np.zeros(1, JOINT_STATE), values, given)
        shares.append([(given[burn_in:] <= level).mean() / level for level in LEVELS])
    return tuple(map(float, np.mean(shares, axis=0)))


def measure_detector(
    name: str, shape: str, seeds: Sequence[int], count: int, burn_in: int, values: int = 1
) -> tuple[float, ...]:
    """Measure a detector by its name, event by event, on values that have nothing in common."""
    shares = []
    for seed in seeds:
        chance = np.random.default_rng(seed)
        columns = [SHAPES[shape](chance, count).tolist() for _ in range(values)]
        detector = detector_factory(DetectorSettings(name=name))()
        names = [f"v{i}" for i in range(values)]
        given = np.array(
            [
                detector.process_one(dict(zip(names, x, strict=True)), INTERVAL * i).p_value
                for i, x in enumerate(zip(*columns, strict=True))
            ]
        )
        shares.append([(given[burn_in:] <= level).mean() / level for level in LEVELS])
    return tuple(map(float, np.mean(shares, axis=0)))


def main(seeds: int, count: int, burn_in: int, as_json: bool) -> None:
    """Measure everything and print it."""
    chosen, found = range(1, seeds + 1), {}
    print(f"{'shape':22}{'detector':22}" + "".join(f"{f'p ≤ {level}':>12}" for level in LEVELS))
    for shape in SHAPES:
        found[shape] = measure(shape, chosen, count, burn_in)
        if shape != "daily season":
            found[shape]["joint"] = measure_joint(shape, chosen, count, burn_in)
        _print(shape, found[shape])
    rivers = {
        name: measure_detector(name, "gaussian", chosen[:3], min(count, 12_000), min(burn_in, 4_000))
        for name in ("river.GaussianScorer", "river.HalfSpaceTrees")
    }
    _print("gaussian", rivers)
    found["gaussian"] |= rivers
    if as_json:
        print(json.dumps({"levels": LEVELS, "seeds": seeds, "events": count, "burn_in": burn_in, "ratios": found}))


def _print(shape: str, ratios: Ratios) -> None:
    for name, row in ratios.items():
        print(f"{shape:22}{name:22}" + "".join(f"{ratio:12.2f}" for ratio in row))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=12, help="streams of each shape")
    parser.add_argument("--events", type=int, default=40_000, help="events of a stream")
    parser.add_argument("--burn-in", type=int, default=15_000, help="first events that are not counted")
    parser.add_argument("--json", action="store_true", help="print what programs read on the last line")
    given = parser.parse_args()
    main(given.seeds, given.events, given.burn_in, given.json)
