"""The detectors that are timed beside each other, each as a service would run it: score an event, then learn it."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from river import anomaly, preprocessing

from detectors.base import Detector

Event = Mapping[str, float]
Step = Callable[[Event, float], object]


@dataclass(frozen=True, slots=True)
class Contender:
    """A fresh model: what it does with an event, and how large its state is.

    Parameters
    ----------
    step
        Scores an event of a time, then learns it.
    state
        Returns the serialised state.

    """

    step: Step
    state: Callable[[], bytes]


def of_detector(make: Callable[[], Detector]) -> Contender:
    """Return a detector of this service.

    Examples
    --------
    >>> from detectors.auto import Auto
    >>> contender = of_detector(Auto)
    >>> contender.step({"x": 1.0}, 0.0).p_value, len(contender.state()) > 0
    (1.0, True)

    """
    detector = make()
    return Contender(detector.process_one, detector.snapshot)


def of_estimator(estimator: Any) -> Contender:
    """Return an estimator of River that scores events; its state is its pickle, as River has no other."""

    def step(x: Event, _: float) -> None:
        estimator.score_one(x)
        estimator.learn_one(x)

    return Contender(step, lambda: pickle.dumps(estimator))


def of_scorer(make: Callable[[], Any]) -> Contender:
    """Return an estimator of River that scores one number, as many of it as there are values."""
    scorers: dict[str, Any] = {}

    def step(x: Event, _: float) -> None:
        for name, value in x.items():
            scorer = scorers.get(name)
            if scorer is None:
                scorer = scorers[name] = make()
            scorer.score_one({}, value)
            scorer.learn_one({}, value)

    return Contender(step, lambda: pickle.dumps(scorers))


def _forest(trees: int, height: int) -> Contender:
    return of_estimator(preprocessing.MinMaxScaler() | anomaly.HalfSpaceTrees(n_trees=trees, height=height, seed=1))


OTHERS: dict[str, Callable[[], Contender]] = {
    "HalfSpaceTrees(10, 8)": lambda: _forest(10, 8),
    "HalfSpaceTrees(25, 8)": lambda: _forest(25, 8),
    "LODA": lambda: of_estimator(anomaly.LODA(seed=1)),
    "StandardAbsoluteDeviation": lambda: of_scorer(anomaly.StandardAbsoluteDeviation),
    "GaussianScorer": lambda: of_scorer(anomaly.GaussianScorer),
}
"""River's detectors, the forests behind a ``MinMaxScaler``, the scorers one per value."""
