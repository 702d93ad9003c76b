"""Variance changes: values that scatter more, or less, than they used to."""

from __future__ import annotations

from typing import Any

import numpy as np

from detectors.calibration import CALIBRATION, calibrate
from detectors.compiled import compiled
from detectors.signals.mean import mean, scale
from detectors.signals.signal import Signal

LEVEL, FAST, SLOW, CLIP = 0.06, 0.1, 0.005, 4.0
WARM_UP = 40
LEAST_SHARE = 1e-3

STATE = np.dtype([("n", "<i8"), ("level", "<f8"), ("spread", "<f8"), ("usual", "<f8"), ("calibration", CALIBRATION)])


@compiled
def process(state: Any, value: float, t: float) -> float:
    """Return the p-value of the present scatter, with this value, then learn it."""
    state.n += 1
    state.level = mean(state.level, value, state.n, LEVEL)
    deviation = abs(value - state.level)
    state.spread = mean(state.spread, deviation, state.n, FAST)
    state.usual = scale(state.usual, deviation, state.n, SLOW, CLIP)
    if state.n <= WARM_UP or state.usual <= 0.0:
        return 1.0
    ratio = state.spread / state.usual + LEAST_SHARE
    return calibrate(state.calibration, max(ratio, 1.0 / ratio) - 1.0)


class Variance(Signal):
    """Ratio of the mean absolute deviation of the last ten values or so to that of the last two hundred.

    A scatter that has halved is as odd as one that has doubled. Cost: about 0.3 µs an event. State: 0.4 KB for each
    value.

    Examples
    --------
    >>> variance = Variance()
    >>> before = [variance.process_one({"x": i * 7919 % 13 / 13}) for i in range(1000)]
    >>> min(variance.process_one({"x": 9 * (i * 7919 % 13 / 13)}).p_value for i in range(30)) < 1e-4
    True

    """

    kind = "variance"
    state = STATE
    process = staticmethod(process)
