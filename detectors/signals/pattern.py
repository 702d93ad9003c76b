"""New patterns: values that move as they never have."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from detectors.calibration import CALIBRATION, calibrate
from detectors.compiled import compiled
from detectors.signals.mean import mean, scale
from detectors.signals.signal import Signal

RECENT = 32
FEATURES = 6
PATTERNS = 64
RADIUS = 1.0
PULL = 0.03
LEVEL, SCALE_RATE, CLIP = 0.06, 0.002, 8.0
WARM_UP = 30

STATE = np.dtype(
    [
        ("n", "<i8"),
        ("level", "<f8"),
        ("usual", "<f8"),
        ("recent", "<f4", RECENT),
        ("known", "<f4", (PATTERNS, FEATURES)),
        ("used", "<i4", PATTERNS),
        ("count", "<i4"),
        ("calibration", CALIBRATION),
    ]
)


@compiled
def process(state: Any, value: float, t: float) -> float:
    """Return the p-value of the pattern that a value completes, then learn it."""
    if state.n == 0:
        for i in range(RECENT):
            state.recent[i] = value
    state.recent[state.n % RECENT] = value
    state.n += 1
    state.level = mean(state.level, value, state.n, LEVEL)
    state.usual = scale(state.usual, abs(value - state.level), state.n, SCALE_RATE, CLIP)
    if state.usual <= 0.0:
        return 1.0
    now = np.empty(FEATURES)
    _describe(state, now)
    if state.count == 0:
        _keep(state, now)
        return 1.0
    nearest, square = _nearest(state, now)
    distance = math.sqrt(square) / state.usual
    p_value = calibrate(state.calibration, distance)
    if distance > RADIUS:
        _keep(state, now)
    else:
        state.used[nearest] = state.n
        for feature in range(FEATURES):
            known = float(state.known[nearest, feature])
            state.known[nearest, feature] = known + PULL * (now[feature] - known)
    return p_value if state.n > WARM_UP else 1.0


@compiled
def _describe(state: Any, now: Any) -> None:
    """Put what the values do now: the newest, the one before it, the means of the 2, 4, 8 and 16 before those."""
    age, length = 0, 1
    for feature in range(FEATURES):
        total = 0.0
        for _ in range(length):
            total += float(state.recent[(state.n - 1 - age) % RECENT])
            age += 1
        now[feature] = total / length
        if feature > 0:
            length *= 2


@compiled
def _nearest(state: Any, now: Any) -> tuple[int, float]:
    """Return the nearest known pattern and the square of its distance."""
    nearest, least = 0, np.inf
    for each in range(state.count):
        square = 0.0
        for feature in range(FEATURES):
            apart = float(state.known[each, feature]) - now[feature]
            square += apart * apart
        if square < least:
            nearest, least = each, square
    return nearest, least


@compiled
def _keep(state: Any, now: Any) -> None:
    """Keep a new pattern, if need be in the place of the one that has been out of use for longest."""
    place = state.count
    if place < PATTERNS:
        state.count += 1
    else:
        place = int(np.argmin(state.used))
    state.used[place] = state.n
    for feature in range(FEATURES):
        state.known[place, feature] = now[feature]


class Pattern(Signal):
    """Distance of what the values do now from the nearest of the patterns that they have shown before.

    What they do now is six numbers: the newest value, the one before it, and the means of the 2, 4, 8 and 16 before
    those. A pattern farther than one usual deviation from all that are known becomes known itself; of 64, the one that
    has been out of use for longest gives way. So a spike is a new pattern once; where spikes are usual it is none.
    The idea of growing categories is that of adaptive resonance (Carpenter and Grossberg 1987); the distance to the
    nearest as a score is that of nearest-neighbour detectors (Ramaswamy et al. 2000).

    Cost: about 0.6 µs an event. State: 2.5 KB for each value.

    References
    ----------
    Carpenter, G. A., Grossberg, S. (1987). ART 2: self-organization of stable category recognition codes for analog
    input patterns. Applied Optics 26(23).
    Ramaswamy, S., Rastogi, R., Shim, K. (2000). Efficient algorithms for mining outliers from large data sets. SIGMOD.

    Examples
    --------
    >>> pattern = Pattern()
    >>> usual = [pattern.process_one({"x": i % 7 / 7}) for i in range(500)]
    >>> pattern.process_one({"x": 50.0}).p_value < 1e-4
    True

    """

    kind = "pattern"
    state = STATE
    process = staticmethod(process)
