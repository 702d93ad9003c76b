"""Trends: values that move slowly, and go on moving."""

from __future__ import annotations

from typing import Any

from detectors.compiled import compiled
from detectors.signals.level import STATE, compare
from detectors.signals.mean import drawn_nearer
from detectors.signals.signal import Signal

FAST, SLOW, NEARER = 0.02, 0.001, 0.6
WARM_UP = 100


@compiled
def process(state: Any, value: float, t: float) -> float:
    """Return the p-value of where the values have been going, with this one, then learn it."""
    return compare(state, value, FAST, SLOW, WARM_UP, NEARER)


@compiled
def allowed(state: Any) -> float:
    """Return the distance from the slow mean that about 99 % of normal values keep to."""
    return drawn_nearer(float(state.calibration.limit), 1.0 / NEARER) * state.usual


class Trend(Signal):
    """Distance between the mean of the last fifty values or so and that of the last thousand.

    It is what ``Level`` is, on a scale on which single shifts are small and a slow drift adds up. Cost: about
    0.3 µs an event. State: 0.4 KB for each value.

    Examples
    --------
    >>> trend = Trend()
    >>> before = [trend.process_one({"x": i % 7 / 7}) for i in range(1000)]
    >>> min(trend.process_one({"x": i / 100 + i % 7 / 7}).p_value for i in range(200)) < 1e-4
    True

    """

    kind = "trend"
    state = STATE
    process = staticmethod(process)
