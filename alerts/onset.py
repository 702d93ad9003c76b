"""Where something new begins: how far an event stands out from those before it."""

from __future__ import annotations

import math

from detectors.score import anomaly_score

ONSET_HALF_LIFE = 150
"""Events after which what has been is half forgotten when it is asked whether something new begins."""

ONSET_MARGIN = 0.5
"""How far, in powers of ten of the p-value, an event must stand out from what has been to be something new."""

_FADE = 0.5 ** (1 / ONSET_HALF_LIFE)


class Onset:
    """Compares each event with a peak of those before it that fades.

    An event that is worth an alert is as strong as any: what is yet more improbable is the same anomaly at its worst,
    and no new one.

    Parameters
    ----------
    enough_p
        p-value at and below which events are as strong as any.

    Examples
    --------
    >>> onset = Onset(1e-4)
    >>> [round(onset.of(p_value), 2) for p_value in (1.0, 1e-5, 1e-9, 1e-4)]
    [0.0, 0.9, 0.0, 0.0]

    """

    __slots__ = ("_enough_p", "_peak", "_strongest")

    def __init__(self, enough_p: float) -> None:
        self._enough_p = enough_p
        self._strongest = -math.log10(enough_p)
        self._peak = 0.0

    def of(self, p_value: float) -> float:
        """Take an event's p-value, and return the score of its beginning, 0 if it is nothing new."""
        p_value = max(p_value, self._enough_p)
        strength = -math.log10(p_value)
        new = strength > self._peak + ONSET_MARGIN
        self._peak = max(self._peak * _FADE, strength)
        return anomaly_score(p_value) if new else 0.0

    def snapshot(self) -> float:
        """Return the state."""
        return self._peak

    def restore(self, peak: float) -> None:
        """Take up what ``snapshot`` gave, whatever was as strong as any then."""
        self._peak = min(peak, self._strongest)
