"""How rarely a value has been exceeded so far: a conformal p-value from a histogram."""

from __future__ import annotations

import math
from collections.abc import Sequence


class TailHistogram:
    """Conformal p-values of a positive quantity over many orders of magnitude, in constant memory.

    Values are counted on a logarithmic grid of ``per_octave`` steps for each doubling; the p-value of a new
    value is the share of the values so far that lie in its step or above, itself included. Counts are halved
    now and then, so that old values slowly lose their weight.

    Parameters
    ----------
    per_octave
        Steps for each doubling of the value.
    memory
        Number of values after which all counts are halved.

    References
    ----------
    Vovk, V., Gammerman, A., Shafer, G. (2005). Algorithmic Learning in a Random World. Springer.
    https://doi.org/10.1007/b106715

    Examples
    --------
    >>> tail = TailHistogram()
    >>> for value in range(1, 1000):
    ...     tail.learn(value)
    >>> round(tail.p_value(10), 2), tail.p_value(5000)
    (0.99, 0.001)

    """

    LOWEST = -20
    HIGHEST = 60

    __slots__ = ("_counts", "_memory", "_per_octave", "_total")

    def __init__(self, per_octave: int = 4, memory: int = 1_000_000, counts: Sequence[int] | None = None) -> None:
        self._per_octave = per_octave
        self._memory = memory
        size = (self.HIGHEST - self.LOWEST) * per_octave
        self._counts = list(counts) if counts is not None else [0] * size
        self._total = sum(self._counts)

    def learn(self, value: float) -> None:
        """Count a value."""
        self._counts[self._step(value)] += 1
        self._total += 1
        if self._total > self._memory:
            self._counts = [count // 2 for count in self._counts]
            self._total = sum(self._counts)

    def p_value(self, value: float) -> float:
        """Return the share of values so far at least as large as this one, counting itself."""
        at_least = sum(self._counts[self._step(value) :])
        return (at_least + 1) / (self._total + 1)

    def counts(self) -> list[int]:
        """Return the counts, from which an equal histogram can be made."""
        return list(self._counts)

    def _step(self, value: float) -> int:
        if value <= 2.0**self.LOWEST:
            return 0
        step = int((math.log2(value) - self.LOWEST) * self._per_octave)
        return min(step, len(self._counts) - 1)
