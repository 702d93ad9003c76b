"""Any forecaster of the middle, with bounds by online conformal prediction."""

from __future__ import annotations

import abc
from collections.abc import Mapping
from typing import Any

import numpy as np

from detectors.base import SnapshotError
from detectors.compiled import compiled
from detectors.forecasts import seasonal, tracking
from detectors.forecasts.base import LARGEST, Errors, Forecaster, Outlook, errors_of, finite, ratio
from detectors.forecasts.tracking import COUNT, FROM, HORIZONS, KEPT, SIDES, SLOTS, STRIDES, TAIL
from detectors.signals.mean import scale

GAP_RATE, GAP_CLIP = 0.02, 4.0
MEAN, LOWER, UPPER = range(3)

STATE = np.dtype(
    [
        ("n", "<i8"),
        ("last", "<f8"),
        ("time", "<f8"),
        ("gap", "<f8"),
        ("tracking", tracking.STATE),
        ("seasonal", seasonal.STATE),
        ("kept", "<f8", (KEPT, 3)),
        ("kept_last", "<f8", KEPT),
    ]
)


class Judged(Forecaster):
    """What is foretold of the middle is judged when its value comes; from that come the bounds.

    Subclasses tell the middle and learn; the bounds are those of the default forecaster.
    """

    def __init__(self, coverage: float = 0.95) -> None:
        super().__init__(coverage)
        self._judged: Any = np.zeros(1, STATE)
        _begin(self._judged, (1.0 - coverage) / 2.0)
        self._offsets = np.zeros(SIDES)

    def learn_one(self, value: float, time: float | None = None, x: Mapping[str, float] | None = None) -> None:
        """Judge what was foretold of a value, then learn it."""
        value = max(-LARGEST, min(finite(value, "value"), LARGEST))
        t = float(self._judged["n"][0]) if time is None else finite(time, "time")
        _judge(self._judged, value, t)
        self._learn(value, t, x or {})
        made = int(self._judged["n"][0])
        for j in range(COUNT - 1, -1, -1):
            if made % int(STRIDES[j]) == 0:
                _keep(self._judged, j, self._foretell(j))
        self._judged["n"] += 1

    def outlook(self, steps: float) -> Outlook:
        """Return what is foretold of so many usual gaps ahead, with the quantiles of its error."""
        _quantiles(self._judged, steps, self._offsets)
        one, two, three, four, five, six = self._offsets.tolist()
        middle = self._middle(steps)
        return Outlook(middle.mean, (one, two, three), (four, five, six), middle.going_on, middle.sure)

    @property
    def last(self) -> float:
        """The last value; not a number before the first."""
        return float(self._judged["last"][0])

    @property
    def gap(self) -> float:
        """Usual seconds between events; 0 while unknown."""
        return float(self._judged["gap"][0])

    def errors(self) -> Errors:
        """Return how the forecasts so far have done."""
        beside = self._judged["seasonal"][0]
        return errors_of(self._judged["tracking"][0], ratio(float(beside["error"]), float(beside["seasonal"])))

    @abc.abstractmethod
    def _learn(self, value: float, t: float, x: Mapping[str, float]) -> None:
        """Learn a value, with its covariates."""

    def _foretell(self, j: int) -> float:
        """Return the middle of the ``j``-th horizon, which will be judged."""
        return self._middle(float(HORIZONS[j])).mean

    @abc.abstractmethod
    def _middle(self, steps: float) -> Outlook:
        """Return what is foretold of so many usual gaps ahead; its bounds do not count."""

    def _restore_judged(self, numbers: bytes) -> None:
        """Take up what was judged so far, and with it the share that the bounds hold.

        Raises
        ------
        detectors.base.SnapshotError
            If these are no such numbers.

        """
        if len(numbers) != STATE.itemsize:
            raise SnapshotError("this is no state of a forecaster: reset the source's state")
        self._judged = np.frombuffer(numbers, STATE).copy()
        self.coverage = 1.0 - 2.0 * float(self._judged["tracking"]["tail"][0])


@compiled
def _begin(states: Any, tail: float) -> None:
    tracking.begin(states[0].tracking, tail)
    states[0].last = np.nan


@compiled
def _judge(states: Any, value: float, t: float) -> None:
    """Judge what was foretold of a value."""
    state = states[0]
    n = int(state.n)
    if n > 0:
        error, naive = abs(value - float(state.kept[0, MEAN])), abs(value - state.last)
        seasonal.judge(state.seasonal, value, t, state.gap, error, naive)
        if t > state.time:
            state.gap = scale(state.gap, t - state.time, n, GAP_RATE, GAP_CLIP)
    for j in range(COUNT):
        made = n - int(HORIZONS[j])
        if made >= 0 and made % STRIDES[j] == 0:
            slot = FROM[j] + made // STRIDES[j] % SLOTS[j]
            kept, last = state.kept[slot], state.kept_last[slot]
            mean, lower, upper = kept[MEAN] - last, kept[LOWER] - last, kept[UPPER] - last
            tracking.judge(state.tracking, j, value - last, mean, lower, upper, STRIDES[j])
    seasonal.keep(state.seasonal, value, t)
    state.time = t if n == 0 else max(t, state.time)
    state.last = value


@compiled
def _keep(states: Any, j: int, mean: float) -> None:
    """Keep what is foretold of the ``j``-th horizon until its value comes."""
    state, offsets = states[0], np.zeros(SIDES)
    slot = FROM[j] + state.n // STRIDES[j] % SLOTS[j]
    tracking.quantiles(state.tracking, float(HORIZONS[j]), j, 0.0, offsets)
    kept = state.kept[slot]
    kept[MEAN], kept[LOWER], kept[UPPER] = mean, mean - offsets[TAIL], mean + offsets[3 + TAIL]
    state.kept_last[slot] = state.last


@compiled
def _quantiles(states: Any, steps: float, offsets: Any) -> None:
    j, part = tracking.between(steps)
    tracking.quantiles(states[0].tracking, steps, j, part, offsets)
