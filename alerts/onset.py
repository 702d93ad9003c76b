"""Where something new begins: how far an event stands out from those before it."""

from __future__ import annotations

import math
from collections.abc import Collection

import msgspec

from detectors.score import SignalScore, anomaly_score

HALF_LIFE = 100
"""Events after which what has begun is half forgotten when it is asked whether something else begins."""

OWN_HALF_LIFE = 400
"""The same for one signal of one value, whether or not anything began with it."""

MARGIN = 0.5
"""How far, in powers of ten of the p-value, a signal must stand out from what has been to be something new."""

FORGOTTEN = 0.1
"""Strength below which what has been makes no difference."""


class _Peak(msgspec.Struct, array_like=True):
    """The strength of what has been, as it was at an event; it fades."""

    strength: float = 0.0
    at: int = 0

    def now(self, event: int, half_life: int) -> float:
        return float(self.strength * 0.5 ** ((event - self.at) / half_life))


class Onset:
    """Compares each signal with its own past, and an event with what began before it.

    Both are peaks that fade. So a signal that goes on, or comes and goes, begins once; and so does a fault that one
    signal after another notices. A signal that is worth an alert is as strong as any: what is yet more improbable is
    the same anomaly at its worst, and no new one.

    Parameters
    ----------
    enough_p
        p-value at and below which signals are as strong as any.

    Examples
    --------
    >>> onset = Onset(1e-4)
    >>> [round(onset.of([SignalScore("spike", p_value)]), 2) for p_value in (1.0, 1e-5, 1e-9, 1e-4)]
    [0.0, 0.9, 0.0, 0.0]

    """

    __slots__ = ("_begun", "_enough_p", "_event", "_own", "_strongest")

    def __init__(self, enough_p: float) -> None:
        self._enough_p = enough_p
        self._strongest = -math.log10(enough_p)
        self._event = 0
        self._begun = _Peak()
        self._own: dict[str, _Peak] = {}

    def under(self, enough_p: float) -> Onset:
        """Return the same where signals are as strong as any at another p-value."""
        if enough_p == self._enough_p:
            return self
        other = Onset(enough_p)
        other.restore(self.snapshot())
        return other

    def of(self, signals: Collection[SignalScore], raised: Collection[SignalScore] = ()) -> float:
        """Take an event's signals, and return the score of its beginning, 0 if it is nothing new.

        Parameters
        ----------
        signals
            What has something to say.
        raised
            What is worth an alert whatever its p-value, since people say so.

        """
        self._event += 1
        if not signals and not raised:
            return 0.0
        new = 0.0
        for signal in signals:
            new = max(new, self._new(signal, min(-math.log10(signal.p_value), self._strongest)))
        for signal in raised:
            new = max(new, self._new(signal, self._strongest))
        before = self._begun.now(self._event, HALF_LIFE)
        if new > before:
            self._begun = _Peak(new, self._event)
        return anomaly_score(max(10.0**-new, self._enough_p)) if new > before + MARGIN else 0.0

    def _new(self, signal: SignalScore, strength: float) -> float:
        """Return the strength of a signal if it stands out from its own past, else 0."""
        about = f"{signal.kind}\x1f{signal.name or ''}"
        own = self._own.get(about)
        before = own.now(self._event, OWN_HALF_LIFE) if own is not None else 0.0
        if before <= FORGOTTEN:  # now, not when the next snapshot leaves it out: when that is must not matter
            before = 0.0
        if strength > before:
            self._own[about] = _Peak(strength, self._event)
        return strength if strength > before + MARGIN else 0.0

    def snapshot(self) -> list[object]:
        """Return the state as plain values."""
        lasting = [one for one in self._own.items() if one[1].now(self._event, OWN_HALF_LIFE) > FORGOTTEN]
        own = dict(sorted(lasting))  # in whatever order they came back after one was left out
        self._own = own
        return [self._event, msgspec.to_builtins(self._begun), msgspec.to_builtins(own)]

    def restore(self, state: object) -> None:
        """Take up what ``snapshot`` gave, whatever was as strong as any then."""
        self._event, self._begun, self._own = msgspec.convert(state, tuple[int, _Peak, dict[str, _Peak]])
        for peak in (self._begun, *self._own.values()):
            peak.strength = min(peak.strength, self._strongest)
