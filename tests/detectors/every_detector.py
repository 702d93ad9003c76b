"""Every detector there is, by name, and events for them."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator

import pytest

from detectors.auto import Auto
from detectors.base import Detector
from detectors.registry import DetectorSettings, detector_factory
from detectors.signals.arrival import Arrival
from detectors.signals.flatline import Flatline
from detectors.signals.joint import Joint
from detectors.signals.level import Level
from detectors.signals.pattern import Pattern
from detectors.signals.rare import Rare
from detectors.signals.season import Season
from detectors.signals.signal import Signal
from detectors.signals.spike import Spike
from detectors.signals.trend import Trend
from detectors.signals.variance import Variance

KEY = b"a secret for tests"
SIGNALS: dict[str, type[Signal]] = {
    kind.kind: kind for kind in (Spike, Level, Trend, Variance, Season, Pattern, Rare, Flatline, Arrival)
}
OURS: dict[str, Callable[[], Detector]] = {"auto": Auto, **SIGNALS, "joint": Joint}
RIVERS: dict[str, Callable[[], Detector]] = {
    **{
        name: detector_factory(DetectorSettings(name=name), KEY)
        for name in (
            "river.HalfSpaceTrees",
            "river.LODA",
            "river.OneClassSVM",
            "river.GaussianScorer",
            "river.StandardAbsoluteDeviation",
        )
    },
    **{
        " | ".join(name for step in steps for name in step): detector_factory(
            DetectorSettings(name="river", pipeline=steps), KEY
        )
        for steps in (
            [{"StandardScaler": {}}, {"HalfSpaceTrees": {"n_trees": 5, "height": 6}}],
            [{"Select": ["flow", "heat"]}, {"RobustScaler": {}}, {"PolynomialExtender": {}}, {"OneClassSVM": {}}],
            [{"MinMaxScaler": {}}, {"RBFSampler": {"n_components": 4}}, {"LODA": {"n_random_cuts": 10}}],
            [{"GaussianScorer": {}}],
        )
    },
}
DETECTORS = OURS | RIVERS

every_detector = pytest.mark.parametrize("make", DETECTORS.values(), ids=DETECTORS)
each_of_ours = pytest.mark.parametrize("make", OURS.values(), ids=OURS)


def events(count: int, seed: int = 5) -> Iterator[tuple[float, dict[str, float]]]:
    """Yield a reading of two values every minute, its time first."""
    chance = random.Random(seed)
    for i in range(count):
        yield 60.0 * i, {"flow": chance.gauss(10, 1), "heat": 70 + 5 * math.sin(i / 50) + chance.gauss(0, 0.2)}


def eventful(count: int, seed: int = 5) -> Iterator[tuple[float, dict[str, float]]]:
    """Yield the same with what telemetry has besides: spikes, gaps, late events."""
    chance = random.Random(seed)
    for i, (t, x) in enumerate(events(count, seed)):
        if chance.random() < 0.02:
            x["flow"] += 30.0
        yield t + (600.0 if i > count // 2 else 0.0) - (90.0 if chance.random() < 0.03 else 0.0), x


def patchy(count: int, seed: int = 5) -> Iterator[tuple[float, dict[str, float]]]:
    """Yield the same with values that are missing now and then."""
    chance = random.Random(seed)
    for t, x in eventful(count, seed):
        if chance.random() < 0.05:
            del x["heat"]
        yield t, x
