"""What a value will be: eight simple forecasts, and how well each has done at each horizon."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from detectors.compiled import compiled
from detectors.forecasts import profiles
from detectors.forecasts.profiles import OFFSET_RATE
from detectors.forecasts.tracking import COUNT
from detectors.signals.mean import UNCLIPPED, mean, scale

SAME, LEVEL, SHIFTED, SEASON, MEDIAN, TREND, DRIFT, LEARNED = range(8)
"""The last value; the season around the level; the last value moved as the season moves; the season around the mean;
the season around the median; the level's damped trend, with season; a slow trend that goes on, with season; a
regression on value, level and slow level."""
EXPERTS = 8
REGRESSORS = 3
SEEN = REGRESSORS + 2
"""Numbers from which all experts' forecasts can be made."""
SUMS = REGRESSORS * (REGRESSORS + 1) // 2 + REGRESSORS

FAST, SLOW = 0.3, 0.03
DAMPING = 0.99
LEAST, LEAST_LONG = 20, 100
"""Values before a trend, and a slow one, is told."""
MEDIAN_RATE = 0.05
WANDER_RATE, WANDER_CLIP = 0.002, 3.0
UNUSUAL, PLAIN = 3.0, 6.0
"""Usual distances of the slow level from the mean at which a trend begins to be one, and is one for sure."""
DOUBLINGS = 4
"""An expert counts by the reciprocal of its error, squared so many times."""
BEYOND = 0.1
"""How far the regression may go beyond the other experts, in parts of what lies between them."""
LOSS_RATE, FORGET, RIDGE, CLIP, WILDEST = 0.01, 0.005, 0.01, 4.0, 1e3

STATE = np.dtype(
    [
        ("which", "<i8"),
        ("n", "<i8"),
        ("last", "<f8"),
        ("adjusted", "<f8"),  # the last value without its season
        ("fast", "<f8"),
        ("slow", "<f8"),
        ("median", "<f8"),
        ("wander", "<f8"),  # usual distance between the slow level and the mean
        ("profiles", profiles.STATE),
        ("loss", "<f4", (COUNT, EXPERTS)),
        ("sums", "<f4", (COUNT, SUMS)),  # in units of the usual error,
        ("weights", "<f4", (COUNT, REGRESSORS)),
    ]
)


@compiled
def begin(state: Any) -> None:
    """Prepare a record of zeros."""
    profiles.begin(state.profiles)
    state.weights[:, 0] = 1.0


@compiled
def learn(state: Any, value: float, t: float) -> None:
    """Take in a value at event time ``t``, epoch seconds."""
    profiles.learn(state.profiles, value, t)
    state.n += 1
    which = profiles.best(state.profiles, int(state.which))
    if which != state.which:
        moved = profiles.expected(state.profiles, int(state.which), t) - profiles.expected(state.profiles, which, t)
        state.fast += moved
        state.slow += moved
        state.median += moved
        state.which = which
    state.last = value
    state.adjusted = value - profiles.expected(state.profiles, which, t)
    state.fast = mean(state.fast, state.adjusted, int(state.n), FAST)
    state.slow = mean(state.slow, state.adjusted, int(state.n), SLOW)
    step = max(MEDIAN_RATE, 1.0 / state.n) * float(state.profiles.usual[which])
    off = state.adjusted - state.median
    state.median += min(max(off, -step), step) if state.n > 1 else off
    if state.n > LEAST_LONG:
        moved = abs(state.slow - state.profiles.offset[which])
        state.wander = scale(state.wander, moved, int(state.n) - LEAST_LONG, WANDER_RATE, WANDER_CLIP)


@compiled
def look(state: Any, steps: float, x: Any) -> None:
    """Put into ``x`` the season so many steps ahead and value, levels and median around its mean; all that is needed.

    The season, with its mean, is a distance from the last value.
    """
    which = int(state.which)
    season = profiles.expected(state.profiles, which, state.profiles.newest + steps * state.profiles.gap)
    offset = float(state.profiles.offset[which])
    x[0], x[1], x[2] = state.adjusted - offset, state.fast - offset, state.slow - offset
    x[3], x[4] = state.median - offset, season + offset - state.last


@compiled
def foresee(x: Any, n: int, steps: float, weights: Any, told: Any) -> None:
    """Put into ``told`` what each expert says of so many steps ahead, as distances from the last value.

    Parameters
    ----------
    x
        What ``look`` gave.
    n
        Values learned until then.
    steps
        Usual gaps between events.
    weights
        Those of the regression.
    told
        Takes the forecasts.

    """
    season = x[4]
    told[SAME] = 0.0
    told[LEVEL] = season + x[1]
    told[SHIFTED] = season + x[0]
    told[SEASON] = season
    told[MEDIAN] = season + x[3]
    damped = DAMPING * (1.0 - DAMPING**steps) / (1.0 - DAMPING)
    behind, far_behind, farthest = lag(FAST, n), lag(SLOW, n), lag(OFFSET_RATE, n)
    told[TREND], told[DRIFT] = told[LEVEL], told[LEVEL]
    if n >= LEAST:
        told[TREND] += (x[1] - x[2]) / (far_behind - behind) * (behind + damped)
    if n >= LEAST_LONG:
        told[DRIFT] += x[2] / (farthest - far_behind) * (behind + steps)
    learned = season + float(weights[0]) * x[0] + float(weights[1]) * x[1] + float(weights[2]) * x[2]
    low, high = told[0], told[0]
    for k in range(1, LEARNED):
        low, high = min(low, told[k]), max(high, told[k])
    room = BEYOND * (high - low)
    told[LEARNED] = min(max(learned, low - room), high + room)


@compiled
def trend(state: Any) -> tuple[float, float]:
    """Return the trend of the moment, per step, and how sure it is that there is one, 0 to 1.

    There is one while the slow level is farther from the mean than it usually is, and the fast level still goes ahead
    of it: after a mere shift it soon does no more.
    """
    n, offset = int(state.n), float(state.profiles.offset[int(state.which)])
    if n < 2 * LEAST_LONG or not state.wander > 0.0:
        return 0.0, 0.0
    behind, far_behind, farthest = lag(FAST, n), lag(SLOW, n), lag(OFFSET_RATE, n)
    long = (state.slow - offset) / (farthest - far_behind)
    short = (state.fast - state.slow) / (far_behind - behind)
    if long * short <= 0.0:
        return 0.0, 0.0
    unusual = (abs(state.slow - offset) / state.wander - UNUSUAL) / (PLAIN - UNUSUAL)
    slope = 0.5 * (long + short)
    return slope, min(max(unusual, 0.0), 1.0) * min(2.0 * short / long, 1.0)


@compiled
def lag(rate: float, n: int) -> float:
    """Return by how many events a running mean of ``n`` values is behind.

    Examples
    --------
    >>> lag(0.1, 5), round(lag(0.1, 1000), 1)
    (2.0, 9.0)

    """
    plain = 1.0 / rate
    if n <= plain:
        return 0.5 * (n - 1.0)
    last = (1.0 - rate) / rate
    return last - (last - 0.5 * (plain - 1.0)) * (1.0 - rate) ** (n - plain)


@compiled
def joined(state: Any, j: int, told: Any) -> float:
    """Return what the experts say together of the ``j``-th horizon: the better one has done, the more it counts."""
    least = np.float64(state.loss[j, 0])
    for k in range(1, EXPERTS):
        least = min(least, np.float64(state.loss[j, k]))
    together, weights = 0.0, 0.0
    for k in range(EXPERTS):
        loss = np.float64(state.loss[j, k])
        weight = least / loss if loss > least else 1.0
        for _ in range(DOUBLINGS):
            weight *= weight
        together += weight * told[k]
        weights += weight
    return float(together / weights)


@compiled
def judge(state: Any, j: int, n: int, came: float, told: Any, x: Any, usual: float, faster: float) -> None:
    """Take in what came of the experts' forecasts for the ``j``-th horizon.

    Parameters
    ----------
    state, j, n
        The record, which horizon, and the how-manieth forecast for it this is.
    came
        Distance of what came from the last value then.
    told, x
        What ``foresee`` gave.
    usual
        Usual error, to clip wild ones.
    faster
        How much more than one event such a forecast stands for.

    """
    for k in range(EXPERTS):
        state.loss[j, k] = mean(float(state.loss[j, k]), abs(came - told[k]), n, LOSS_RATE * faster)
    if not usual > 0.0:
        return
    if n > UNCLIPPED:
        came = told[LEARNED] + min(max(came - told[LEARNED], -CLIP * usual), CLIP * usual)
    y = min(max((came - told[SEASON]) / usual, -WILDEST), WILDEST)
    rate = max(FORGET * faster, 1.0 / n)
    sums, s = state.sums[j], 0
    for a in range(REGRESSORS):
        one = min(max(x[a] / usual, -WILDEST), WILDEST)
        for b in range(a, REGRESSORS):
            other = min(max(x[b] / usual, -WILDEST), WILDEST)
            sums[s] += (one * other - float(sums[s])) * rate
            s += 1
    for a in range(REGRESSORS):
        one = min(max(x[a] / usual, -WILDEST), WILDEST)
        sums[s] += (one * y - float(sums[s])) * rate
        s += 1
    _solve(sums, state.weights[j], n)


@compiled
def _solve(s: Any, w: Any, n: int) -> None:
    """Solve the regression; while little is known it stays near the last value carried forward."""
    ridge = (RIDGE + 2.0 / n) * (np.float64(s[0]) + np.float64(s[3]) + np.float64(s[5])) / 3.0
    if not ridge > 0.0:
        w[0], w[1], w[2] = 1.0, 0.0, 0.0
        return
    a, b, c = np.float64(s[0]) + ridge, np.float64(s[1]), np.float64(s[2])
    d, e, f = np.float64(s[3]) + ridge, np.float64(s[4]), np.float64(s[5]) + ridge
    p, q, r = np.float64(s[6]) + ridge, np.float64(s[7]), np.float64(s[8])
    # Cholesky decomposition of a symmetric matrix of three rows.
    l11 = math.sqrt(a)
    l21, l31 = b / l11, c / l11
    l22 = math.sqrt(d - l21 * l21)
    l32 = (e - l31 * l21) / l22
    l33 = math.sqrt(f - l31 * l31 - l32 * l32)
    y1 = p / l11
    y2 = (q - l21 * y1) / l22
    w2 = (r - l31 * y1 - l32 * y2) / l33 / l33
    w1 = (y2 - l32 * w2) / l22
    w[0], w[1], w[2] = (y1 - l21 * w1 - l31 * w2) / l11, w1, w2
