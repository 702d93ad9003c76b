"""Flatlines: a value that has stopped changing."""

from __future__ import annotations

from typing import Any

import numpy as np

from detectors.calibration import CALIBRATION, calibrate
from detectors.compiled import compiled
from detectors.signals.mean import mean
from detectors.signals.signal import Signal

REPEATS = 30.0
WARM_UP = 20
MOVING_RATE = 0.005

STATE = np.dtype(
    [
        ("n", "<i8"),
        ("value", "<f8"),
        ("run", "<i8"),
        ("since", "<f8"),  # event time at which the value came to be what it is
        ("changes", "<i8"),
        ("moving", "<f8"),  # share of events, of late, at which it has changed
        ("calibration", CALIBRATION),
    ]
)


@compiled
def process(state: Any, value: float, t: float) -> float:
    """Return the p-value of how long the value has been the same, then learn it."""
    state.n += 1
    if state.n > 1 and value == state.value:
        state.run += 1
    else:
        state.value, state.run, state.since = value, 0, t
        state.changes += 1
    state.moving = mean(state.moving, 0.0 if state.run > 0 else 1.0, state.n, MOVING_RATE)
    p_value = calibrate(state.calibration, state.run / REPEATS)
    return p_value if state.run > 0 and state.changes > WARM_UP else 1.0


class Flatline(Signal):
    """Number of events for which the value has been exactly the same, beside how long that usually is.

    Cost: about 0.2 µs an event. State: 0.4 KB for each value.

    Examples
    --------
    >>> flatline = Flatline()
    >>> usual = [flatline.process_one({"x": i % 7 / 7}) for i in range(500)]
    >>> min(flatline.process_one({"x": 0.5}).p_value for i in range(60)) < 1e-4
    True

    """

    kind = "flatline"
    state = STATE
    process = staticmethod(process)
