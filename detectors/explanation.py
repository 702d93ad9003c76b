"""From the numbers of the inner loop to what a person is told."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from detectors.judgement import PATTERN, SEASON, SPIKE
from detectors.score import SignalScore, ValueExplanation

SPECIFIC = 0.1
"""A signal at or below this corrected p-value says what kind of thing a new pattern is."""


def explained(x: Mapping[str, float], told: NDArray[np.float64]) -> dict[str, ValueExplanation]:
    """Return the explanation of each value of an event."""
    rows = zip(x.items(), told.tolist(), strict=True)
    return {name: explanation(value, *row[:4]) for (name, value), row in rows}


def explanation(value: float, expected: float, lower: float, upper: float, share: float) -> ValueExplanation:
    """Return an explanation from numbers, where one that is not a number stands for unknown."""
    if lower == lower:  # noqa: PLR0124 - not a number is unlike itself
        return ValueExplanation(value, expected, lower, upper, share)
    return ValueExplanation(value, expected if expected == expected else None, None, None, share)  # noqa: PLR0124


def more_specific(row: list[float], told: list[float], value: float) -> int:
    """Return the kind that says what a new pattern is: what has just jumped is a spike until it stays."""
    if row[SPIKE] <= SPECIFIC and not told[5] <= value <= told[6]:
        return SPIKE
    others = [kind for kind in range(len(row)) if kind not in (PATTERN, SPIKE)]
    best = min(others, key=lambda kind: row[kind])
    if best == SEASON and told[1] <= value <= told[2]:
        return PATTERN
    return best if row[best] <= SPECIFIC else PATTERN


def within(explained: ValueExplanation) -> bool:
    """Say whether a value is within its bounds."""
    lower, upper = explained.lower, explained.upper
    return lower is not None and upper is not None and lower <= explained.value <= upper


def direction_of(explained: ValueExplanation) -> int:
    """Return 1 for a value above what was expected, -1 below, 0 if neither."""
    expected = explained.expected
    return 0 if expected is None else (explained.value > expected) - (explained.value < expected)


def by_p_value(signal: SignalScore) -> float:
    """Return what signals are sorted by."""
    return signal.p_value
