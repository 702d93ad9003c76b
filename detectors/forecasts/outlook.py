"""The default forecaster's inner loop: what was foretold is judged, the value learned, and new forecasts are kept."""

from __future__ import annotations

from typing import Any

import numpy as np

from detectors.compiled import compiled
from detectors.forecasts import paths, seasonal, tracking
from detectors.forecasts.tracking import COUNT, FROM, HORIZONS, KEPT, SIDES, SLOTS, STRIDES, TAIL

LATE = 2.0
"""An event that comes later than so many times the usual wait does not judge a forecast: others are missing."""

FASTER = 0.3
"""Power of its stride by which a horizon's experts are weighed anew."""
LEAST_JUDGED = 5
"""Before so many forecasts of a horizon have been judged, its experts count as those of a nearer one."""

MEAN, LOWER, UPPER, SEEN = range(4)
NUMBERS = SEEN + paths.SEEN

STATE = np.dtype(
    [
        ("paths", paths.STATE),
        ("tracking", tracking.STATE),
        ("seasonal", seasonal.STATE),
        ("kept", "<f4", (KEPT, NUMBERS)),  # distances from the last value then
        ("kept_last", "<f8", KEPT),
        ("kept_at", "<f8", KEPT),
    ]
)


@compiled
def begin(state: Any, tail: float) -> None:
    """Prepare a record of zeros for bounds that each leave a share ``tail`` of the values outside."""
    paths.begin(state.paths)
    tracking.begin(state.tracking, tail)


@compiled
def learn(state: Any, value: float, t: float) -> None:
    """Judge what was foretold of a value at event time ``t``, then learn it and foretell what comes."""
    told, x, offsets = np.zeros(paths.EXPERTS), np.zeros(paths.SEEN), np.zeros(SIDES)
    if state.paths.n > 0:
        error = abs(value - state.kept_last[0] - float(state.kept[0, MEAN]))
        seasonal.judge(state.seasonal, value, t, state.paths.profiles.gap, error, abs(value - state.paths.last))
    _judge(state, value, t, told, x)
    paths.learn(state.paths, value, t)
    seasonal.keep(state.seasonal, value, t)
    made = int(state.paths.n) - 1
    for j in range(COUNT):
        if made % STRIDES[j]:
            continue
        slot = FROM[j] + made // STRIDES[j] % SLOTS[j]
        kept, steps = state.kept[slot], float(HORIZONS[j])
        paths.look(state.paths, steps, x)
        known = _known(state, j)
        paths.foresee(x, made + 1, steps, state.paths.weights[known], told)
        mean = paths.joined(state.paths, known, told)
        tracking.quantiles(state.tracking, steps, j, 0.0, offsets)
        kept[MEAN], kept[LOWER], kept[UPPER] = mean, mean - offsets[TAIL], mean + offsets[3 + TAIL]
        for k in range(paths.SEEN):
            kept[SEEN + k] = x[k]
        state.kept_last[slot] = value
        state.kept_at[slot] = t


@compiled
def _judge(state: Any, value: float, t: float, told: Any, x: Any) -> None:
    n, gap = int(state.paths.n), state.paths.profiles.gap
    for j in range(COUNT):
        made = n - int(HORIZONS[j])
        if made < 0 or made % STRIDES[j]:
            continue
        slot = FROM[j] + made // STRIDES[j] % SLOTS[j]
        if t - state.kept_at[slot] > LATE * HORIZONS[j] * gap and gap > 0.0:
            continue
        kept, came = state.kept[slot], value - state.kept_last[slot]
        for k in range(paths.SEEN):
            x[k] = kept[SEEN + k]
        paths.foresee(x, made + 1, float(HORIZONS[j]), state.paths.weights[_known(state, j)], told)
        usual = state.tracking.scale[j]
        tracking.judge(state.tracking, j, came, float(kept[MEAN]), float(kept[LOWER]), float(kept[UPPER]), STRIDES[j])
        paths.judge(state.paths, j, int(state.tracking.judged[j]), came, told, x, usual, float(STRIDES[j]) ** FASTER)


@compiled
def foresee(state: Any, steps: float, offsets: Any) -> float:
    """Return what is foretold of so many steps ahead.

    Parameters
    ----------
    state, steps
        The record, and how far ahead.
    offsets
        Takes the error's quantiles, what comes if the trend of the moment goes on, and how sure there is one.

    """
    told, x, weights = np.zeros(paths.EXPERTS), np.zeros(paths.SEEN), np.zeros(paths.REGRESSORS)
    near, part = tracking.between(steps)
    beside = _known(state, min(near + 1, COUNT - 1))
    j = _known(state, near)
    for k in range(paths.REGRESSORS):
        here, there = float(state.paths.weights[j, k]), float(state.paths.weights[beside, k])
        weights[k] = (1.0 - part) * here + part * there
    paths.look(state.paths, steps, x)
    paths.foresee(x, int(state.paths.n), steps, weights, told)
    mean = (1.0 - part) * paths.joined(state.paths, j, told) + part * paths.joined(state.paths, beside, told)
    tracking.quantiles(state.tracking, steps, near, part, offsets)
    slope, sure = paths.trend(state.paths)
    offsets[SIDES] = state.paths.last + told[paths.LEVEL] + slope * (paths.lag(paths.FAST, int(state.paths.n)) + steps)
    offsets[SIDES + 1] = sure
    return float(state.paths.last + mean)


@compiled
def _known(state: Any, j: int) -> int:
    """Return the farthest horizon, up to the ``j``-th, of which enough forecasts have been judged."""
    while j > 0 and state.tracking.judged[j] < LEAST_JUDGED:
        j -= 1
    return j
