"""What the seasonal-naive forecast, that all is as it was a day ago, would have been off by."""

from __future__ import annotations

from typing import Any

import numpy as np

from detectors.compiled import compiled
from detectors.signals.season import DAY

KEPT = 12
"""Values kept: one every two hours, so that the state stays small. Their errors are a sample of all."""

STATE = np.dtype(
    [
        ("first", "<i4"),
        ("count", "<i4"),
        ("value", "<f8", KEPT),
        ("at", "<f8", KEPT),
        ("judged", "<i4"),
        ("seasonal", "<f8"),  # sums of absolute errors: of the value a day ago,
        ("error", "<f8"),  # of the forecast one step ahead of the same events,
        ("naive", "<f8"),  # and of the value before
    ]
)


@compiled
def judge(state: Any, value: float, t: float, gap: float, error: float, naive: float) -> None:
    """Compare a value with that of a day ago, if it was kept and no event is missing.

    Parameters
    ----------
    state, value, t
        The record, the value and its event time, epoch seconds.
    gap
        Usual seconds between events.
    error, naive
        Absolute errors of the forecast one step ahead and of the value before.

    """
    while state.count > 0 and t >= state.at[state.first] + DAY - 0.5 * gap:
        if t <= state.at[state.first] + DAY + 0.5 * gap:
            state.judged += 1
            state.seasonal += abs(value - state.value[state.first])
            state.error += error
            state.naive += naive
        state.first = (state.first + 1) % KEPT
        state.count -= 1


@compiled
def keep(state: Any, value: float, t: float) -> None:
    """Keep a value for tomorrow, if enough time has passed since the last that was kept."""
    newest = (state.first + state.count - 1) % KEPT
    if state.count == KEPT or (state.count > 0 and t < state.at[newest] + DAY / KEPT):
        return
    place = (state.first + state.count) % KEPT
    state.value[place], state.at[place] = value, t
    state.count += 1
