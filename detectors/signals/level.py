"""Level shifts: values that have moved, and stay."""

from __future__ import annotations

from typing import Any

import numpy as np

from detectors.calibration import CALIBRATION, calibrate
from detectors.compiled import compiled
from detectors.signals.mean import drawn_nearer, mean, scale
from detectors.signals.signal import Signal

FAST, SLOW, CLIP = 0.1, 0.005, 4.0
WARM_UP = 20

STATE = np.dtype([("n", "<i8"), ("fast", "<f8"), ("slow", "<f8"), ("usual", "<f8"), ("calibration", CALIBRATION)])


@compiled
def compare(state: Any, value: float, fast: float, slow: float, warm_up: int, nearer: float = 1.0) -> float:
    """Return the p-value of the distance between a fast and a slow mean, with this value, then learn it.

    Far distances are drawn ``nearer``: the slower the means, the fewer of the distances so far tell anything new.
    """
    state.n += 1
    state.fast = mean(state.fast, value, state.n, fast)
    state.slow = mean(state.slow, value, state.n, slow)
    if state.n <= warm_up:
        return 1.0  # until then the two means are nearly the same
    distance, p_value = abs(state.fast - state.slow), 1.0
    if state.usual > 0.0:
        p_value = calibrate(state.calibration, drawn_nearer(distance / state.usual, nearer))
    state.usual = scale(state.usual, distance, state.n - warm_up, SLOW, CLIP)
    return p_value


@compiled
def process(state: Any, value: float, t: float) -> float:
    """Return the p-value of where the values are now, with this one, then learn it."""
    return compare(state, value, FAST, SLOW, WARM_UP)


@compiled
def allowed(state: Any) -> float:
    """Return the distance from the slow mean that about 99 % of normal values keep to."""
    return float(state.calibration.limit) * state.usual


class Level(Signal):
    """Distance between the mean of the last ten values or so and that of the last two hundred.

    Cost: about 0.3 µs an event. State: 0.4 KB for each value.

    Examples
    --------
    >>> level = Level()
    >>> before = [level.process_one({"x": i % 7 / 7}) for i in range(1000)]
    >>> min(level.process_one({"x": 8 + i % 7 / 7}).p_value for i in range(20)) < 1e-4
    True

    """

    kind = "level"
    state = STATE
    process = staticmethod(process)
