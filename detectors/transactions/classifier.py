"""An online classifier whose every prediction is a sum that can be read: one curve for each feature."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray
from river.base import Classifier

from detectors.base import SnapshotError
from detectors.compiled import compiled
from detectors.transactions.snapshots import decode_state

Numbers = NDArray[np.float64]

FIRST = 0.01
"""Sum of squared gradients before the first example."""


class Curve(NamedTuple):
    """Where a feature's curve has its knots: every ``step`` from ``low`` to ``high``, constant beyond.

    ``prior`` is the curve's slope per unit of the feature before anything has been learned. With ``log`` the curve is
    over log2(1 + x) for x above 0, and the knots are on that scale.
    """

    low: float
    high: float
    step: float
    prior: float = 0.0
    log: bool = False

    @property
    def knots(self) -> int:
        """Number of knots."""
        return round((self.high - self.low) / self.step) + 1


class Prediction(NamedTuple):
    """A probability and what each feature added to its log-odds, against what it adds on average."""

    probability: float
    contributions: dict[str, float]


_NamedCurve = tuple[str | float, ...]
"""A feature's name, then lowest and highest knot, step and prior; and 1 where the curve is logarithmic."""


class CurvesState(msgspec.Struct, array_like=True, frozen=True):
    """The classifier's learned values."""

    version: int
    curves: list[_NamedCurve]
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

    The loops over the curves are compiled. Costs about 10 µs to predict with reasons and 10 µs to learn with 36
    features, and 16 bytes of state for each knot.

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
        self._names = tuple(curves)
        weights = [math.log(base_rate / (1.0 - base_rate))]
        places = []
        for curve in curves.values():
            places.append((curve.low, 1.0 / curve.step, curve.knots - 1, len(weights)))
            heights = [curve.prior * (curve.low + i * curve.step) for i in range(curve.knots)]
            zero = curve.prior * min(max(0.0, curve.low), curve.high)
            weights += [height - zero for height in heights] + [0.0]
        self._weights = np.array(weights)
        self._places = np.array(places, float).reshape(-1, 4)
        self._squared_gradients = np.full(len(weights), FIRST)
        self._means = np.zeros(len(places))
        self._logarithmic = tuple(i for i, curve in enumerate(curves.values()) if curve.log)

    def predict_proba_one(self, x: Mapping[str, Any], **_: Any) -> dict[bool, float]:
        """Return the probability of both answers."""
        log_odds, _heights = self._look(self._values(x))
        probability = _probability(log_odds)
        return {False: 1.0 - probability, True: probability}

    def explain_one(self, x: Mapping[str, Any]) -> Prediction:
        """Return the probability of ``True`` and each feature's contribution to the log-odds."""
        log_odds, heights = self._look(self._values(x))
        contributions = {
            name: added for name, added in zip(self._names, (heights - self._means).tolist(), strict=True) if name in x
        }
        return Prediction(_probability(log_odds), contributions)

    def learn_one(self, x: Mapping[str, Any], y: bool) -> None:
        """Move every curve towards the answer where this example touches it."""
        values = self._values(x)
        log_odds, heights = self._look(values)
        error = _probability(log_odds) - (1.0 if y else 0.0)
        self.learned[bool(y)] += 1
        self._means += (heights - self._means) / min(sum(self.learned), 10_000)
        move(values, self._places, self._weights, self._squared_gradients, error, self.learning_rate)

    def hurry(self, times: float) -> None:
        """Let the next steps be so many times larger; they shrink again as examples come."""
        self._squared_gradients = np.maximum(self._squared_gradients / times**2, FIRST)

    def snapshot(self) -> bytes:
        """Return the learned values in a compact, versioned, non-executable form."""
        return msgspec.msgpack.encode(
            CurvesState(
                self.VERSION,
                self._named_curves(),
                self.learned,
                self._weights.tolist(),
                self._squared_gradients.tolist(),
                self._means.tolist(),
            )
        )

    def restore(self, state: bytes) -> None:
        """Take up what ``snapshot`` gave: the curves of before stay learned, new ones begin, others are dropped.

        Raises
        ------
        detectors.base.SnapshotError
            If the state is damaged, or a feature's curve has other knots.

        """
        saved = decode_state(state, CurvesState, self.VERSION)
        self.learned = list(saved.learned)
        curves = self._named_curves()
        if saved.curves == curves:
            self._weights = np.array(saved.weights)
            self._squared_gradients = np.array(saved.squared_gradients)
            self._means = np.array(saved.means)
        else:
            self._take_over(saved, curves)

    def _take_over(self, saved: CurvesState, curves: list[_NamedCurve]) -> None:
        """Take the constant, and each curve that is still there."""
        before = {curve[0]: (number, curve) for number, curve in enumerate(saved.curves)}
        knots = [round((high - low) / step) + 1 for _, low, high, step, *_ in saved.curves]  # type: ignore[operator]
        begins = np.cumsum([1, *(count + 1 for count in knots)])
        self._weights[0], self._squared_gradients[0] = saved.weights[0], saved.squared_gradients[0]
        for i, curve in enumerate(curves):
            if curve[0] not in before:
                continue
            number, was = before[curve[0]]
            if was != curve:
                raise SnapshotError(
                    f"the classifier's curves have changed: {curve[0]} has other knots; restore the old settings, give"
                    " the feature another name, or start the classifier anew"
                )
            size, here, there = knots[number] + 1, int(self._places[i, 3]), int(begins[number])
            self._weights[here : here + size] = saved.weights[there : there + size]
            self._squared_gradients[here : here + size] = saved.squared_gradients[there : there + size]
            self._means[i] = saved.means[number]

    def _named_curves(self) -> list[_NamedCurve]:
        return [(name, *map(float, curve[:4]), *((1.0,) if curve.log else ())) for name, curve in self.curves.items()]

    def _values(self, x: Mapping[str, Any]) -> Numbers:
        values = [x.get(name, math.nan) for name in self._names]
        for i in self._logarithmic:
            if values[i] > 0.0:
                values[i] = math.log2(1.0 + values[i])
        return np.array(values, float)

    def _look(self, values: Numbers) -> tuple[float, Numbers]:
        heights = np.empty(len(values))
        return look_up(values, self._places, self._weights, heights), heights


@compiled
def look_up(values: Numbers, places: Numbers, weights: Numbers, heights: Numbers) -> float:
    """Return the log-odds, and write each curve's height at its feature's value; 0 where the value is missing.

    Parameters
    ----------
    values
        One for each feature; not a number where it is missing.
    places
        For each feature: the lowest knot, knots for each unit, number of the last knot, and where its weights begin.
    weights
        The constant, then the height at each knot of each curve.
    heights
        Written to.

    """
    total = 0.0
    for i in range(len(values)):
        heights[i] = 0.0
        if not math.isnan(values[i]):
            position = min(max((values[i] - places[i, 0]) * places[i, 1], 0.0), places[i, 2])
            knot = int(position)
            share = position - knot
            at = int(places[i, 3]) + knot
            heights[i] = weights[at] + share * (weights[at + 1] - weights[at])
        total += heights[i]
    return float(weights[0] + total)


@compiled
def move(values: Numbers, places: Numbers, weights: Numbers, squared: Numbers, error: float, rate: float) -> None:
    """Take one step of AdaGrad at the knots that an example touches.

    Parameters
    ----------
    values, places, weights
        As in ``look_up``; weights are changed.
    squared
        Sum of squared gradients for each weight; changed.
    error
        Predicted probability less the answer.
    rate
        Step.

    """
    squared[0] += error * error
    weights[0] -= rate * error / math.sqrt(squared[0])
    for i in range(len(values)):
        if math.isnan(values[i]):
            continue
        position = min(max((values[i] - places[i, 0]) * places[i, 1], 0.0), places[i, 2])
        knot = int(position)
        share = position - knot
        at = int(places[i, 3]) + knot
        gradient = error * (1.0 - share)
        squared[at] += gradient * gradient
        weights[at] -= rate * gradient / math.sqrt(squared[at])
        if share > 0.0:
            gradient = error * share
            squared[at + 1] += gradient * gradient
            weights[at + 1] -= rate * gradient / math.sqrt(squared[at + 1])


def _probability(log_odds: float) -> float:
    if log_odds < -40.0:
        return math.exp(log_odds)
    return 1.0 / (1.0 + math.exp(-log_odds))


def prepare() -> None:
    """Compile the loops, or load them if that was done before: no transaction has to wait for it."""
    model = AdditiveLogisticRegression({"any": Curve(0.0, 1.0, 1.0)})
    model.learn_one({"any": 0.5}, True)
