"""Finds forecasters by name: the default and River's, which is imported when it is asked for."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from detectors.forecasts.auto import AutoForecaster
from detectors.forecasts.base import Forecaster, ForecastError
from detectors.forecasts.covariate_forecaster import CovariateForecaster

AUTO = "auto"
RIVER: dict[str, dict[str, Any]] = {
    "river.HoltWinters": {"alpha": 0.3},
    "river.SNARIMAX": {"p": 3, "d": 0, "q": 1},
}
"""Classes of ``river.time_series``, with the parameters that they take if none are given."""


def forecaster_factory(
    name: str = AUTO,
    parameters: Mapping[str, Any] | None = None,
    coverage: float = 0.95,
    covariates: Sequence[str] = (),
    state_key: bytes | None = None,
) -> Callable[[], Forecaster]:
    """Return what makes a new series' forecaster.

    Parameters
    ----------
    name
        ``auto``, ``river.SNARIMAX`` or ``river.HoltWinters``.
    parameters
        Parameters of River's class.
    coverage
        Share of values that the bounds promise to hold, above 0.8 and below 1.
    covariates
        Names of other values that may tell of those to come.
    state_key
        Secret that signs the states of River's forecasters, which are pickles.

    Raises
    ------
    detectors.forecasts.base.ForecastError
        If there is no forecaster of this name or it does not take these parameters or covariates.

    Examples
    --------
    >>> forecaster_factory("river.HoltWinters", {"alpha": 0.2})().coverage
    0.95
    >>> forecaster_factory("river.Snarimax")
    Traceback (most recent call last):
    ...
    detectors.forecasts.base.ForecastError: there is no forecaster 'river.Snarimax': did you mean 'river.SNARIMAX'?

    """
    make: Callable[[], Forecaster]
    if name == AUTO:
        if parameters:
            raise ForecastError("the forecaster 'auto' takes no parameters: leave them out")
        make = partial(CovariateForecaster, covariates, coverage) if covariates else partial(AutoForecaster, coverage)
    elif name in RIVER:
        make = _of_river(name, RIVER[name] if parameters is None else parameters, coverage, covariates, state_key)
    else:
        raise ForecastError(_unknown(name))
    make()
    return make


def names() -> list[str]:
    """Return the names of all forecasters that there are."""
    return [AUTO, *RIVER]


def _of_river(
    name: str, parameters: Mapping[str, Any], coverage: float, covariates: Sequence[str], state_key: bytes | None
) -> Callable[[], Forecaster]:
    from river import time_series  # noqa: PLC0415 - start-up time

    from detectors.forecasts.river_forecaster import RiverForecaster  # noqa: PLC0415 - start-up time

    kind = getattr(time_series, name.removeprefix("river."))
    try:
        kind(**parameters)
    except (TypeError, ValueError) as error:
        taken = ", ".join(inspect.signature(kind).parameters)
        raise ForecastError(f"forecaster {name!r} cannot be made: {error}; its parameters: {taken}") from error
    return lambda: RiverForecaster(kind(**parameters), coverage, covariates, state_key)


def _unknown(name: str) -> str:
    lowered = {known.lower(): known for known in names()}
    near = difflib.get_close_matches(name.lower(), lowered, n=1, cutoff=0.5)
    hint = f"did you mean {lowered[near[0]]!r}?" if near else f"there are {', '.join(names())}"
    return f"there is no forecaster {name!r}: {hint}"
