"""An online classifier whose every prediction is a sum that can be read: one curve for each feature."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec
from river.base import Classifier

from detectors.base import SnapshotError
from detectors.transactions.snapshots import decode_state


class Curve(NamedTuple):
    """Where a feature's curve has its knots: every ``step`` from ``low`` to ``high``, constant beyond.

    ``prior`` is the curve's slope per unit of the feature before anything has been learned.
    """

    low: float
    high: float
    step: float
    prior: float = 0.0

    @property
    def knots(self) -> int:
        """Number of knots."""
        return round((self.high - self.low) / self.step) + 1


class Prediction(NamedTuple):
    """A probability and what each feature added to its log-odds, against what it adds on average."""

    probability: float
    contributions: dict[str, float]


class CurvesState(msgspec.Struct, array_like=True, frozen=True):
    """The classifier's learned values."""

    version: int
    curves: list[tuple[str, float, float, float, float]]
    learned: list[int]
    weights: list[float]
    squared_gradients: list[float]
    means: list[float]


class AdditiveLogisticRegression(Classifier):
    """Logistic regression on piecewise linear curves, learned one example at a time.

    The log-odds are a constant plus one curve for each feature. A curve runs straight between its knots, so
    it can follow thresholds, plateaus and cyclic habits that one weight for each feature cannot, and its
    height at a value is that value's contribution. Weights move by AdaGrad, so knots that are rarely visited
    learn as well as frequent ones: this, and not resampling, is how rare frauds count, and so the
    probabilities stay calibrated. ``Curve.prior`` gives a sensible opinion before the first label.

    Costs about 10 µs to predict and 25 µs to learn with 26 features, and 16 bytes of state for each knot.

    Parameters
    ----------
    curves
        Knots by feature. A feature that an example lacks contributes nothing.
    learning_rate
        AdaGrad's step.
    base_rate
        Share of positive examples expected before anything has been learned.

    References
    ----------
    Hastie, T., Tibshirani, R. (1986). Generalized Additive Models. Statistical Science 1(3).
    https://doi.org/10.1214/ss/1177013604
    Duchi, J., Hazan, E., Singer, Y. (2011). Adaptive Subgradient Methods for Online Learning and Stochastic
    Optimization. Journal of Machine Learning Research 12.

    Examples
    --------
    >>> model = AdditiveLogisticRegression({"amount": Curve(0.0, 10.0, 1.0)}, base_rate=0.5)
    >>> for i in range(5_000):
    ...     model.learn_one({"amount": i % 10}, i % 10 in (3, 4))
    >>> [model.predict_proba_one({"amount": a})[True] > 0.5 for a in (1, 3, 9)]
    [False, True, False]

    """

    VERSION = 1

    def __init__(self, curves: Mapping[str, Curve], learning_rate: float = 0.1, base_rate: float = 0.005) -> None:
        self.curves = curves
        self.learning_rate = learning_rate
        self.base_rate = base_rate
        self.learned = [0, 0]
        self._weights = [math.log(base_rate / (1.0 - base_rate))]
        self._places: list[tuple[str, float, float, int, int]] = []
        for name, curve in curves.items():
            self._places.append((name, curve.low, 1.0 / curve.step, curve.knots - 1, len(self._weights)))
            heights = [curve.prior * (curve.low + i * curve.step) for i in range(curve.knots)]
            zero = curve.prior * min(max(0.0, curve.low), curve.high)
            self._weights += [height - zero for height in heights] + [0.0]
        self._squared_gradients = [0.01] * len(self._weights)
        self._means = [0.0] * len(self._places)

    def predict_proba_one(self, x: Mapping[str, Any], **_: Any) -> dict[bool, float]:
        """Return the probability of both answers."""
        probability = _probability(self._weights[0] + sum(self._heights(x)))
        return {False: 1.0 - probability, True: probability}

    def explain_one(self, x: Mapping[str, Any]) -> Prediction:
        """Return the probability of ``True`` and each feature's contribution to the log-odds."""
        heights = self._heights(x)
        contributions = {
            place[0]: height - mean
            for place, height, mean in zip(self._places, heights, self._means, strict=True)
            if place[0] in x
        }
        return Prediction(_probability(self._weights[0] + sum(heights)), contributions)

    def learn_one(self, x: Mapping[str, Any], y: bool) -> None:
        """Move every curve towards the answer where this example touches it."""
        weights, squared = self._weights, self._squared_gradients
        heights = self._heights(x)
        error = _probability(weights[0] + sum(heights)) - (1.0 if y else 0.0)
        self.learned[bool(y)] += 1
        rate, forget = self.learning_rate, 1.0 / min(sum(self.learned), 10_000)
        self._means = [mean + forget * (height - mean) for mean, height in zip(self._means, heights, strict=True)]
        squared[0] += error * error
        weights[0] -= rate * error / math.sqrt(squared[0])
        for name, low, per_step, last, first in self._places:
            value = x.get(name)
            if value is None:
                continue
            position = min(max((value - low) * per_step, 0.0), last)
            knot = int(position)
            share = position - knot
            knot += first
            gradient = error * (1.0 - share)
            squared[knot] += gradient * gradient
            weights[knot] -= rate * gradient / math.sqrt(squared[knot])
            if share:
                gradient = error * share
                squared[knot + 1] += gradient * gradient
                weights[knot + 1] -= rate * gradient / math.sqrt(squared[knot + 1])

    def snapshot(self) -> bytes:
        """Return the learned values in a compact, versioned, non-executable form."""
        return msgspec.msgpack.encode(
            CurvesState(
                self.VERSION,
                self._named_curves(),
                self.learned,
                self._weights,
                self._squared_gradients,
                self._means,
            )
        )

    def restore(self, state: bytes) -> None:
        """Take up what ``snapshot`` gave.

        Raises
        ------
        detectors.base.SnapshotError
            If the state is damaged, or of a classifier with other curves.

        """
        saved = decode_state(state, CurvesState, self.VERSION)
        if saved.curves != self._named_curves():
            raise SnapshotError("the classifier's curves have changed; start it anew or restore the old settings")
        self.learned = saved.learned
        self._weights = saved.weights
        self._squared_gradients = saved.squared_gradients
        self._means = saved.means

    def _named_curves(self) -> list[tuple[str, float, float, float, float]]:
        return [(name, *map(float, curve)) for name, curve in self.curves.items()]  # type: ignore[misc]

    def _heights(self, x: Mapping[str, Any]) -> list[float]:
        weights = self._weights
        heights = []
        for name, low, per_step, last, first in self._places:
            value = x.get(name)
            if value is None:
                heights.append(0.0)
                continue
            position = min(max((value - low) * per_step, 0.0), last)
            knot = int(position)
            share = position - knot
            knot += first
            heights.append(weights[knot] + share * (weights[knot + 1] - weights[knot]))
        return heights


def _probability(log_odds: float) -> float:
    if log_odds < -40.0:
        return math.exp(log_odds)
    return 1.0 / (1.0 + math.exp(-log_odds))
