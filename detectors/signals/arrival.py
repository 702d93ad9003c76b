"""Arrivals: how long a source usually keeps silent between two events."""

from __future__ import annotations

from typing import Any

import numpy as np

from detectors.calibration import CALIBRATION, calibrate, score_at
from detectors.compiled import compiled
from detectors.signals.mean import mean

RATE = 0.01
SILENT_P = 1e-6
LEAST_GAPS = 5.0
WARM_UP = 20
EARLY = 0.2
"""A gap shorter than this share of the usual one is as odd as one that is longer by as much."""

STATE = np.dtype([("n", "<i8"), ("newest", "<f8"), ("gap", "<f8"), ("calibration", CALIBRATION)])


@compiled
def process(state: Any, t: float) -> float:
    """Return the p-value of when an event arrives, by event time, then learn it; late events are as usual."""
    if state.n == 0:
        state.n, state.newest = 1, t
        return 1.0
    if t <= state.newest:
        return 1.0
    gap, p_value = t - state.newest, 1.0
    state.newest = t
    if state.gap > 0.0:
        score = gap / state.gap
        p_value = calibrate(state.calibration, score if score > EARLY else min(EARLY * EARLY / score, 1e9))
        p_value = max(p_value, 1.0 / (state.n + 1.0))  # one gap is no surer than the number of those seen
    state.gap = mean(state.gap, gap, state.n, RATE)
    state.n += 1
    return p_value if state.n > WARM_UP else 1.0


@compiled
def silent_after(state: Any) -> float:
    """Return the seconds without an event that hardly ever pass while all is well; 0 while unknown."""
    if state.n <= WARM_UP:
        return 0.0
    return float(state.gap * max(score_at(state.calibration, SILENT_P), LEAST_GAPS))
