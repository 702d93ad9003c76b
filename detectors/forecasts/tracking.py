"""Bounds that hold: error quantiles by online conformal prediction, and running errors beside naive forecasts."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from detectors.compiled import compiled
from detectors.signals.mean import scale as usual_size

HORIZONS = np.array([1, 4, 16, 64, 256])
"""Steps ahead whose errors are tracked; what lies between is interpolated."""
COUNT = len(HORIZONS)

STRIDES = np.array([1, 1, 2, 8, 32])
"""At how manieth event a forecast is kept for each horizon: of the far ones most are alike."""
SLOTS = HORIZONS // STRIDES
FROM = np.concatenate((np.zeros(1, np.int64), np.cumsum(SLOTS)))
KEPT = int(FROM[-1])
"""Where the forecasts for each horizon are kept until their value comes, and how many."""

TAIL, TENTH, QUARTER = range(3)
SIDES = 2 * 3
"""Tracked quantiles: the bound's, a tenth, a quarter; below the forecast, then above."""
BEGIN = np.array([3.6, 1.6, 0.85])
"""Where they begin, in usual errors: those of a normal distribution."""

SCALE_RATE, CLIP = 0.01, 8.0
STEP, FIRST_STEP = 0.08, 0.3
"""How far one surprise moves a quantile, in natural logarithms; the first ones more."""
SPARSE = 0.3
"""Power of its stride by which a forecast moves more where only some are judged."""
ENOUGH = 2.5
"""A surprise does not move a quantile farther out than so many times the surprise."""
SMALLEST, LARGEST = 0.05, 1e4
LEAST_JUDGED = 20
"""Forecasts of a horizon that must have been judged before its errors are trusted."""

STATE = np.dtype(
    [
        ("tail", "<f8"),  # share of values beyond each bound
        ("scale", "<f8", COUNT),  # usual absolute error
        ("factor", "<f4", (COUNT, SIDES)),  # quantiles in units of it
        ("judged", "<i4", COUNT),
        ("covered", "<i4", COUNT),
        ("error", "<f8", COUNT),  # sum of absolute errors
        ("naive", "<f8", COUNT),  # the same of the last value, carried forward
    ]
)


@compiled
def begin(state: Any, tail: float) -> None:
    """Prepare a record of zeros for bounds that each leave a share ``tail`` of the values outside."""
    state.tail = tail
    for j in range(COUNT):
        for k in range(SIDES):
            state.factor[j, k] = BEGIN[k % 3]


@compiled
def judge(state: Any, j: int, came: float, mean: float, lower: float, upper: float, stride: int) -> None:
    """Take in what came of the forecast for the ``j``-th horizon: error, coverage, and where the quantiles move.

    Parameters
    ----------
    state, j
        The record, and which of ``HORIZONS``.
    came, mean, lower, upper
        Distances of what came, of what was foretold and of the bounds as given from the last value then.
    stride
        One of so many forecasts is judged: each moves the quantiles the more.

    """
    error, scale = came - mean, float(state.scale[j])
    state.judged[j] += 1
    state.covered[j] += 1 if lower <= came <= upper else 0
    state.error[j] += abs(error)
    state.naive[j] += abs(came)
    n = int(state.judged[j])
    state.scale[j] = usual_size(scale, abs(error), n, SCALE_RATE, CLIP)
    if not scale > 0.0:
        return
    step = max(STEP * stride**SPARSE, FIRST_STEP / math.sqrt(n))
    for k in range(SIDES):
        factor = float(state.factor[j, k])
        distance = error if k >= 3 else -error
        beyond = distance > factor * scale
        level = float(state.tail)
        if k == TAIL:
            beyond = came < lower
        elif k == 3 + TAIL:
            beyond = came > upper
        else:
            level = 0.1 if k % 3 == TENTH else 0.25
        moved = factor * math.exp(step * ((1.0 if beyond else 0.0) - level))
        if beyond:
            moved = max(factor, min(moved, ENOUGH * distance / state.scale[j]))
        state.factor[j, k] = min(max(moved, SMALLEST), LARGEST)


@compiled
def between(steps: float) -> tuple[int, float]:
    """Return the horizon at or before some steps, and how far they are on the way to the next, in logarithms."""
    j = 0
    while j + 1 < COUNT and HORIZONS[j + 1] <= steps:
        j += 1
    if j + 1 < COUNT and steps > HORIZONS[j]:
        return j, math.log(steps / HORIZONS[j]) / math.log(HORIZONS[j + 1] / HORIZONS[j])
    return j, 0.0


@compiled
def quantiles(state: Any, steps: float, j: int, part: float, offsets: Any) -> None:
    """Put into ``offsets`` how far each tracked quantile is from the forecast, below and above."""
    beside = min(j + 1, COUNT - 1) if part > 0.0 else j
    while beside > 0 and state.judged[beside] < LEAST_JUDGED:
        beside -= 1
    while j > 0 and state.judged[j] < LEAST_JUDGED:
        j -= 1
    grown = 1.0
    if beside <= j:
        part = 0.0
        grown = math.sqrt(max(1.0, steps / HORIZONS[j]))
    for k in range(SIDES):
        here, there = state.scale[j] * state.factor[j, k], state.scale[beside] * state.factor[beside, k]
        offsets[k] = grown * ((1.0 - part) * here + part * there)
    for k in (QUARTER, TENTH, 3 + QUARTER, 3 + TENTH):
        offsets[k - 1] = max(offsets[k - 1], offsets[k])
