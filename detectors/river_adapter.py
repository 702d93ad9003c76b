"""Any anomaly detector of River, or pipeline that ends in one, as a detector of this service."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray
from river import anomaly, preprocessing
from river.base import SupervisedAnomalyDetector

from detectors import signed_pickle
from detectors.base import Detector, SnapshotError, parts_of
from detectors.calibration import CALIBRATION, calibrate, clear
from detectors.compiled import compiled
from detectors.forest import Forest
from detectors.score import Explanations, Score, SignalScore, ValueExplanation, anomaly_score
from detectors.signals import arrival
from detectors.signals.arrival import arrive
from detectors.signals.mean import mean, scale

FORMAT = 2
KIND = "anomaly"
FIRST_SCORES = 20
"""Scores not calibrated by: an estimator that has seen next to nothing may score anything."""

WARM_UP = 100
RATE, CLIP = 0.002, 8.0


class RiverDetector(Detector):
    """Calibrates what an estimator of ``river.anomaly`` scores into p-values, and keeps its state.

    River's estimators have no state but their Python objects, so a snapshot holds a pickle. Whoever can write a pickle
    can run code: it is signed with a secret, and one whose signature does not match is refused. Detectors that score a
    target, such as ``GaussianScorer``, watch each value by itself, without other features.

    Parameters
    ----------
    estimator
        The estimator or pipeline.
    scale
        Whether to put a ``MinMaxScaler`` before it, which most of them want.
    state_key
        Secret that signs snapshots; without one none can be made.

    Examples
    --------
    >>> from river import anomaly
    >>> detector = RiverDetector(anomaly.StandardAbsoluteDeviation(), state_key=b"secret")
    >>> usual = [detector.process_one({"x": i * 7919 % 101 / 101}) for i in range(600)]
    >>> detector.process_one({"x": 5.0}).p_value < 0.01
    True

    """

    state_format = FORMAT

    def __init__(self, estimator: Any, scale: bool = True, state_key: bytes | None = None) -> None:
        self.estimator, self.scale, self.state_key = estimator, scale, state_key
        self._per_value = isinstance(estimator, SupervisedAnomalyDetector)
        self._models: dict[str, Any] = {}
        self._events = 0
        self._arrival = np.zeros(1, arrival.STATE)
        self._silent_after = 0.0
        self._calibrations: dict[str, NDArray[np.void]] = {}

    def score_one(self, x: Mapping[str, float], t: float | None = None) -> float:
        """Return the estimator's raw score: of a detector that scores a target, that of its most anomalous value."""
        return max(self._raw(x).values(), default=0.0)

    def learn_one(self, x: Mapping[str, float], t: float | None = None) -> None:
        """Learn from an event."""
        if t is not None:
            self._silent_after = arrive(self._arrival, t)
        self._learn(x)

    def arrived(self, t: float) -> None:
        """Note that an event came, and when."""
        self._silent_after = arrive(self._arrival, t)

    def process_one(self, x: Mapping[str, float], t: float | None = None) -> Score:
        """Score an event, calibrate the score, then learn from it."""
        if not self._per_value and t is not None and self._events >= FIRST_SCORES:
            return self._process_whole(x, t)
        found = []
        known = self._events >= FIRST_SCORES
        for name, score in self._raw(x).items() if known else ():
            calibration = self._calibrations.get(name)
            if calibration is None:
                calibration = self._calibrations[name] = np.zeros(1, EXCESS)
            p_value = min(1.0, _excess(calibration[0], score) * (len(x) if self._per_value else 1))
            if self._events >= WARM_UP and p_value < 1.0:
                found.append(SignalScore(KIND, p_value, name or None))
        self.learn_one(x, t)
        found.sort(key=lambda signal: signal.p_value)
        return self._said(x, tuple(found))

    def _process_whole(self, x: Mapping[str, float], t: float) -> Score:
        """Do that with an estimator that scores whole events, at the cost of one call into compiled code."""
        calibration = self._calibrations.get("")
        if calibration is None:
            calibration = self._calibrations[""] = np.zeros(1, EXCESS)
        model = self._model("")
        score = model.process_one(x) if isinstance(model, Forest) else float(model.score_one(dict(x)))
        p_value, self._silent_after = _calibrated(calibration, self._arrival, score, t)
        found = (SignalScore(KIND, p_value),) if self._events >= WARM_UP and p_value < 1.0 else ()
        self._events += 1
        if not isinstance(model, Forest):
            model.learn_one(dict(x))
        return self._said(x, found)

    def _said(self, x: Mapping[str, float], found: tuple[SignalScore, ...]) -> Score:
        p_value = found[0].p_value if found else 1.0
        warm_up = min(1.0, self._events / WARM_UP)
        return Score(p_value, anomaly_score(p_value), found, Explanations(x, _unexplained), warm_up)

    def silent_after(self) -> float | None:
        """Seconds without an event after which this source counts as silent; ``None`` while unknown."""
        return self._silent_after or None

    def snapshot(self) -> bytes:
        """Return the state: plain data, and the estimator as a signed pickle."""
        calibrations = {name: record.tobytes() for name, record in self._calibrations.items()}
        plain = (self._events, self._arrival.tobytes(), calibrations)
        return msgspec.msgpack.encode((FORMAT, plain, *signed_pickle.write(self._models, self.state_key, "detector")))

    def restore(self, state: bytes) -> None:
        """Take up a state that ``snapshot`` gave, if it is signed with this ``state_key``."""
        parts = parts_of(state, FORMAT, "a detector of River")
        try:
            plain, signature, models = msgspec.convert(parts, tuple[Any, bytes, bytes])
            events, arrivals, calibrations = msgspec.convert(plain, tuple[int, bytes, dict[str, bytes]])
            arrived = np.frombuffer(arrivals, arrival.STATE, 1).copy()
            known = {name: np.frombuffer(record, EXCESS, 1).copy() for name, record in calibrations.items()}
        except ValueError as error:
            raise SnapshotError(f"this is no state of a detector of River ({error}): reset the state") from error
        restored = signed_pickle.read(signature, models, self.state_key, "detector")
        self._events, self._arrival, self._calibrations = events, arrived, known
        self._silent_after = arrival.silent_after(arrived[0])
        self._models = {name: self._compiled(model) for name, model in restored.items()}

    def _raw(self, x: Mapping[str, float]) -> dict[str, float]:
        if self._per_value:
            return {name: self._model(name).score_one({}, value) for name, value in x.items()}
        return {"": self._model("").score_one(dict(x))}

    def _learn(self, x: Mapping[str, float]) -> None:
        self._events += 1
        if not self._per_value:
            self._model("").learn_one(dict(x))
            return
        for name, value in x.items():
            self._model(name).learn_one({}, value)

    def _model(self, name: str) -> Any:
        model = self._models.get(name)
        if model is None:
            model = self.estimator.clone()
            if self.scale and not self._per_value:
                model = self._compiled(preprocessing.MinMaxScaler() | model)
            self._models[name] = model
        return model

    def _compiled(self, model: Any) -> Any:
        """Return what does the same as a model, in compiled code if there is any; a pipeline is left as it is."""
        return Forest(model) if self.scale and Forest.can_be(model) else model


def _unexplained(x: Mapping[str, float]) -> dict[str, ValueExplanation]:
    share = 1.0 / max(len(x), 1)
    return {name: ValueExplanation(value, None, None, None, share) for name, value in x.items()}


EXCESS = np.dtype(
    [("n", "<i8"), ("unbounded", "<i8"), ("level", "<f8"), ("usual", "<f8"), ("calibration", CALIBRATION)]
)
"""What is known of an estimator's raw scores."""

ALMOST = 1.0 - 1e-12


@compiled
def _excess(state: Any, score: float) -> float:
    """Return the p-value of a raw score, then learn it; no number is as usual.

    Scores from 0 to 1 are compared by how near they come to 1; others by how far they lie above their mean.
    """
    if not math.isfinite(score):
        return 1.0
    if not state.unbounded and 0.0 <= score <= 1.0:
        return float(calibrate(state.calibration, -math.log1p(-min(score, ALMOST))))
    if not state.unbounded:
        state.unbounded = 1
        clear(state.calibration)
    above, p_value = score - state.level, 1.0
    if state.usual > 0.0:
        p_value = calibrate(state.calibration, max(above / state.usual, 0.0))
    if state.n > 0:
        state.usual = scale(state.usual, abs(above), state.n, RATE, CLIP)
    state.n += 1
    state.level = mean(state.level, score, state.n, RATE)
    return p_value


@compiled
def _calibrated(excesses: Any, arrivals: Any, score: float, t: float) -> tuple[float, float]:
    """Return the p-value of a raw score, and how long silence is usual after its event; learn both."""
    return min(1.0, _excess(excesses[0], score)), arrive(arrivals, t)


def prepare() -> None:
    """Compile what runs beside River's estimators, or load it if that was done before: no event has to wait for it."""
    for estimator in (anomaly.HalfSpaceTrees(n_trees=1, height=1, window_size=5), anomaly.GaussianScorer()):
        detector = RiverDetector(estimator)
        for i in range(2 * FIRST_SCORES):
            detector.process_one({"x": float(i % 7)}, float(i))
            detector.learn_one({"x": 0.0}, i + 0.5)
