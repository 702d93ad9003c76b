"""When to maintain a machine, and which machines in which week.

Maintained early, a machine loses life that it still had; run too long, it fails, which costs more. The time to act is
that at which the cost for each unit of time is least, over lives that go on one after the other (age replacement:
Barlow, Proschan: Mathematical theory of reliability. Wiley 1965, ch. 4), for what is foretold of this very machine.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from detectors.rul.condition import Floats

GRID = 200


@dataclass(frozen=True, slots=True)
class Costs:
    """What maintenance costs.

    Parameters
    ----------
    failure
        Of a failure, with what follows from it.
    early
        Of maintenance before it.

    """

    failure: float
    early: float

    def __post_init__(self) -> None:
        if not self.failure > self.early > 0:
            raise ValueError(
                f"a failure ({self.failure:g}) must cost more than early maintenance ({self.early:g}), and that more"
                " than nothing: else nothing is gained by it"
            )


@dataclass(frozen=True, slots=True)
class Outlook:
    """What is foretold of a machine.

    Parameters
    ----------
    age
        How old it is, in the unit of time.
    times
        Ascending, from now on, in the unit of time.
    failing
        Probability that it has failed by each of them.

    """

    age: float
    times: Sequence[float]
    failing: Sequence[float]

    def failed_by(self, times: Floats) -> Floats:
        """Return the probability that it has failed by each time; beyond the last it stays as it is there."""
        found: Floats = np.interp(times, [0.0, *self.times], [0.0, *np.maximum.accumulate(self.failing)])
        return found

    def grid(self) -> tuple[Floats, Floats, Floats]:
        """Return times, the probability of failing by each, and the life to be expected until each."""
        times = np.linspace(0.0, self.times[-1], GRID + 1)
        failed = self.failed_by(times)
        lives = np.concatenate([[0.0], np.cumsum((1 - (failed[1:] + failed[:-1]) / 2) * np.diff(times))])
        return times, failed, lives


class Advice(NamedTuple):
    """When to act, and why.

    Parameters
    ----------
    within
        Time from now on, in the unit of time.
    risk
        Probability that it fails before.
    cost_rate
        Cost for each unit of time if that is done.
    cost_rate_now
        The same if it is maintained now.
    cost_rate_last
        The same if it runs as long as anything is foretold.

    """

    within: float
    risk: float
    cost_rate: float
    cost_rate_now: float
    cost_rate_last: float

    def reasoning(self, unit: str) -> str:
        """Return why, in one sentence.

        Examples
        --------
        >>> Advice(20.0, 0.05, 1.5, 2.0, 4.0).reasoning("cycle")
        'act within 20 cycle: 1.5 a cycle, against 2 if done now and 4 if run on; it fails before with 5%'

        """
        when = "act now" if self.within == 0 else f"act within {self.within:.4g} {unit}"
        now = "" if self.within == 0 else f"{self.cost_rate_now:.3g} if done now and "
        return (
            f"{when}: {self.cost_rate:.3g} a {unit}, against {now}{self.cost_rate_last:.3g} if run on; it fails before"
            f" with {self.risk:.0%}"
        )


def advise(outlook: Outlook, costs: Costs) -> Advice:
    """Return when to maintain a machine.

    Parameters
    ----------
    outlook
        What is foretold of it.
    costs
        What maintenance costs.

    Examples
    --------
    >>> worn = Outlook(age=100.0, times=(10.0, 20.0, 40.0), failing=(0.0, 0.5, 1.0))
    >>> round(advise(worn, Costs(failure=50.0, early=5.0)).within)
    10
    >>> round(advise(worn, Costs(failure=5.1, early=5.0)).within)
    38

    """
    times, failed, lives = outlook.grid()
    cost = costs.early * (1 - failed) + costs.failure * failed
    rates = cost / np.maximum(outlook.age + lives, times[-1] / GRID)
    best = int(np.argmin(rates))
    return Advice(*(float(one) for one in (times[best], failed[best], rates[best], rates[0], rates[-1])))


class Planned(NamedTuple):
    """One machine in a plan: in which week, from 0 on, what that costs above its own best time, and its advice."""

    machine: str
    week: int
    extra: float
    advice: Advice


def plan(
    outlooks: Mapping[str, Outlook], costs: Costs, *, a_week: int, per_week: float, weeks: int
) -> tuple[list[Planned], list[str]]:
    """Return which machines to maintain in which week, and those that can wait beyond.

    Each machine costs, in each week, what is to be expected of it until then, less what the life that it gains is worth
    at its best rate. The machine that loses most if it does not get its best week chooses first.

    Parameters
    ----------
    outlooks
        What is foretold, by machine.
    costs
        What maintenance costs.
    a_week
        How many machines can be maintained in a week.
    per_week
        How much of the unit of time a machine lives in a week.
    weeks
        How many weeks to plan.

    """
    found: list[Planned] = []
    later: list[str] = []
    free = np.full(weeks, a_week)
    choices: list[tuple[float, str, Floats, Advice]] = []
    for name, outlook in sorted(outlooks.items()):
        advice = advise(outlook, costs)
        if advice.within >= weeks * per_week:
            later.append(name)
            continue
        times, failed, lives = outlook.grid()
        starts = np.arange(weeks) * per_week
        risk, gained = np.interp(starts, times, failed), np.interp(starts, times, lives)
        cost = costs.early * (1 - risk) + costs.failure * risk - advice.cost_rate * gained
        cost -= cost.min()
        choices.append((float(np.sort(cost)[1]) if weeks > 1 else 0.0, name, cost, advice))
    for _, name, cost, advice in sorted(choices, key=lambda one: (-one[0], one[1])):
        open_weeks = np.flatnonzero(free > 0)
        if not len(open_weeks):
            later.append(name)
            continue
        week = int(open_weeks[np.argmin(cost[open_weeks])])
        free[week] -= 1
        found.append(Planned(name, week, float(cost[week]), advice))
    return sorted(found, key=lambda one: (one.week, -one.advice.risk, one.machine)), sorted(later)
