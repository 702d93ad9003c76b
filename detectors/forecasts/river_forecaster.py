"""River's forecasters behind our interface, with our bounds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from detectors import signed_pickle
from detectors.base import SnapshotError, parts_of
from detectors.forecasts.base import Outlook
from detectors.forecasts.judged import Judged

FORMAT = 1
NO_BOUNDS = (0.0, 0.0, 0.0)


class RiverForecaster(Judged):
    """A forecaster of River, with bounds by online conformal prediction as those of the default.

    A forecast costs River some 10 µs for each step, so that an event costs about a millisecond. Its state is Python
    objects, which only a pickle keeps: snapshots are signed. A forecast that is no number is taken for the last value,
    one farther beyond all values than these lie apart for the nearest that is not: some models diverge. Covariates are
    given to the model for the event after them, since those of the event itself are not known ahead.

    Parameters
    ----------
    model
        A fresh estimator of ``river.time_series``.
    coverage
        Share of values that the bounds promise to hold, above 0.8 and below 1.
    covariates
        Names of other values that the model is given.
    state_key
        Secret that signs snapshots; without one none can be made.

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

    def __init__(
        self, model: Any, coverage: float = 0.95, covariates: Sequence[str] = (), state_key: bytes | None = None
    ) -> None:
        super().__init__(coverage)
        self._model, self._covariates, self._state_key = model, covariates, state_key
        self._least, self._most = math.inf, -math.inf
        self._x: dict[str, float] = {}
        self._path: list[float] = []

    def snapshot(self) -> bytes:
        """Return the state: plain data, and the estimator as a signed pickle."""
        plain = self._judged.tobytes(), self._least, self._most, self._x
        return msgspec.msgpack.encode((FORMAT, plain, *signed_pickle.write(self._model, self._state_key, "forecaster")))

    def restore(self, state: bytes) -> None:
        """Take up a state that ``snapshot`` gave, if it is signed with this ``state_key``."""
        parts = parts_of(state, FORMAT, "a forecaster of River")
        try:
            plain, signature, written = msgspec.convert(parts, tuple[Any, bytes, bytes])
            judged, least, most, x = msgspec.convert(plain, tuple[bytes, float, float, dict[str, float]])
        except ValueError as error:
            raise SnapshotError(f"this is no state of a forecaster of River ({error}): reset the state") from error
        model = signed_pickle.read(signature, written, self._state_key, "forecaster")
        self._restore_judged(judged)
        self._model, self._least, self._most, self._x, self._path = model, least, most, x, []

    def _learn(self, value: float, t: float, x: Mapping[str, float]) -> None:
        self._model.learn_one(value, self._x)  # those of the event before: ahead none are known
        self._x |= {name: x[name] for name in self._covariates if name in x}
        self._least, self._most = min(self._least, value), max(self._most, value)
        self._path = []

    def _middle(self, steps: float) -> Outlook:
        """Return River's forecast; between two events, what lies between."""
        needed = math.ceil(steps)
        if needed > len(self._path):
            try:
                ahead = [self._x] * needed
                self._path = [float(each) for each in self._model.forecast(needed, ahead)]
            except (ArithmeticError, IndexError, TypeError, ValueError):  # it has not learned enough, or diverged
                self._path = [self.last] * needed
        after = self._path[needed - 1]
        before = self._path[needed - 2] if needed > 1 else self.last
        mean = after + (steps - needed) * (after - before)
        room = self._most - self._least
        mean = min(max(mean, self._least - room), self._most + room) if math.isfinite(mean) else self.last
        return Outlook(mean, NO_BOUNDS, NO_BOUNDS, mean, 0.0)
