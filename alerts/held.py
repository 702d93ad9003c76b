"""What the budgets hold back of one source's alerts, and why."""

from __future__ import annotations

import msgspec

from alerts.budget import Allowance, Budget

SOURCE_BUDGET = "source_budget"
STREAM_BUDGET = "stream_budget"
REASONS = (SOURCE_BUDGET, STREAM_BUDGET)

ASK_AGAIN = 10.0
"""How many times as improbable what is held back must have become before the budgets are asked again."""


class Held(msgspec.Struct, array_like=True, frozen=True):
    """One alert that is held back.

    Parameters
    ----------
    p_value
        How improbable it was when the budgets were asked last.
    since
        Event time at which they were asked first.
    by
        Which of them refused.

    """

    p_value: float
    since: float
    by: str


class HeldBack:
    """Asks the source's budget, then what all sources may spend together, and remembers what they refuse.

    Parameters
    ----------
    a_day
        Alerts a day of this source; ``None`` is no limit.
    allowance
        What all sources may spend together.

    Examples
    --------
    >>> held = HeldBack(1)
    >>> [held.lets_fire("spike", 1e-5, 1e-4, t) for t in (0.0, 60.0)], held.reasons
    ([True, False], {'spike': 'source_budget'})
    >>> held.lets_fire("spike", 2e-6, 1e-4, 120.0), held.since("spike", 120.0)
    (False, 60.0)

    """

    __slots__ = ("_allowance", "_budget", "_held")

    def __init__(self, a_day: float | None, allowance: Allowance | None = None) -> None:
        self._budget = None if a_day is None else Budget(a_day)
        self._allowance = allowance
        self._held: dict[str, Held] = {}

    def __bool__(self) -> bool:
        return bool(self._held)

    def __contains__(self, kind: str) -> bool:
        return kind in self._held

    @property
    def reasons(self) -> dict[str, str]:
        """Which budget holds back an alert, by kind."""
        return {kind: self._held[kind].by for kind in sorted(self._held)}

    def since(self, kind: str, now: float) -> float:
        """Return since when an alert has been held back, or ``now``."""
        return self._held[kind].since if kind in self._held else now

    def lets_fire(self, kind: str, p_value: float, fire_p: float, now: float) -> bool:
        """Say whether an alert may fire; of one that is held back, only after it has become much more improbable."""
        held = self._held.get(kind)
        if held is not None and p_value > held.p_value / ASK_AGAIN:
            return False
        by = self._refused_by(now, min(1.0, p_value / fire_p))
        if by is None:
            self._held.pop(kind, None)
            return True
        self._held[kind] = Held(p_value, now if held is None else held.since, by)
        return False

    def release(self, kind: str) -> None:
        """Note that there is nothing to hold back any more."""
        self._held.pop(kind, None)

    def snapshot(self) -> list[object] | None:
        """Return the state as plain values, ``None`` without any budget."""
        if self._budget is None and self._allowance is None:
            return None
        budget = None if self._budget is None else self._budget.snapshot()
        return [budget, {kind: msgspec.to_builtins(held) for kind, held in sorted(self._held.items())}]

    def restore(self, state: object) -> None:
        """Take up what ``snapshot`` gave, whatever the budgets were then."""
        budget, held = msgspec.convert(state, tuple[list[object] | None, dict[str, Held]])
        if self._budget is not None and budget is not None:
            self._budget.restore(budget)
        if self._budget is not None or self._allowance is not None:
            self._held = held

    def _refused_by(self, now: float, rarity: float) -> str | None:
        if self._budget is not None and not self._budget.allows(now, rarity):
            return SOURCE_BUDGET
        if self._allowance is not None and not self._allowance.affords(now, rarity):
            return STREAM_BUDGET
        if self._budget is not None:
            self._budget.spend()
        return None
