"""Evidence that a mean is above zero, which may be looked at after every observation."""

from __future__ import annotations

import math
from collections.abc import Sequence

STAKES = tuple(0.95 * 0.5**i for i in range(5))
"""Shares of the wealth that are bet: large ones prove a large mean soon, small ones a small mean at all."""


class Evidence:
    """Bets on the mean of bounded observations being above zero; the wealth won is the evidence.

    A gambler begins with 1 and stakes a fixed share of all wealth on each observation. If the observations are above
    zero no more than by chance, the wealth is no martingale that grows: it ever reaches w with probability 1/w at most.
    So whoever waits for w = 100 and looks after each observation errs in one of a hundred cases. Nothing is assumed of
    the observations but that they lie in -1…1: neither independence nor that their mean stays the same. What is shown
    is that, so far, their expected values were above zero on average. Several gamblers with other stakes share the
    first 1, since the best stake is not known before.

    Costs 1 µs an observation and 5 numbers of state.

    Parameters
    ----------
    wealth
        The logarithm of each gambler's wealth, as ``snapshot`` gave it.

    References
    ----------
    Waudby-Smith, I., Ramdas, A. (2024). Estimating means of bounded random variables by betting. Journal of the Royal
    Statistical Society B 86(1). https://doi.org/10.1093/jrsssb/qkad009
    Choe, Y. J., Ramdas, A. (2024). Comparing Sequential Forecasters. Operations Research 72(4).
    https://doi.org/10.1287/opre.2021.0792

    Examples
    --------
    >>> above, below = Evidence(), Evidence()
    >>> for i in range(200):
    ...     above.observe(0.5 if i % 3 else -0.5)
    ...     below.observe(-0.5 if i % 3 else 0.5)
    >>> above.log_value() > math.log(1000), below.log_value() < 0
    (True, True)

    """

    def __init__(self, wealth: Sequence[float] | None = None) -> None:
        self._wealth = [0.0] * len(STAKES) if wealth is None else list(wealth)

    def observe(self, x: float) -> None:
        """Take in an observation from -1…1."""
        if x != 0.0:
            self._wealth = [was + math.log1p(stake * x) for was, stake in zip(self._wealth, STAKES, strict=True)]

    def log_value(self) -> float:
        """Return the logarithm of the wealth of all gamblers, who began with 1 in all."""
        most = max(self._wealth)
        return most + math.log(sum(math.exp(one - most) for one in self._wealth) / len(self._wealth))

    def snapshot(self) -> list[float]:
        """Return the state as plain numbers."""
        return self._wealth
