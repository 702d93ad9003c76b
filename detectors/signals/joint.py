"""Joint outliers: values that do not go together as they used to."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from detectors.base import Detector, SnapshotError, parts_of
from detectors.calibration import CALIBRATION, PATIENT_BLOCK, PATIENT_PART, SMALLEST, calibrate
from detectors.compiled import compiled
from detectors.score import Score, SignalScore, ValueExplanation, anomaly_score
from detectors.signals.mean import drawn_nearer

FORMAT = 2
KIND = "joint"
RATE, DOUBTFUL_RATE = 0.001, 0.005
SMOOTHING = 0.015
DOUBTFUL = 0.01
SHRINKAGE = 0.1
NEARER = 0.55
SPREAD, ENOUGH = 10.0, 2_000.0
INVERT_EVERY = 16
WARM_UP = 30
MOST_VALUES = 64
LARGEST = 1e100
OF_99_PERCENT = 2.576

Vector = NDArray[np.float64]

STATE = np.dtype([("n", "<i8"), ("now", CALIBRATION), ("lasting", CALIBRATION), ("either", CALIBRATION)])
"""What is known besides the vectors and matrices."""


@compiled
def speaks(state: Any) -> bool:
    """Say whether enough has been seen."""
    return bool(state.now.seen >= WARM_UP)


@compiled
def together(places: Any, x: Any, size: int) -> Any:
    """Return an event's values at their places, those that are missing as not a number; below 0 one is left out."""
    values = np.full(size, np.nan)
    for i in range(len(x)):
        if places[i] >= 0:
            values[places[i]] = max(-LARGEST, min(x[i], LARGEST))
    return values


@compiled
def process(states: Any, mean: Any, recent: Any, covariance: Any, precision: Any, x: Any, told: Any) -> float:
    """Return the p-value of an event's values together, then learn them; one that is missing is not a number.

    ``told`` takes the deviations that the p-value is about.
    """
    state, size = states[0], len(mean)
    state.n += 1
    deviations = np.zeros(size)
    for i in range(size):
        if not math.isnan(x[i]):
            deviations[i] = x[i] - mean[i]
        recent[i] += SMOOTHING * (deviations[i] - recent[i])
    p_value = 1.0
    if state.n > WARM_UP + size:
        at_once = calibrate(state.now, _distance(precision, deviations), PATIENT_PART, PATIENT_BLOCK)
        lasting = calibrate(state.lasting, _distance(precision, recent), PATIENT_PART, PATIENT_BLOCK)
        smaller = min(at_once, lasting)
        p_value = calibrate(state.either, math.expm1(-math.log(smaller) / SPREAD), PATIENT_PART, PATIENT_BLOCK)
        if state.either.total < ENOUGH:
            p_value = min(1.0, 2.0 * smaller)
        told[:] = deviations if at_once <= lasting else recent
    rate = max(RATE, 1.0 / state.n) * (DOUBTFUL_RATE if p_value <= DOUBTFUL else 1.0)
    for i in range(size):
        mean[i] += rate * deviations[i]
        for j in range(size):
            covariance[i, j] += rate * (deviations[i] * deviations[j] - covariance[i, j])
    if state.n % INVERT_EVERY == 0:
        _invert(covariance, precision)
    return p_value if speaks(state) else 1.0


@compiled
def _distance(precision: Any, deviations: Any) -> float:
    """Return the Mahalanobis distance for each value; far ones are drawn nearer, since what goes together drifts."""
    square = 0.0
    for i in range(len(deviations)):
        for j in range(len(deviations)):
            square += deviations[i] * precision[i, j] * deviations[j]
    return drawn_nearer(math.sqrt(square / len(deviations)), NEARER) if square > 0.0 else 0.0


@compiled
def _invert(covariance: Any, precision: Any) -> None:
    """Bring the inverse of the shrunk covariance up to date; values that have never changed are left out."""
    size = len(covariance)
    correlation = np.eye(size)
    for i in range(size):
        for j in range(size):
            product = covariance[i, i] * covariance[j, j]
            if i != j and product > 0.0:
                correlation[i, j] = (1.0 - SHRINKAGE) * covariance[i, j] / math.sqrt(product)
    inverse = np.linalg.inv(correlation)
    for i in range(size):
        for j in range(size):
            product = covariance[i, i] * covariance[j, j]
            precision[i, j] = inverse[i, j] / math.sqrt(product) if product > 0.0 else 0.0


class Joint(Detector):
    """Mahalanobis distance of all values from their mean, at once and of what lasts.

    Mean and covariance are learned exponentially weighted, of events that look anomalous two hundred times more slowly.
    The distance (Hotelling's T²) is taken of the event's deviations, for outliers and broken correlations, and of their
    mean over the last seventy or so, for small deviations that last; the smaller p-value counts, doubled, or, once
    there are 2,000, calibrated. The covariance is shrunk towards its diagonal (Ledoit and Wolf 2004, with a fixed
    weight). Values beyond the first 64 are left out.

    Cost: about 3 µs an event of eight values. State: 16 bytes for each pair of values, and 1 KB.

    References
    ----------
    Hotelling, H. (1947). Multivariate quality control. In: Techniques of Statistical Analysis. McGraw-Hill.
    Ledoit, O., Wolf, M. (2004). A well-conditioned estimator for large-dimensional covariance matrices. Journal of
    Multivariate Analysis 88(2). https://doi.org/10.1016/S0047-259X(03)00096-4

    Examples
    --------
    >>> joint = Joint()
    >>> usual = [joint.process_one({"a": i % 7, "b": i % 7 + i % 3 / 10}) for i in range(500)]
    >>> joint.process_one({"a": 6.0, "b": 0.0}).p_value < 1e-3  # each is usual, but not both together
    True

    """

    state_format = FORMAT

    def __init__(self) -> None:
        self._places: dict[str, int] = {}
        self._record = np.zeros(1, STATE)
        self._mean, self._recent, self._told = np.zeros(0), np.zeros(0), np.zeros(0)
        self._covariance, self._precision = np.zeros((0, 0)), np.zeros((0, 0))

    def meet(self, x: Mapping[str, float]) -> list[int]:
        """Make room for an event's values; return the place of each, below 0 for those that are left out."""
        if not self._places.keys() >= x.keys():
            self._add([name for name in x if name not in self._places], x)
        return [self._places.get(name, -1) for name in x]

    @property
    def parts(self) -> tuple[Any, Vector, Vector, Vector, Vector, Vector]:
        """What ``process`` takes: the state, the vectors and matrices, and what takes the deviations."""
        return self._record, self._mean, self._recent, self._covariance, self._precision, self._told

    def p_value(self, x: Mapping[str, float]) -> float:
        """Return the p-value of an event's values together, then learn them."""
        places = np.array(self.meet(x), np.int64)
        values = together(places, np.array(list(x.values()), np.float64), len(self._places))
        return process(self._record, self._mean, self._recent, self._covariance, self._precision, values, self._told)

    @property
    def speaks(self) -> bool:
        """Whether it has seen enough."""
        return speaks(self._record[0])

    def process_one(self, x: Mapping[str, float], t: float | None = None) -> Score:
        """Score an event, explain it, then learn from it."""
        p_value = max(self.p_value(x), SMALLEST) if x else 1.0
        values = self.explain(x)
        name = max(values, key=lambda name: values[name].contribution, default=None)
        signals = (SignalScore(KIND, p_value, name),) if p_value < 1.0 else ()
        return Score(p_value, anomaly_score(p_value), signals, values)

    def explain(self, x: Mapping[str, float]) -> dict[str, ValueExplanation]:
        """Say what the other values made likely of each value of the event that was processed last."""
        weighed = self._precision @ self._told
        shares = np.maximum(self._told * weighed, 0.0)
        present = [self._places[name] for name in x if name in self._places]
        total = float(shares[present].sum())
        explained = {}
        for name, value in x.items():
            i = self._places.get(name)
            if i is None:
                explained[name] = ValueExplanation(value, None, None, None, 0.0)
                continue
            precision, mean = float(self._precision[i, i]), float(self._mean[i])
            share = float(shares[i]) / total if total > 0.0 else 1.0 / len(present)
            if precision <= 0.0:
                explained[name] = ValueExplanation(value, mean, None, None, share)
                continue
            expected = mean + float(self._told[i] - weighed[i] / precision)
            allowed = OF_99_PERCENT / math.sqrt(precision)
            explained[name] = ValueExplanation(value, expected, expected - allowed, expected + allowed, share)
        return explained

    def score_one(self, x: Mapping[str, float], t: float | None = None) -> float:
        """Return the anomaly score of an event without learning it."""
        copy = Joint()
        copy.restore(self.snapshot())
        return copy.process_one(x, t).anomaly_score

    def learn_one(self, x: Mapping[str, float], t: float | None = None) -> None:
        """Learn from an event."""
        self.process_one(x, t)

    def snapshot(self) -> bytes:
        """Return the whole learned state: numbers and names."""
        vectors = np.concatenate((self._mean, self._recent, self._covariance.ravel(), self._precision.ravel()))
        return msgspec.msgpack.encode((FORMAT, list(self._places), self._record.tobytes(), vectors.tobytes()))

    def restore(self, state: bytes) -> None:
        """Take up a state that ``snapshot`` gave."""
        parts = parts_of(state, FORMAT, f"the detector {KIND}")
        try:
            names, record, numbers = msgspec.convert(parts, tuple[list[str], bytes, bytes])
            size = len(names)
            records, vectors = np.frombuffer(record, STATE).copy(), np.frombuffer(numbers).copy()
            if len(records) != 1 or len(vectors) != 2 * (size + 1) * size or len(set(names)) != size:
                raise ValueError("its names and numbers do not go together")  # noqa: TRY301
        except ValueError as error:
            raise SnapshotError(
                f"this is no state of the detector {KIND} ({error}): reset the source's state"
            ) from error
        self._record = records
        self._mean, self._recent, covariance, precision = np.split(vectors, [size, 2 * size, (2 + size) * size])
        self._covariance, self._precision = covariance.reshape(size, size), precision.reshape(size, size)
        self._places, self._told = {name: i for i, name in enumerate(names)}, np.zeros(size)

    def _add(self, new: list[str], x: Mapping[str, float]) -> None:
        new = sorted(new)[: MOST_VALUES - len(self._places)]
        old, size = len(self._places), len(self._places) + len(new)
        self._places |= {name: old + i for i, name in enumerate(new)}
        more = len(new)
        self._mean = np.append(self._mean, [max(-LARGEST, min(x[name], LARGEST)) for name in new])
        self._recent, self._told = np.append(self._recent, np.zeros(more)), np.zeros(size)
        self._covariance = np.pad(self._covariance, (0, more))
        self._precision = np.pad(self._precision, (0, more))
