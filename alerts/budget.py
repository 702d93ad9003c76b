"""How many alerts may begin: at most so many a day, the most improbable first."""

from __future__ import annotations

import math
from typing import Protocol

DAY = 86_400.0

PROBABLY_FALSE = 0.5
"""Rarity above which a candidate counts as a false one; as many again are expected to lie below."""

RESERVE = 6
"""How steeply the level falls once half of the budget is spent, so that the last alerts are kept for the rarest."""


class Allowance(Protocol):
    """What several sources may spend together."""

    def level(self, t: float) -> float:
        """Return the rarity up to which an alert may begin."""

    def affords(self, t: float, rarity: float) -> bool:
        """Say whether an alert may begin, and spend it if so."""


class Budget:
    """At most so many alerts in any day of event time, with a level that adapts to what comes.

    Each moment at which an alert would begin is a *candidate*, with a *rarity*: its p-value as a share of the one at
    which alerts begin. While nothing is wrong rarities are uniform in (0, 1]. So the candidates above one half,
    doubled, estimate how many false ones come in a day (the estimate of SAFFRON, here with a memory that decays over
    event time). A candidate passes if its rarity is at most *budget ÷ false candidates*: of those, that lets through
    as many as the budget has. Candidates of real anomalies are rare ones and do not make the level stricter. What
    makes it stricter is an alert that begins: once half of the budget is spent, the level falls with the sixth
    power of what is left. Whatever the level, the budget is never exceeded, in no span of 24 hours.

    A budget of less than one a day is one alert in as many days: 0.5 is one in any two. Of one with a fraction, such
    as 2.5, the whole part counts. Time never goes back: a candidate older than the newest one counts as of its time.

    State: 9 bytes for each alert of the last day, and 18.

    Parameters
    ----------
    a_day
        Alerts a day.

    Examples
    --------
    >>> budget = Budget(4)
    >>> [budget.affords(hour * 3600.0, rarity) for hour, rarity in enumerate((0.9, 0.8, 0.7, 0.6, 1e-4, 1e-9))]
    [True, True, True, False, True, False]

    References
    ----------
    Ramdas, A., Zrnic, T., Wainwright, M. J., Jordan, M. I. (2018). SAFFRON: an adaptive algorithm for online control of
    the false discovery rate. ICML. https://doi.org/10.48550/arXiv.1802.09098

    Ramdas, A., Yang, F., Wainwright, M. J., Jordan, M. I. (2017). Online control of the false discovery rate with
    decaying memory. NeurIPS. https://doi.org/10.48550/arXiv.1710.00499

    Tian, J., Ramdas, A. (2019). ADDIS: an adaptive discarding algorithm for online FDR control with conservative nulls.
    NeurIPS. https://doi.org/10.48550/arXiv.1905.11465 (why p-values above a bound may be left out, if the others are
    divided by it)

    """

    __slots__ = ("_begun", "_false", "_now", "_span", "most")

    def __init__(self, a_day: float) -> None:
        self.most = max(1, math.floor(a_day))
        self._span = DAY if a_day >= 1 else DAY / a_day
        self._now = -math.inf
        self._false = 0.0
        self._begun: list[float] = []

    @property
    def begun(self) -> int:
        """How many alerts have begun within the last day, of ``most``."""
        return len(self._begun)

    def level(self, t: float) -> float:
        """Return the rarity up to which a candidate passes."""
        self._reach(t)
        left = 1.0 - len(self._begun) / self.most
        return min(1.0, self.most * min(1.0, (2.0 * left) ** RESERVE) / max(self._false, 1e-9))

    def allows(self, t: float, rarity: float) -> bool:
        """Take a candidate, and say whether it passes; ``spend`` it if its alert begins.

        Parameters
        ----------
        t
            Event time, epoch seconds.
        rarity
            The p-value as a share of the p-value at which an alert begins, in (0, 1].

        """
        passes = rarity <= self.level(t)
        if rarity > PROBABLY_FALSE:
            self._false += 1.0 / (1.0 - PROBABLY_FALSE)
        return passes

    def spend(self) -> None:
        """Note that the alert of the candidate that has just passed begins."""
        self._begun.append(self._now)

    def affords(self, t: float, rarity: float) -> bool:
        """Say whether an alert may begin, and spend it if so."""
        passes = self.allows(t, rarity)
        if passes:
            self.spend()
        return passes

    def snapshot(self) -> list[object]:
        """Return the state as plain values."""
        return [self._now, self._false, *self._begun]

    def restore(self, state: list[object]) -> None:
        """Take up what ``snapshot`` gave, of whatever budget it was."""
        self._now, self._false, *self._begun = (float(number) for number in state if isinstance(number, (int, float)))
        self._begun = self._begun[-self.most :]

    def _reach(self, t: float) -> None:
        if t > self._now:
            self._false *= math.exp((self._now - t) / self._span)
            self._now = t
            self._begun = [begun for begun in self._begun if t - begun < self._span]
