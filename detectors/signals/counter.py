"""Counters: values that only ever grow, until they begin again."""

from __future__ import annotations

from typing import Any

import numpy as np

from detectors.compiled import compiled
from detectors.signals.mean import mean

TRIAL = 40
"""Steps after which it is decided what a value is."""
MOST_STEPS = 0.5
RESET_SHARE = 0.5

UNDECIDED, GAUGE, COUNTER = 0, 1, 2

STATE = np.dtype(
    [
        ("n", "<i8"),
        ("mode", "<i4"),
        ("ups", "<i4"),
        ("resets", "<i4"),
        ("downs", "<i4"),
        ("anew", "?"),
        ("center", "<f8"),
        ("unit", "<f8"),
        ("last", "<f8"),
        ("newest", "<f8"),
        ("gap", "<f8"),
        ("step", "<f8"),
    ]
)


@compiled
def represent(state: Any, value: float, t: float) -> float:
    """Return the number that signals look at: the value from where it began, or the growth of a counter.

    A value is taken for a counter when of its first forty steps at least half are upwards and none is downwards, but
    for resets: steps to less than half. The first step downwards that is no reset shows that it is none after all.
    Whenever that changes, ``anew`` is set: what the signals have learned is of another kind.
    """
    state.anew = False
    if state.n == 0:
        state.center = state.last = value
        state.newest = t
        state.unit = _unit(value)
    elif state.unit == 0.0 and value != state.center:
        state.unit = _unit(value - state.center)
    growth = _growth(state, value, t) if state.n > 0 else 0.0
    state.n += 1
    state.last = value
    unit = state.unit if state.unit > 0.0 else 1.0
    return (growth if state.mode == COUNTER else value - state.center) / unit


@compiled
def as_given(state: Any, z: float) -> float:
    """Return the value that ``represent`` made this number of."""
    unit = state.unit if state.unit > 0.0 else 1.0
    if state.mode == COUNTER:
        return float(state.last + z * unit)
    return float(state.center + z * unit)


@compiled
def _unit(value: float) -> float:
    """Return 1, but for magnitudes that single precision cannot hold; 0 of a value of 0."""
    if value == 0.0:
        return 0.0
    size = abs(value)
    return 1.0 if 1e-9 < size < 1e15 else 2.0 ** np.floor(np.log2(size))


@compiled
def _growth(state: Any, value: float, t: float) -> float:
    """Return by how much a counter has grown, for a gap as usual, and decide what the value is."""
    step = value - state.last
    if step > 0.0:
        state.ups += 1
    elif step < 0.0 and 0.0 <= value < RESET_SHARE * state.last:
        state.resets += 1
        step = value
    elif step < 0.0:
        state.downs += 1
    gap = t - state.newest
    if gap > 0.0:
        state.gap = mean(state.gap, gap, state.n, 0.01)
        state.newest = t
        step *= state.gap / gap
    if state.mode == COUNTER and state.downs > 0:
        state.mode, state.anew = GAUGE, True
    elif state.mode == UNDECIDED and state.n >= TRIAL:
        counts = state.downs == 0 and state.ups >= MOST_STEPS * TRIAL and state.resets <= 2
        state.mode = COUNTER if counts else GAUGE
        state.anew = counts
    return float(step)
