"""Running means that begin as plain averages and then forget exponentially."""

from __future__ import annotations

from detectors.compiled import compiled

UNCLIPPED = 20
"""First deviations that all count in full."""


@compiled
def mean(before: float, value: float, n: int, rate: float) -> float:
    """Return the mean with its ``n``-th value: the plain one of the first ``1 / rate`` values, then weighted.

    Examples
    --------
    >>> mean(1.5, 3.0, 3, 0.1), mean(0.0, 1.0, 1000, 0.1)
    (2.0, 0.1)

    """
    return before + (value - before) * max(rate, 1.0 / n)


@compiled
def drawn_nearer(distance: float, power: float) -> float:
    """Return a distance, far ones drawn nearer the smaller the power; 1 leaves all where they are."""
    return (1.0 + distance) ** power - 1.0


@compiled
def scale(before: float, deviation: float, n: int, rate: float, clip: float) -> float:
    """Return the mean absolute deviation with its ``n``-th; a wild one counts no more than ``clip`` usual ones.

    Examples
    --------
    >>> scale(1.0, 1000.0, 1000, 0.1, 4.0)
    1.3

    """
    if n > UNCLIPPED and before > 0.0:
        deviation = min(deviation, clip * before)
    return before + (deviation - before) * max(rate, 1.0 / n)
