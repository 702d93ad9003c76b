"""The default forecaster: level, trend, season and short memory, weighed by how well each has done."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np

from detectors.base import SnapshotError, parts_of
from detectors.compiled import compiled
from detectors.forecasts import outlook, profiles
from detectors.forecasts.base import LARGEST, Errors, Forecaster, Outlook, errors_of, finite, ratio
from detectors.forecasts.tracking import SIDES

FORMAT = 1


class AutoForecaster(Forecaster):
    """The default: needs no tuning, forecasts from the second event on, any horizon.

    Eight simple forecasts are made at each horizon: the last value, the level, the last value moved as the season
    moves, the mean of this time of day, week or found period, the same around the median, a damped trend, a slow one
    that goes on, and a regression of the value so far ahead on the value, level and slow level of today, from which it
    takes what short memory there is. Each counts by the inverse sixteenth power of its recent mean absolute error.

    The bounds are conformal: at horizons of 1, 4, 16, 64 and 256 events each bound moves out when a value lies beyond
    it and a little in when not (quantile tracking), so that over time the promised share keeps to them, whatever the
    values' distribution and however it drifts. Steps are multiplicative, in units of the usual error. Horizons between
    are interpolated, farther ones grow with the square root of time.

    Cost: about 2 µs an event, and 2 µs for each forecast asked for. State: 4 KB.

    The design was chosen on NAB's artificial categories, realAWSCloudwatch and realAdExchange (23 of its 47 real
    series); results on the others are on unseen data.

    Parameters
    ----------
    coverage
        Share of values that the bounds promise to hold, above 0.8 and below 1.

    Examples
    --------
    >>> import math
    >>> forecaster = AutoForecaster()
    >>> for hour in range(24 * 14):
    ...     forecaster.learn_one(20 + 5 * math.sin(hour / 12 * math.pi) + hour * 7 % 5 / 10, 3600.0 * hour)
    >>> at_six, at_six_in_the_evening = forecaster.forecast(7), forecaster.forecast(seconds=19 * 3600.0)
    >>> round(at_six.mean), round(at_six_in_the_evening.mean)
    (25, 15)
    >>> at_six.lower < 25 < at_six.upper
    True
    >>> forecaster.errors().mase < 0.5
    True

    References
    ----------
    Angelopoulos, A. N., Candès, E. J., Tibshirani, R. J. (2023). Conformal PID control for time series prediction.
    NeurIPS 36. https://arxiv.org/abs/2307.16895
    Gibbs, I., Candès, E. J. (2021). Adaptive conformal inference under distribution shift. NeurIPS 34.
    https://arxiv.org/abs/2106.00170
    Bates, J. M., Granger, C. W. J. (1969). The combination of forecasts. Operational Research Quarterly 20(4).
    https://doi.org/10.1057/jors.1969.103
    Gardner, E. S., McKenzie, E. (1985). Forecasting trends in time series. Management Science 31(10).
    https://doi.org/10.1287/mnsc.31.10.1237

    """

    def __init__(self, coverage: float = 0.95) -> None:
        super().__init__(coverage)
        self._state: Any = np.zeros(1, outlook.STATE)
        self._offsets = np.zeros(SIDES + 2)
        _begin(self._state, (1.0 - coverage) / 2.0)

    def learn_one(self, value: float, time: float | None = None, x: Mapping[str, float] | None = None) -> None:
        """Judge what was foretold of a value, then learn it."""
        value = max(-LARGEST, min(finite(value, "value"), LARGEST))
        t = float(self._state["paths"]["n"][0]) if time is None else finite(time, "time")
        _learn(self._state, value, t)

    def outlook(self, steps: float) -> Outlook:
        """Return what is foretold of so many usual gaps ahead, with the quantiles of its error."""
        mean = float(_foresee(self._state, steps, self._offsets))
        one, two, three, four, five, six, going_on, sure = self._offsets.tolist()
        return Outlook(mean, (one, two, three), (four, five, six), going_on, sure)

    @property
    def last(self) -> float:
        """The last value; not a number before the first."""
        paths = self._state["paths"]
        return float(paths["last"][0]) if paths["n"][0] else math.nan

    @property
    def adjusted(self) -> float:
        """The last value without its season, as far as one is known."""
        return float(_adjusted(self._state))

    @property
    def gap(self) -> float:
        """Usual seconds between events; 0 while unknown."""
        return float(self._state["paths"]["profiles"]["gap"][0])

    def errors(self) -> Errors:
        """Return how the forecasts so far have done."""
        seasonal = self._state["seasonal"][0]
        return errors_of(self._state["tracking"][0], ratio(float(seasonal["error"]), float(seasonal["seasonal"])))

    def snapshot(self) -> bytes:
        """Return the whole learned state: numbers."""
        return msgspec.msgpack.encode((FORMAT, self._state.tobytes()))

    def restore(self, state: bytes) -> None:
        """Take up a state that ``snapshot`` gave; with it comes the share that its bounds hold."""
        parts = parts_of(state, FORMAT, "the forecaster auto")
        try:
            (numbers,) = msgspec.convert(parts, tuple[bytes])
            restored = np.frombuffer(numbers, outlook.STATE).copy()
            if len(restored) != 1:
                raise ValueError(f"there are {len(restored)} records")  # noqa: TRY301
        except ValueError as error:
            raise SnapshotError(
                f"this is no state of the forecaster auto ({error}): reset the source's state"
            ) from error
        self._state = restored
        self.coverage = 1.0 - 2.0 * float(restored["tracking"]["tail"][0])


@compiled
def _begin(states: Any, tail: float) -> None:
    outlook.begin(states[0], tail)


@compiled
def _learn(states: Any, value: float, t: float) -> None:
    outlook.learn(states[0], value, t)


@compiled
def _adjusted(states: Any) -> float:
    known = states[0].paths
    return known.last - profiles.season(known.profiles, int(known.which), float(known.profiles.newest))


@compiled
def _foresee(states: Any, steps: float, offsets: Any) -> float:
    return outlook.foresee(states[0], steps, offsets)
