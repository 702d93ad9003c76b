"""Arrivals: how long a source usually keeps silent between two events."""

from __future__ import annotations

import msgspec

from detectors.calibration import Calibrator
from detectors.signals.mean import Mean

SILENT_P = 1e-6
LEAST_GAPS = 5.0
WARM_UP = 20


class Arrival(msgspec.Struct, array_like=True):
    """Learns the gaps between events, and from them when a source counts as silent.

    Cost: about 1 µs an event. State: about 0.3 KB.

    Examples
    --------
    >>> arrival = Arrival()
    >>> for i in range(100):
    ...     arrival.learn_one(60.0 * i)
    >>> arrival.silent_after() >= 300.0
    True

    """

    newest: float | None = None
    gap: Mean = msgspec.field(default_factory=lambda: Mean(0.01))
    calibrator: Calibrator = msgspec.field(default_factory=Calibrator)

    def learn_one(self, t: float) -> None:
        """Take the time of an event in; late events count as of the newest one's time."""
        if self.newest is None:
            self.newest = t
        elif t > self.newest:
            gap, self.newest = t - self.newest, t
            if self.gap.n:
                self.calibrator.learn_one(min(gap / self.gap.value, 1e9))
            self.gap.learn_one(gap)

    def silent_after(self) -> float | None:
        """Return the seconds without an event that hardly ever pass while all is well; ``None`` while unknown."""
        if self.gap.n < WARM_UP:
            return None
        return self.gap.value * max(self.calibrator.score_at(SILENT_P), LEAST_GAPS)
