"""The default forecaster, corrected by what other values tell."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np

from detectors.base import SnapshotError, parts_of
from detectors.compiled import compiled
from detectors.forecasts import covariates
from detectors.forecasts.auto import AutoForecaster
from detectors.forecasts.base import LARGEST, ForecastError, Outlook
from detectors.forecasts.judged import Judged
from detectors.forecasts.tracking import HORIZONS

FORMAT = 1


class CovariateForecaster(Judged):
    """Learns by how much the default forecaster will be off, given what other values of the source are now.

    At each horizon a ridge regression foretells its error from each covariate, a fast and a slower level of it, so that
    a covariate may be ahead of the value by a few events or by some dozen. The correction counts as far as it has made
    forecasts better, by the sixteenth power of the errors without and with it. The bounds are conformal and those of
    what is foretold in the end. A covariate that an event lacks stays what it was.

    Cost: about 30 µs an event. State: 11 KB.

    Parameters
    ----------
    names
        Of the covariates, 1 to 4.
    coverage
        Share of values that the bounds promise to hold, above 0.8 and below 1.

    Raises
    ------
    detectors.forecasts.base.ForecastError
        If there are too many covariates, none, or one twice.

    Examples
    --------
    The level of a tank follows its inlet by four events.

    >>> import random
    >>> draw, inlet = random.Random(0), [0.0] * 4
    >>> with_inlet, without = CovariateForecaster(["inlet"]), AutoForecaster()
    >>> for i in range(2000):
    ...     inlet.append(0.8 * inlet[-1] + draw.gauss(0, 1))
    ...     level = 50 + 3 * inlet[-5] + draw.gauss(0, 0.5)
    ...     with_inlet.learn_one(level, float(i), {"inlet": inlet[-1]})
    ...     without.learn_one(level, float(i))
    >>> [round(with_inlet.errors().horizons[j].mae / without.errors().horizons[j].mae, 1) for j in (0, 1)]
    [1.0, 0.4]

    """

    def __init__(self, names: Sequence[str], coverage: float = 0.95) -> None:
        super().__init__(coverage)
        if not 0 < len(names) <= covariates.MOST or len(set(names)) < len(names):
            raise ForecastError(
                f"covariates: {', '.join(names) or 'none'}: name 1 to {covariates.MOST} values, each once"
            )
        self.names = tuple(names)
        self._base = AutoForecaster(coverage)
        self._state: Any = np.zeros(1, covariates.STATE)

    @property
    def adjusted(self) -> float:
        """The last value without its season, as far as one is known."""
        return self._base.adjusted

    def snapshot(self) -> bytes:
        """Return the whole learned state: numbers, and the names of the covariates."""
        numbers = self._state.tobytes(), self._judged.tobytes()
        return msgspec.msgpack.encode((FORMAT, self.names, self._base.snapshot(), *numbers))

    def restore(self, state: bytes) -> None:
        """Take up a state that ``snapshot`` gave; of other covariates only what does not rest on them."""
        parts = parts_of(state, FORMAT, "the forecaster with covariates")
        try:
            names, base, numbers, judged = msgspec.convert(parts, tuple[tuple[str, ...], bytes, bytes, bytes])
            restored = np.frombuffer(numbers, covariates.STATE, 1).copy()
        except ValueError as error:
            raise SnapshotError(
                f"this is no state of the forecaster with covariates ({error}): reset the source's state"
            ) from error
        self._base.restore(base)
        self._restore_judged(judged)
        if names == self.names:
            self._state = restored

    def _learn(self, value: float, t: float, x: Mapping[str, float]) -> None:
        others = np.full(covariates.MOST, math.nan)
        others[: len(self.names)] = [x.get(name, math.nan) for name in self.names]
        np.clip(others, -LARGEST, LARGEST, others)
        _learn(self._state, int(self._judged["n"][0]), value, others)
        self._base.learn_one(value, t)

    def _foretell(self, j: int) -> float:
        steps = float(HORIZONS[j])
        mean = self._base.outlook(steps).mean
        _keep(self._state, int(self._judged["n"][0]), j, mean)
        return mean + float(_correction(self._state, steps))

    def _middle(self, steps: float) -> Outlook:
        foretold = self._base.outlook(steps)
        moved = float(_correction(self._state, steps))
        return Outlook(foretold.mean + moved, foretold.below, foretold.above, foretold.going_on + moved, foretold.sure)


@compiled
def _learn(states: Any, made: int, value: float, x: Any) -> None:
    covariates.judge(states[0], made, value)
    covariates.learn(states[0], x)


@compiled
def _keep(states: Any, made: int, j: int, foretold: float) -> None:
    covariates.keep(states[0], made, j, foretold)


@compiled
def _correction(states: Any, steps: float) -> float:
    return covariates.correction(states[0], steps)
