"""Rare values: a value such as there have been few, whether far out or between others."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from detectors.calibration import CALIBRATION, calibrate
from detectors.compiled import compiled
from detectors.signals.mean import mean
from detectors.signals.signal import Signal

BINS = 64
WARM_UP = 100
MEMORY = 20_000.0
COMMON, COMMON_RATE = 0.5, 0.002
"""How much rarer than usual, in powers of e, a value must at least be; and how fast what is usual follows."""

WIDEST = 16.0
"""A value beyond the range widens it by at most so many times its width."""

STATE = np.dtype(
    [
        ("n", "<i8"),
        ("low", "<f8"),
        ("high", "<f8"),
        ("total", "<f8"),
        ("usual", "<f8"),
        ("counts", "<f4", BINS),
        ("calibration", CALIBRATION),
    ]
)


@compiled
def process(state: Any, value: float, t: float) -> float:
    """Return the p-value of how rare a value is, then learn it."""
    state.n += 1
    if state.n == 1:
        state.low = state.high = value
    elif value < state.low or value > state.high:
        _widen(state, value)
    width = state.high - state.low
    if width <= 0.0:
        state.total += 1.0
        state.counts[0] += 1.0
        return 1.0
    bin_ = min(max(int((value - state.low) / width * BINS), 0), BINS - 1)
    beside = float(state.counts[max(bin_ - 1, 0)]) + float(state.counts[min(bin_ + 1, BINS - 1)])
    share = (float(state.counts[bin_]) + 0.5 * beside + 0.5) / (state.total + 1.0)
    rarity = max(-math.log(share), 0.0)
    p_value = calibrate(state.calibration, max(rarity - state.usual - COMMON, 0.0))
    state.usual = mean(state.usual, rarity, state.n, COMMON_RATE)
    state.counts[bin_] += 1.0
    state.total += 1.0
    if state.total > MEMORY:
        state.total *= 0.5
        for each in range(BINS):
            state.counts[each] *= 0.5
    return p_value if state.n > WARM_UP else 1.0


@compiled
def _widen(state: Any, value: float) -> None:
    """Widen the range to hold a value; what was counted moves to where the middle of its bin falls."""
    low, high = state.low, state.high
    reach = WIDEST * (high - low) if high > low else np.inf
    state.low, state.high = min(low, max(value, low - reach)), max(high, min(value, high + reach))
    width = state.high - state.low
    before = state.counts.copy()
    for bin_ in range(BINS):
        state.counts[bin_] = 0.0
    for bin_ in range(BINS):
        if before[bin_] > 0.0:
            middle = low + (bin_ + 0.5) * (high - low) / BINS
            state.counts[min(int((middle - state.low) / width * BINS), BINS - 1)] += before[bin_]


class Rare(Signal):
    """Negative logarithm of the share of past values in the same of 64 equal parts of their range.

    Half of the parts beside it counts too. The range widens as values come. So it finds values far out, values in a
    gap between two modes, and seldom values of a few discrete ones; what repeats is no longer rare. Cost: about 0.3 µs
    an event. State: 0.6 KB for each value.

    References
    ----------
    Goldstein, M., Dengel, A. (2012). Histogram-based Outlier Score (HBOS): A fast unsupervised anomaly detection
    algorithm. KI-2012.

    Examples
    --------
    >>> rare = Rare()
    >>> usual = [rare.process_one({"x": i % 2 * 10 + i * 7919 % 13 / 13}) for i in range(500)]
    >>> rare.process_one({"x": 5.0}).p_value < 0.01  # between the two modes
    True

    """

    kind = "rare"
    state = STATE
    process = staticmethod(process)
