"""Finds the period of values that repeat themselves."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from detectors.compiled import compiled

CELLS = 128
LONGEST_LAG = CELLS // 2
SHORTEST_LAG = 4
LARGEST_CELL = 16
LEAST_CORRELATION = 0.5
AS_GOOD = 0.9
WHOLE = 0.1
"""A peak this near to a whole lag is taken to be there: most periods are whole numbers of events."""

STATE = np.dtype([("cells", "<f4", CELLS), ("filled", "<i4"), ("width", "<i4"), ("inside", "<i4"), ("total", "<f8")])


@compiled
def find_period(state: Any, value: float) -> float:
    """Take a value in, and return the period in events if one has just been found, else 0.

    Values are averaged in cells of 1, 2, 4, 8 and 16 events in turn. Once 128 cells are full, the period is the
    shortest lag at which their autocorrelation has a peak nearly as high as any, placed between cells by a parabola. So
    periods of 4 to 1,024 events are found, of which two or more must have passed.
    """
    if state.width == 0:
        state.width = 1
    state.total += value
    state.inside += 1
    if state.inside < state.width:
        return 0.0
    state.cells[state.filled] = state.total / state.width
    state.filled += 1
    state.total, state.inside = 0.0, 0
    if state.filled < CELLS:
        return 0.0
    period = _best_lag(state.cells) * state.width
    state.filled = 0
    state.width = 1 if state.width == LARGEST_CELL else 2 * state.width
    return period


@compiled
def _best_lag(cells: Any) -> float:
    level = 0.0
    for i in range(CELLS):
        level += float(cells[i])
    level /= CELLS
    correlations = np.zeros(LONGEST_LAG + 2)
    highest = 0.0
    for lag in range(SHORTEST_LAG - 1, LONGEST_LAG + 2):
        product, before, after = 0.0, 0.0, 0.0
        for i in range(CELLS - lag):
            one, other = float(cells[i]) - level, float(cells[i + lag]) - level
            product += one * other
            before += one * one
            after += other * other
        if before > 0.0 and after > 0.0:
            correlations[lag] = product / math.sqrt(before * after)
    for lag in range(SHORTEST_LAG, LONGEST_LAG + 1):
        if correlations[lag - 1] < correlations[lag] >= correlations[lag + 1]:
            highest = max(highest, correlations[lag])
    if highest < LEAST_CORRELATION:
        return 0.0
    for lag in range(SHORTEST_LAG, LONGEST_LAG + 1):
        if _is_peak(correlations, lag) and correlations[lag] >= AS_GOOD * highest:
            return _refined(correlations, lag, AS_GOOD * highest)
    return 0.0


@compiled
def _is_peak(correlations: Any, lag: int) -> bool:
    return bool(correlations[lag - 1] < correlations[lag] >= correlations[lag + 1])


@compiled
def _refined(correlations: Any, lag: int, enough: float) -> float:
    """Return the period from the farthest of its multiples that still has a peak: the farther, the more exact."""
    period = _between(correlations, lag)
    for times in range(2, LONGEST_LAG // lag + 1):
        near = round(period * times)
        for beside in range(max(near - 1, SHORTEST_LAG), min(near + 2, LONGEST_LAG + 1)):
            if _is_peak(correlations, beside) and correlations[beside] >= enough:
                period = _between(correlations, beside) / times
    return period


@compiled
def _between(correlations: Any, lag: int) -> float:
    """Return where between the lags a peak is, by a parabola; one near a whole lag is taken to be there."""
    left, here, right = correlations[lag - 1], correlations[lag], correlations[lag + 1]
    bend = left - 2.0 * here + right
    beside = 0.5 * (left - right) / bend if bend < 0.0 else 0.0
    return float(lag + (beside if abs(beside) > WHOLE else 0.0))
