"""What other values tell of the values to come: a regression of a forecaster's errors, at each horizon."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from detectors.compiled import compiled
from detectors.forecasts import tracking
from detectors.forecasts.tracking import COUNT, FROM, HORIZONS, KEPT, SLOTS, STRIDES
from detectors.signals.mean import mean, scale

MOST = 4
"""Covariates of a value."""

LEVELS = 3
"""What is seen of each: the value itself, a fast and a slower level, all around a slow one, in usual distances."""
RATES = np.array([1.0, 0.3, 0.06])
SLOW, SIZE_RATE, SIZE_CLIP = 0.005, 0.01, 4.0
FEATURES = MOST * LEVELS
FARTHEST = 8.0
"""Usual distances beyond which a covariate counts as being there."""

FORGET, RIDGE, WILD = 0.002, 0.02, 5.0
FASTER = 0.3
"""Power of its stride by which a horizon's regression learns faster."""
LOSS_RATE = 0.01
DOUBLINGS = 4
"""The correction counts by how much smaller than without it errors were: their ratio, squared so many times."""
LEAST_JUDGED = 50
"""Forecasts of a horizon that must have been judged before any is corrected."""

BASE, OFF = range(2)

STATE = np.dtype(
    [
        ("n", "<i8", MOST),
        ("level", "<f8", (MOST, LEVELS)),
        ("slow", "<f8", MOST),
        ("size", "<f8", MOST),
        ("judged", "<i4", COUNT),
        ("usual", "<f8", COUNT),  # usual error of what is corrected
        ("loss", "<f8", (COUNT, 2)),  # mean absolute errors: without the correction, with all of it
        ("products", "<f4", (COUNT, FEATURES, FEATURES)),
        ("answers", "<f4", (COUNT, FEATURES)),
        ("weights", "<f4", (COUNT, FEATURES)),
        ("kept", "<f8", (KEPT, 2)),  # what was foretold, and by how much it was to be corrected
        ("kept_z", "<f4", (KEPT, FEATURES)),
    ]
)


@compiled
def judge(state: Any, made_by_now: int, value: float) -> None:
    """Learn from what came: by how much forecasts were off, given what the covariates were when they were made.

    Parameters
    ----------
    state
        The record.
    made_by_now
        Values before this one.
    value
        What came.

    """
    for j in range(COUNT):
        made = made_by_now - int(HORIZONS[j])
        if made < 0 or made % STRIDES[j]:
            continue
        slot = FROM[j] + made // STRIDES[j] % SLOTS[j]
        error = value - state.kept[slot, BASE]
        state.judged[j] += 1
        n, faster = int(state.judged[j]), float(STRIDES[j]) ** FASTER
        state.loss[j, BASE] = mean(float(state.loss[j, BASE]), abs(error), n, LOSS_RATE * faster)
        off = abs(error - state.kept[slot, OFF])
        state.loss[j, OFF] = mean(float(state.loss[j, OFF]), off, n, LOSS_RATE * faster)
        state.usual[j] = scale(float(state.usual[j]), abs(error), n, SIZE_RATE, SIZE_CLIP)
        if state.usual[j] > 0.0:
            answer = min(max(error / state.usual[j], -WILD), WILD)
            _regress(state, j, state.kept_z[slot], answer, max(FORGET * faster, 1.0 / n))


@compiled
def keep(state: Any, made: int, j: int, foretold: float) -> None:
    """Keep what is foretold of the ``j``-th horizon, with what the covariates are, until its value comes."""
    slot = FROM[j] + made // STRIDES[j] % SLOTS[j]
    z = state.kept_z[slot]
    _look(state, z)
    state.kept[slot, BASE] = foretold
    state.kept[slot, OFF] = _correction(state, j, z)


@compiled
def learn(state: Any, x: Any) -> None:
    """Take in the covariates of an event; one that is not a number stays what it was."""
    for i in range(MOST):
        if not math.isfinite(x[i]):
            continue
        state.n[i] += 1
        n = int(state.n[i])
        for k in range(LEVELS):
            state.level[i, k] = mean(float(state.level[i, k]), x[i], n, RATES[k])
        state.slow[i] = mean(float(state.slow[i]), x[i], n, SLOW)
        state.size[i] = scale(float(state.size[i]), abs(x[i] - state.slow[i]), n, SIZE_RATE, SIZE_CLIP)


@compiled
def correction(state: Any, steps: float) -> float:
    """Return by how much a forecast so many steps ahead is to be corrected."""
    z = np.zeros(FEATURES, np.float32)
    _look(state, z)
    j, part = tracking.between(steps)
    here = _share(state, j) * _correction(state, j, z)
    if part == 0.0:
        return here
    return (1.0 - part) * here + part * _share(state, j + 1) * _correction(state, j + 1, z)


@compiled
def _look(state: Any, z: Any) -> None:
    for i in range(MOST):
        for k in range(LEVELS):
            size = float(state.size[i])
            away = (state.level[i, k] - state.slow[i]) / size if size > 0.0 else 0.0
            z[LEVELS * i + k] = min(max(away, -FARTHEST), FARTHEST)


@compiled
def _share(state: Any, j: int) -> float:
    """Return how much of the correction counts: it must have made forecasts better."""
    if state.judged[j] < LEAST_JUDGED or not state.loss[j, OFF] > 0.0:
        return 0.0
    odds = float(state.loss[j, BASE] / state.loss[j, OFF])
    for _ in range(DOUBLINGS):
        odds *= odds
    return max(0.0, 1.0 - 2.0 / (1.0 + odds))


@compiled
def _correction(state: Any, j: int, z: Any) -> float:
    together = 0.0
    for k in range(FEATURES):
        together += float(state.weights[j, k]) * float(z[k])
    return min(max(together, -WILD), WILD) * float(state.usual[j])


@compiled
def _regress(state: Any, j: int, z: Any, answer: float, rate: float) -> None:
    """Learn one error, in units of the usual one, and solve the regression anew."""
    products, answers = state.products[j], state.answers[j]
    for a in range(FEATURES):
        for b in range(a + 1):
            products[a, b] += (float(z[a]) * float(z[b]) - float(products[a, b])) * rate
        answers[a] += (float(z[a]) * answer - float(answers[a])) * rate
    _solve(products, answers, RIDGE + FEATURES * rate, state.weights[j])


@compiled
def _solve(products: Any, answers: Any, ridge: float, weights: Any) -> None:
    """Solve a ridge regression by Cholesky decomposition."""
    lower, found = np.zeros((FEATURES, FEATURES)), np.zeros(FEATURES)
    for a in range(FEATURES):
        for b in range(a + 1):
            rest = float(products[a, b]) + (ridge if a == b else 0.0)
            for k in range(b):
                rest -= lower[a, k] * lower[b, k]
            lower[a, b] = math.sqrt(max(rest, 1e-9)) if a == b else rest / lower[b, b]
    for a in range(FEATURES):
        rest = float(answers[a])
        for k in range(a):
            rest -= lower[a, k] * found[k]
        found[a] = rest / lower[a, a]
    for a in range(FEATURES - 1, -1, -1):
        rest = found[a]
        for k in range(a + 1, FEATURES):
            rest -= lower[k, a] * found[k]
        found[a] = rest / lower[a, a]
        weights[a] = found[a]
