"""What is held back of one source's alerts, and by what: the calendar, feedback or a budget."""

from __future__ import annotations

import msgspec

from alerts.budget import Allowance, Budget

CALENDAR = "calendar"
FEEDBACK = "feedback"
SOURCE_BUDGET = "source_budget"
STREAM_BUDGET = "stream_budget"
REASONS = (CALENDAR, FEEDBACK, SOURCE_BUDGET, STREAM_BUDGET)
"""What may hold back an alert, in the order in which it is asked."""

BUDGETS = (SOURCE_BUDGET, STREAM_BUDGET)

ASK_AGAIN = 10.0
"""How many times as improbable what is held back must have become before the budgets are asked again."""


class Held(msgspec.Struct, array_like=True, frozen=True):
    """One alert that is held back.

    Parameters
    ----------
    p_value
        How improbable it was when it was refused last.
    since
        Event time at which it was refused first.
    by
        What refused.
    window
        With the calendar, which window.

    """

    p_value: float
    since: float
    by: str
    window: str | None = None


class HeldBack:
    """Remembers what feedback refuses; asks the source's budget, then what all sources may spend together.

    What a budget has refused is asked again once it has become much more improbable. What feedback refuses is asked of
    no budget, and costs none; something else of the same kind is asked for the first time.

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

    __slots__ = ("_a_day", "_allowance", "_budget", "_held")

    def __init__(self, a_day: float | None, allowance: Allowance | None = None) -> None:
        self._a_day = a_day
        self._budget = None if a_day is None else Budget(a_day)
        self._allowance = allowance
        self._held: dict[str, Held] = {}

    def under(self, a_day: float | None) -> HeldBack:
        """Return the same with another limit for the source."""
        if a_day == self._a_day:
            return self
        other = HeldBack(a_day, self._allowance)
        if (state := self.snapshot()) is not None:
            other.restore(state)
        return other

    def __bool__(self) -> bool:
        return bool(self._held)

    def __contains__(self, kind: str) -> bool:
        return kind in self._held

    @property
    def reasons(self) -> dict[str, str]:
        """What holds back an alert, by kind."""
        return {kind: self._held[kind].by for kind in sorted(self._held)}

    def of(self, kind: str) -> Held | None:
        """Return what is held back of a kind."""
        return self._held.get(kind)

    @property
    def spent(self) -> tuple[int, int] | None:
        """How many alerts of the source's budget have begun, and how many may within a day."""
        return None if self._budget is None else (self._budget.begun, self._budget.most)

    @property
    def reason(self) -> str | None:
        """What holds back an alert, of several the first that is asked; ``None`` if nothing is held."""
        return min((held.by for held in self._held.values()), key=REASONS.index, default=None)

    @property
    def windows(self) -> tuple[str, ...]:
        """The calendar's windows that hold something back."""
        return tuple(sorted({held.window for held in self._held.values() if held.window is not None}))

    def since(self, kind: str, now: float) -> float:
        """Return since when a budget or the calendar has held back an alert, or ``now``."""
        held = self._held.get(kind)
        return now if held is None or held.by == FEEDBACK else held.since

    def because_of_feedback(self, kind: str, p_value: float, now: float) -> None:
        """Note that feedback holds back an alert."""
        self._because_of(FEEDBACK, kind, p_value, now)

    def because_of_calendar(self, kind: str, p_value: float, now: float, window: str) -> None:
        """Note that a window of the calendar holds back an alert."""
        self._because_of(CALENDAR, kind, p_value, now, window)

    def lets_fire(self, kind: str, p_value: float, fire_p: float, now: float) -> bool:
        """Say whether an alert may fire; of one that a budget holds back, only once it is much more improbable.

        One above ``fire_p``, which fires because people say so, is weighed as one that is just at it.
        """
        p_value = min(p_value, fire_p)
        held = self._by_budget(kind)
        if held is not None and p_value > held.p_value / ASK_AGAIN:
            return False
        by = self._refused_by(now, p_value / fire_p)
        if by is None:
            self._held.pop(kind, None)
            return True
        self._held[kind] = Held(p_value, now if held is None else held.since, by)
        return False

    def release(self, kind: str) -> None:
        """Note that there is nothing to hold back any more."""
        self._held.pop(kind, None)

    def snapshot(self) -> list[object] | None:
        """Return the state as plain values, ``None`` if there is none."""
        if self._budget is None and not self._held:
            return None
        budget = None if self._budget is None else self._budget.snapshot()
        return [budget, {kind: msgspec.to_builtins(held) for kind, held in sorted(self._held.items())}]

    def restore(self, state: object) -> None:
        """Take up what ``snapshot`` gave, whatever the budgets were then."""
        budget, held = msgspec.convert(state, tuple[list[object] | None, dict[str, Held]])
        if self._budget is not None and budget is not None:
            self._budget.restore(budget)
        limited = self._budget is not None or self._allowance is not None
        self._held = {kind: one for kind, one in held.items() if limited or one.by not in BUDGETS}

    def _by_budget(self, kind: str) -> Held | None:
        held = self._held.get(kind)
        return held if held is not None and held.by in BUDGETS else None

    def _because_of(self, by: str, kind: str, p_value: float, now: float, window: str | None = None) -> None:
        held = self._held.get(kind)
        self._held[kind] = Held(p_value, held.since if held is not None and held.by == by else now, by, window)

    def _refused_by(self, now: float, rarity: float) -> str | None:
        if self._budget is not None and not self._budget.allows(now, rarity):
            return SOURCE_BUDGET
        if self._allowance is not None and not self._allowance.affords(now, rarity):
            return STREAM_BUDGET
        if self._budget is not None:
            self._budget.spend()
        return None
