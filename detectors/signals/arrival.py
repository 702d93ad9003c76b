"""Arrivals: how long a source usually keeps silent between two events."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from detectors.calibration import CALIBRATION, calibrate, score_at
from detectors.compiled import compiled
from detectors.score import Score, SignalScore, ValueExplanation
from detectors.signals.mean import mean
from detectors.signals.signal import Signal

RATE, CLIP = 0.01, 8.0
SILENT_P = 1e-6
LEAST_GAPS = 5.0
WARM_UP = 20
EARLY = 0.2
"""A gap shorter than this share of the usual one is as odd as one that is longer by as much."""

STATE = np.dtype([("n", "<i8"), ("newest", "<f8"), ("gap", "<f8"), ("calibration", CALIBRATION)])


@compiled
def process(state: Any, value: float, t: float) -> float:
    """Return the p-value of when an event arrives, by event time, then learn it; late events are as usual."""
    if state.n == 0:
        state.n, state.newest = 1, t
        return 1.0
    if t <= state.newest:
        return 1.0
    gap, p_value = t - state.newest, 1.0
    state.newest = t
    if state.gap > 0.0:
        score = gap / state.gap
        p_value = calibrate(state.calibration, score if score > EARLY else min(EARLY * EARLY / score, 1e9))
        p_value = max(p_value, 1.0 / (state.n + 1.0))  # one gap is no surer than the number of those seen
    state.gap = mean(state.gap, min(gap, CLIP * state.gap) if state.gap > 0.0 else gap, state.n, RATE)
    state.n += 1
    return p_value if state.n > WARM_UP else 1.0


@compiled
def silent_after(state: Any) -> float:
    """Return the seconds without an event that hardly ever pass while all is well; 0 while unknown."""
    if state.n <= WARM_UP:
        return 0.0
    return float(state.gap * max(score_at(state.calibration, SILENT_P), LEAST_GAPS))


@compiled
def arrive(states: Any, t: float) -> float:
    """Learn when an event arrives; return how long silence is usual from now on, in seconds, 0 while unknown."""
    process(states[0], 0.0, t)
    return silent_after(states[0])


class Arrival(Signal):
    """Time between an event and the one before it, in units of the usual gap.

    A gap of a fifth of the usual one or less is as odd as one that is longer by as much. Its p-value is never below one
    in the number of gaps so far. Late events say nothing. Cost: about 0.1 µs an event. State: 0.3 KB for each source.

    Examples
    --------
    >>> signal = Arrival()
    >>> usual = [signal.process_one({"x": 1.0}, 60.0 * i) for i in range(500)]
    >>> signal.process_one({"x": 1.0}, 60.0 * 510).p_value < 0.01
    True
    >>> 300.0 <= signal.silent_after() < 3600.0
    True

    """

    kind = "arrival"
    state = STATE
    process = staticmethod(process)

    def process_one(self, x: Mapping[str, float], t: float | None = None) -> Score:
        """Score when an event arrives, then learn it."""
        score = super().process_one({"": 0.0}, t)
        signals = tuple(SignalScore(signal.kind, signal.p_value) for signal in score.signals)
        values = {name: ValueExplanation(value, None, None, None, 1.0 / len(x)) for name, value in x.items()}
        return Score(score.p_value, score.anomaly_score, signals, values)

    def arrived(self, t: float) -> None:
        """Note that an event came, and when."""
        self.process_one({}, t)

    def silent_after(self) -> float | None:
        """Seconds without an event after which this source counts as silent; ``None`` while unknown."""
        return silent_after(self._states[""]) or None if self._states else None
