"""The one interface of every forecaster of a single series."""

from __future__ import annotations

import abc
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.forecasts.tracking import HORIZONS

Numbers = NDArray[np.float64]

HOUR = 3600.0
LARGEST = 1e30
"""Larger values are taken for this one."""


class ForecastError(ValueError):
    """A value, time or horizon that nothing can be foretold from; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """What a value will be.

    Parameters
    ----------
    mean
        The value in the middle, in the value's own unit.
    lower, upper
        Bounds that the promised share of values keeps to.

    """

    mean: float
    lower: float
    upper: float


@dataclass(frozen=True, slots=True)
class HorizonErrors:
    """How forecasts so far ahead have done: each was judged when its event came, before that was learned.

    Parameters
    ----------
    steps
        How far ahead, in events.
    judged
        Number of forecasts; of far horizons only some are judged.
    mae, naive_mae
        Mean absolute error, and that of the last value carried forward; not a number before the first.
    coverage
        Share of values within the bounds, as these were given.

    """

    steps: int
    judged: int
    mae: float
    naive_mae: float
    coverage: float


@dataclass(frozen=True, slots=True)
class Errors:
    """How a forecaster has done so far.

    Parameters
    ----------
    horizons
        Errors by horizon, the nearest first.
    mase
        Mean absolute scaled error: that of one step ahead, in units of the naive forecast's; below 1 is better.
    seasonal
        The error of one step ahead in units of that of the seasonal-naive forecast, the value a day ago, over the same
        events; below 1 is better. Not a number before the second day, or where that is not tracked.

    References
    ----------
    Hyndman, R. J., Koehler, A. B. (2006). Another look at measures of forecast accuracy. International Journal of
    Forecasting 22(4). https://doi.org/10.1016/j.ijforecast.2006.03.001

    """

    horizons: tuple[HorizonErrors, ...]
    mase: float
    seasonal: float


@dataclass(frozen=True, slots=True)
class Outlook:
    """What is foretold of one moment, with its error's quantiles.

    Parameters
    ----------
    mean
        The value in the middle.
    below, above
        How far the quantiles of the bound, of a tenth and of a quarter are below it, and above; at least 0.
    going_on
        The value in the middle if the trend of the moment goes on until then.
    sure
        How sure it is that there is such a trend, 0 to 1.

    """

    mean: float
    below: tuple[float, float, float]
    above: tuple[float, float, float]
    going_on: float
    sure: float


class Forecaster(abc.ABC):
    """Learns a series of numbers value by value, and says at any time what comes, and how sure that is.

    Parameters
    ----------
    coverage
        Share of values that the bounds promise to hold, above 0.8 and below 1.

    Raises
    ------
    detectors.forecasts.base.ForecastError
        If there can be no such bounds.

    """

    def __init__(self, coverage: float = 0.95) -> None:
        if not 0.8 < coverage < 1.0:
            raise ForecastError(f"coverage: {coverage} is not above 0.8 and below 1; 0.95 is usual")
        self.coverage = coverage

    @abc.abstractmethod
    def learn_one(self, value: float, time: float | None = None, x: Mapping[str, float] | None = None) -> None:
        """Judge what was foretold of a value, then learn it.

        Parameters
        ----------
        value
            A finite number.
        time
            Event time, epoch seconds. ``None`` counts events one second apart.
        x
            Covariates: what may tell of the values to come, by name. A forecaster that takes none pays no heed to them.

        Raises
        ------
        detectors.forecasts.base.ForecastError
            If value or time is no finite number. Nothing is learned then.

        """

    @abc.abstractmethod
    def outlook(self, steps: float) -> Outlook:
        """Return what is foretold of so many usual gaps ahead, with the quantiles of its error."""

    @property
    @abc.abstractmethod
    def last(self) -> float:
        """The last value; not a number before the first."""

    @property
    def adjusted(self) -> float:
        """The last value without its season, as far as one is known."""
        return self.last

    @property
    @abc.abstractmethod
    def gap(self) -> float:
        """Usual seconds between events; 0 while unknown."""

    @abc.abstractmethod
    def errors(self) -> Errors:
        """Return how the forecasts so far have done."""

    @abc.abstractmethod
    def snapshot(self) -> bytes:
        """Return the whole learned state in a compact, versioned, non-executable form."""

    @abc.abstractmethod
    def restore(self, state: bytes) -> None:
        """Take up a state that ``snapshot`` gave.

        Raises
        ------
        detectors.base.SnapshotError
            If the state is damaged, of another forecaster, or of another format.

        """

    def forecast(self, steps: float | None = None, *, seconds: float | None = None) -> Forecast:
        """Return what the value will be.

        Parameters
        ----------
        steps
            How far ahead, in usual gaps between events; 1 is the next event.
        seconds
            The same in seconds after the last event.

        Raises
        ------
        detectors.forecasts.base.ForecastError
            If nothing has been learned, the horizon is not in the future, or seconds are asked for before two events
            have told how long a step is.

        """
        foretold = self.outlook(self._steps(steps, seconds))
        return Forecast(foretold.mean, foretold.mean - foretold.below[0], foretold.mean + foretold.above[0])

    def trend_per_hour(self, steps: float) -> float:
        """Return by how much the forecast moves in an hour, on the way from the next event to so many steps ahead."""
        way = (steps - 1.0) * self.gap / HOUR
        if way <= 0.0:
            return 0.0
        there, here = self.outlook(steps), self.outlook(1.0)
        going_on = there.going_on - here.going_on
        return (there.mean - here.mean + there.sure * (going_on - (there.mean - here.mean))) / way

    def _steps(self, steps: float | None, seconds: float | None) -> float:
        if math.isnan(self.last):
            raise ForecastError("nothing has been learned yet: learn a value first")
        if seconds is not None:
            if self.gap <= 0.0:
                raise ForecastError("how long a step is shows from the second event on: ask for steps, or later")
            steps = seconds / self.gap
        steps = 1.0 if steps is None else float(steps)
        if not 0.0 < steps < math.inf:
            raise ForecastError(f"{steps} steps ahead is not in the future: ask for more than 0")
        return steps


def finite(value: float, what: str) -> float:
    """Return a number if it is a finite one.

    Examples
    --------
    >>> finite(float("nan"), "value")
    Traceback (most recent call last):
    ...
    detectors.forecasts.base.ForecastError: value: nan is not a finite number; leave the event out

    """
    number = float(value)
    if not math.isfinite(number):
        raise ForecastError(f"{what}: {number} is not a finite number; leave the event out")
    return number


def errors_of(tracked: Any, seasonal: float = math.nan) -> Errors:
    """Return the errors that a tracking record holds."""
    horizons = tuple(
        HorizonErrors(int(steps), int(n), *(float(total) / int(n) if n else math.nan for total in sums))
        for steps, n, *sums in zip(
            HORIZONS, tracked["judged"], tracked["error"], tracked["naive"], tracked["covered"], strict=True
        )
    )
    return Errors(horizons, ratio(horizons[0].mae, horizons[0].naive_mae), seasonal)


def ratio(error: float, other: float) -> float:
    """Return one error in units of another; not a number where the other is 0 or unknown."""
    return float(error / other) if other > 0.0 else math.nan
