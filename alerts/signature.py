"""What an anomaly looked like, small enough to remember, and when another one looks alike."""

from __future__ import annotations

import math

import msgspec

from detectors.score import Score, SignalScore, ValueExplanation

NOTEWORTHY_P = 0.05
"""p-value at or below which a signal has something to say."""

MARGIN = 0.25
"""How much further than what was judged still looks alike, and how much less than what was missed."""

SAME_DIRECTION = 0.8
"""Cosine of the contributions of two joint anomalies from which on they point the same way."""

JOINT = "joint"
BOUNDS, VALUE, WHOLE = 0, 1, 2
"""What ``low`` and ``high`` are: deviations in bounds, readings, or the strength of a source as a whole."""

_STEPS = 16
_FURTHEST = 1e6
_NAMES = 8


class Signature(msgspec.Struct, array_like=True, frozen=True):
    """What a signal, or all signals of an alert, looked like.

    Parameters
    ----------
    kind
        Kind of the signal.
    name
        The value that it is about; ``None`` for the source as a whole, and for a joint anomaly.
    unit
        ``BOUNDS``: ``low`` and ``high`` are how far below and above what was expected it went, in sixteenths of half
        the width of the explanation's bounds. ``VALUE``: without bounds, its lowest and highest reading. ``WHOLE``: of
        a source as a whole, its strength.
    low, high
        How far it went either way; 0 if it did not, except for readings.
    strength
        Of its least probable signal, in sixteenths of a power of ten.
    shape
        Of a joint anomaly, the contributions with the signs of the deviations; of a source as a whole, its readings.

    """

    kind: str
    name: str | None
    unit: int
    low: int | float
    high: int | float
    strength: int
    shape: dict[str, float] = msgspec.field(default_factory=dict)

    def widen(self, other: Signature) -> Signature:
        """Return what both looked like: as far as either went."""
        if (self.kind, self.name, self.unit) != (other.kind, other.name, other.unit):
            return self if self.strength >= other.strength else other
        low, high, strength = min(self.low, other.low), max(self.high, other.high), self.strength
        if low >= self.low and high <= self.high and other.strength <= strength:
            return self
        shape = other.shape if other.strength > strength else self.shape
        return Signature(self.kind, self.name, self.unit, low, high, max(strength, other.strength), shape)

    def covers(self, other: Signature) -> bool:
        """Say whether another looks alike, and went no more than the margin further.

        Examples
        --------
        >>> judged = of_bounds("spike", "x", 8.0)
        >>> [judged.covers(of_bounds("spike", "x", deviation)) for deviation in (2.0, 9.9, 10.1, -2.0)]
        [True, True, False, False]

        """
        if not self._is_of_the_same(other):
            return False
        if self.unit == VALUE:
            return self._spans(other)
        furthest_up = (1 + MARGIN) * max(self.high, _STEPS) if self.high else 0
        furthest_down = (1 + MARGIN) * min(self.low, -_STEPS) if self.low else 0
        return furthest_down <= other.low and other.high <= furthest_up

    def is_matched_by(self, other: Signature) -> bool:
        """Say whether another looks alike and is at least as strong, but for the margin.

        Examples
        --------
        >>> missed = of_bounds("spike", "x", 8.0)
        >>> [missed.is_matched_by(of_bounds("spike", "x", deviation)) for deviation in (5.9, 6.1, 50.0, -50.0)]
        [False, True, True, False]

        """
        if not self._is_of_the_same(other) or other.strength < (1 - MARGIN) * self.strength:
            return False
        if self.unit == VALUE:
            return self._spans(other)
        up = self.high > 0 and other.high >= (1 - MARGIN) * self.high
        down = self.low < 0 and other.low <= (1 - MARGIN) * self.low
        return up or down

    def _is_of_the_same(self, other: Signature) -> bool:
        if (self.kind, self.name, self.unit) != (other.kind, other.name, other.unit):
            return False
        if self.kind == JOINT:
            return _cosine(self.shape, other.shape) >= SAME_DIRECTION
        return self.unit != WHOLE or all(
            name in other.shape and abs(other.shape[name] - value) <= MARGIN * abs(value)
            for name, value in self.shape.items()
        )

    def _spans(self, other: Signature) -> bool:
        return self.low - MARGIN * abs(self.low) <= other.low and other.high <= self.high + MARGIN * abs(self.high)


def of_bounds(kind: str, name: str | None, deviation: float, strength: float = 5.0) -> Signature:
    """Return the signature of one that lies so many times half the width of the bounds from what was expected."""
    steps = round(deviation * _STEPS) or round(math.copysign(1, deviation))
    return Signature(kind, name, BOUNDS, min(steps, 0), max(steps, 0), round(strength * _STEPS))


def of_signal(signal: SignalScore, score: Score) -> Signature:
    """Return what a signal of a score looks like.

    A deviation counts as of the signal's direction; where direction has no meaning, only its size counts.

    Examples
    --------
    >>> score = Score(1e-5, 0.9, values={"x": ValueExplanation(18.0, 10.0, 9.0, 11.0, 1.0)})
    >>> of_signal(SignalScore("spike", 1e-5, "x", 1), score)
    Signature(kind='spike', name='x', unit=0, low=0, high=128, strength=80, shape={})

    """
    strength = round(-math.log10(max(signal.p_value, 1e-300)) * _STEPS)
    value = None if signal.name is None else score.values.get(signal.name)
    shape = _directions(score) if signal.kind == JOINT else {}
    name = None if signal.kind == JOINT else signal.name
    if value is None:
        signed = -strength if signal.direction < 0 else strength
        readings = shape or {name: score.values[name].value for name in sorted(score.values)[:_NAMES]}
        return Signature(signal.kind, name, WHOLE, min(signed, 0), max(signed, 0), strength, readings)
    if signal.kind == JOINT:  # its direction is that of all its contributions
        steps = max(1, abs(_deviation(value) or 0))
        return Signature(signal.kind, None, BOUNDS, 0, steps, strength, shape)
    deviation = _deviation(value)
    if deviation is None:
        return Signature(signal.kind, name, VALUE, value.value, value.value, strength)
    steps = max(1, abs(deviation)) * (-1 if signal.direction < 0 else 1)
    return Signature(signal.kind, name, BOUNDS, min(steps, 0), max(steps, 0), strength)


def of_silence(kind: str, seconds: float) -> Signature:
    """Return the signature of a source that said nothing for so long."""
    return Signature(kind, None, VALUE, 0.0, seconds, 0)


def noteworthy(score: Score, most: int) -> list[Signature]:
    """Return what the signals look like that have something to say, most significant first."""
    return [of_signal(signal, score) for signal in score.signals[:most] if signal.p_value <= NOTEWORTHY_P]


def _deviation(value: ValueExplanation) -> int | None:
    if value.expected is None or value.lower is None or value.upper is None:
        return None
    half = value.upper / 2 - value.lower / 2
    if not 0.0 < half < math.inf:
        return None
    deviation = value.value / half - value.expected / half
    if math.isnan(deviation):
        return None
    return round(max(-_FURTHEST, min(deviation, _FURTHEST)) * _STEPS)


def _directions(score: Score) -> dict[str, float]:
    largest = sorted(score.values, key=lambda name: (-score.values[name].contribution, name))[:_NAMES]
    return {
        name: round(math.copysign(v.contribution, v.value - (v.expected or 0.0)), 2)
        for name in largest
        if (v := score.values[name]).contribution >= 0.01
    }


def _cosine(one: dict[str, float], other: dict[str, float]) -> float:
    product = sum(value * other.get(name, 0.0) for name, value in one.items())
    lengths = math.sqrt(sum(v * v for v in one.values()) * sum(v * v for v in other.values()))
    return product / lengths if lengths else 0.0
