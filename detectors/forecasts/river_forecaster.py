"""River's forecasters behind our interface, with our bounds."""

from __future__ import annotations

import math
from collections import deque
from typing import Any

import numpy as np

from detectors.base import SnapshotError
from detectors.compiled import compiled
from detectors.forecasts import tracking
from detectors.forecasts.base import Errors, Forecaster, Outlook, errors_of, finite
from detectors.forecasts.tracking import COUNT, HORIZONS, SIDES
from detectors.signals.mean import scale

STRIDES = (1, 1, 2, 8, 32)
"""At how manieth event a forecast is kept for each horizon: the far ones are dear."""


class RiverForecaster(Forecaster):
    """A forecaster of River, with bounds by online conformal prediction as those of the default.

    For comparison and offline use: a forecast costs River some 10 µs for each step, and its state is Python objects,
    which only a pickle could keep, so it has no snapshot. A forecast that is no number is taken for the last value, one
    farther beyond all values than these lie apart for the nearest that is not: some models diverge.

    Parameters
    ----------
    model
        A fresh estimator of ``river.time_series``.
    coverage
        Share of values that the bounds promise to hold, above 0.8 and below 1.

    Examples
    --------
    >>> from river.time_series import HoltWinters
    >>> forecaster = RiverForecaster(HoltWinters(alpha=0.3, beta=0.1))
    >>> for i in range(100):
    ...     forecaster.learn_one(2.0 * i + i % 3, float(i))
    >>> forecast = forecaster.forecast(10)
    >>> round(forecast.mean), forecast.lower < 219 < forecast.upper
    (219, True)

    """

    def __init__(self, model: Any, coverage: float = 0.95) -> None:
        super().__init__(coverage)
        self._model = model
        self._tracked: Any = np.zeros(1, tracking.STATE)
        _begin(self._tracked, (1.0 - coverage) / 2.0)
        self._offsets = np.zeros(SIDES)
        self._kept: list[deque[tuple[float, float, float, float]]] = [
            deque(maxlen=int(steps) // stride) for steps, stride in zip(HORIZONS, STRIDES, strict=True)
        ]
        self._n = 0
        self._last = math.nan
        self._least, self._most = math.inf, -math.inf
        self._time = 0.0
        self._gap = 0.0
        self._path: list[float] = []

    def learn_one(self, value: float, time: float | None = None) -> None:
        """Judge what was foretold of a value, then learn it."""
        value = finite(value, "value")
        t = float(self._n) if time is None else finite(time, "time")
        for j in range(COUNT):
            made = self._n - int(HORIZONS[j])
            if made >= 0 and made % STRIDES[j] == 0:
                mean, lower, upper, last = self._kept[j][0]
                _judge(self._tracked, j, value - last, mean - last, lower - last, upper - last, STRIDES[j])
        if self._n and t > self._time:
            self._gap = scale(self._gap, t - self._time, self._n, 0.02, 4.0)
        self._model.learn_one(value)
        self._least, self._most = min(self._least, value), max(self._most, value)
        self._last, self._time, self._path = value, max(t, self._time) if self._n else t, []
        for j in range(COUNT - 1, -1, -1):
            if self._n % STRIDES[j] == 0:
                foretold = self.outlook(float(HORIZONS[j]))
                mean = foretold.mean
                self._kept[j].append((mean, mean - foretold.below[0], mean + foretold.above[0], value))
        self._n += 1

    def outlook(self, steps: float) -> Outlook:
        """Return what is foretold of so many usual gaps ahead, with the quantiles of its error."""
        _quantiles(self._tracked, steps, self._offsets)
        one, two, three, four, five, six = self._offsets.tolist()
        mean = self._mean(steps)
        return Outlook(mean, (one, two, three), (four, five, six), mean, 0.0)

    @property
    def last(self) -> float:
        """The last value; not a number before the first."""
        return self._last

    @property
    def gap(self) -> float:
        """Usual seconds between events; 0 while unknown."""
        return self._gap

    def errors(self) -> Errors:
        """Return how the forecasts so far have done."""
        return errors_of(self._tracked[0])

    def snapshot(self) -> bytes:
        """Refuse: what River's forecasters know is no plain data."""
        raise SnapshotError("a forecaster of River has no snapshot: use the forecaster auto where states are kept")

    def restore(self, state: bytes) -> None:
        """Refuse: what River's forecasters know is no plain data."""
        raise SnapshotError("a forecaster of River has no snapshot: use the forecaster auto where states are kept")

    def _mean(self, steps: float) -> float:
        """Return River's forecast; between two events, what lies between."""
        needed = math.ceil(steps)
        if needed > len(self._path):
            try:
                self._path = [float(each) for each in self._model.forecast(needed)]
            except (ArithmeticError, IndexError, TypeError, ValueError):  # it has not learned enough, or diverged
                self._path = [self._last] * needed
        after = self._path[needed - 1]
        before = self._path[needed - 2] if needed > 1 else self._last
        mean = after + (steps - needed) * (after - before)
        room = self._most - self._least
        return min(max(mean, self._least - room), self._most + room) if math.isfinite(mean) else self._last


@compiled
def _begin(states: Any, tail: float) -> None:
    tracking.begin(states[0], tail)


@compiled
def _judge(states: Any, j: int, came: float, mean: float, lower: float, upper: float, stride: int) -> None:
    tracking.judge(states[0], j, came, mean, lower, upper, stride)


@compiled
def _quantiles(states: Any, steps: float, offsets: Any) -> None:
    j, part = tracking.between(steps)
    tracking.quantiles(states[0], steps, j, part, offsets)
