"""New patterns: values that move as they never have."""

from __future__ import annotations

import math

import msgspec
import numpy as np
from numpy.typing import NDArray

from detectors.calibration import Calibrator
from detectors.signals.mean import Mean, Scale

PATTERNS = 128
FEATURES = 4
RADIUS = 1.0
PULL = 0.03
WARM_UP = 30


class Pattern(msgspec.Struct, array_like=True):
    """Distance of what the values do now from the nearest of the patterns that they have shown before.

    What they do now is four numbers: the value, its means over the last three and the last sixteen or so, and its
    recent spread. A pattern farther than one usual deviation from all that are known becomes known itself; of 128,
    the one that has been out of use for longest gives way. So a spike is a new pattern once; where spikes are usual it
    is none. The idea of growing categories is that of adaptive resonance (Carpenter and Grossberg 1987); the distance
    to the nearest as a score is that of nearest-neighbour detectors (Ramaswamy et al. 2000).

    Cost: about 9 µs an event. State: at most 6 KB.

    References
    ----------
    Carpenter, G. A., Grossberg, S. (1987). ART 2: self-organization of stable category recognition codes for analog
    input patterns. Applied Optics 26(23).
    Ramaswamy, S., Rastogi, R., Shim, K. (2000). Efficient algorithms for mining outliers from large data sets. SIGMOD.

    Examples
    --------
    >>> pattern = Pattern()
    >>> usual = [pattern.process_one(i % 7 / 7) for i in range(500)]
    >>> pattern.process_one(50.0) < 1e-4
    True

    """

    fast: Mean = msgspec.field(default_factory=lambda: Mean(0.3))
    slow: Mean = msgspec.field(default_factory=lambda: Mean(0.06))
    spread: Mean = msgspec.field(default_factory=lambda: Mean(0.1))
    scale: Scale = msgspec.field(default_factory=lambda: Scale(0.002, 8.0))
    calibrator: Calibrator = msgspec.field(default_factory=Calibrator)
    known: NDArray[np.float64] = msgspec.field(default_factory=lambda: np.empty((0, FEATURES)))
    used: NDArray[np.int32] = msgspec.field(default_factory=lambda: np.empty(0, np.int32))

    def process_one(self, value: float) -> float:
        """Return the p-value of the pattern that a value completes, then learn it."""
        self.fast.learn_one(value)
        self.slow.learn_one(value)
        deviation = abs(value - self.slow.value)
        self.spread.learn_one(deviation)
        self.scale.learn_one(deviation)
        usual, n = self.scale.value, self.slow.n
        if not usual:
            return 1.0
        now = np.array((value, self.fast.value, self.slow.value, self.spread.value))
        if not len(self.known):
            self._keep(now, n)
            return 1.0
        apart = self.known - now
        squares = np.einsum("ij,ij->i", apart, apart)
        nearest = int(squares.argmin())
        distance = min(math.sqrt(squares[nearest]) / usual, 1e9)
        p_value = self.calibrator.process_one(distance)
        if distance > RADIUS:
            self._keep(now, n)
        else:
            self.known[nearest] -= PULL * apart[nearest]
            self.used[nearest] = n
        return p_value if n > WARM_UP else 1.0

    def _keep(self, now: NDArray[np.float64], n: int) -> None:
        if len(self.known) < PATTERNS:
            self.known = np.vstack((self.known, now))
            self.used = np.append(self.used, n)
        else:
            oldest = int(self.used.argmin())
            self.known[oldest], self.used[oldest] = now, n
