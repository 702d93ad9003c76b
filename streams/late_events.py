"""Events that come late are put where they belong: what came after them is scored again, in order."""

from __future__ import annotations

import bisect
import math
from typing import NamedTuple

import msgspec
from pydantic import Field

from detectors.base import Detector
from detectors.score import Score
from streams.settings import Settings

EVERY = 32
"""Events between two states of a detector that are kept to go back to."""


class LateSettings(Settings):
    """How late an event may come and still be put where it belongs."""

    rescore_within: float = Field(
        0.0,
        ge=0,
        description="Seconds that an event may be older than the newest of its source and still be put in order: it and"
        " what came after it are scored again, and alerts that began there are corrected or retracted. 0 scores all"
        " events as they come. Costs a state of the detector for each 32 events of that time.",
    )
    rescore_events: int = Field(256, ge=1, le=10_000, description="Most events of a source that are scored again.")


class Past(msgspec.Struct, array_like=True, frozen=True):
    """An event that has been learned; ``frozen`` says that it was only watched.

    One that came too late to be put in order was learned ``after`` the newest of its day, and stays there.
    """

    time: float
    values: dict[str, float]
    frozen: bool
    after: float = -math.inf

    @property
    def place(self) -> float:
        """Time by which it is in order."""
        return max(self.time, self.after)


class _State(msgspec.Struct, array_like=True):
    """A detector's state before the event at a place."""

    place: int
    state: bytes


class PastState(msgspec.Struct, array_like=True, frozen=True):
    """A ``RecentPast`` as it is written; no event before ``until`` can be put in order."""

    until: float
    events: list[Past]
    states: list[_State]


class Scored(NamedTuple):
    """What a detector says of an event; ``again`` is what it says now of those that come after it.

    ``again`` is empty unless the event came late. It begins with some that came before it, whose scores are as they
    were, and holds the event itself.
    """

    score: Score
    again: tuple[tuple[float, Score], ...] = ()
    later: int = 0


class RecentPast:
    """What a source's detector has learned of late, so that a late event can still be learned in its place.

    The result is that of the same events in the order of their times; of those at one time, in that of their arrival.

    Parameters
    ----------
    settings
        How far back it reaches.

    Examples
    --------
    >>> from detectors.auto import Auto
    >>> in_order, late = Auto(), Auto()
    >>> past = RecentPast(LateSettings(rescore_within=60))
    >>> for t in range(100):
    ...     score = in_order.process_one({"flow": t % 7.0}, float(t))
    >>> for t in (*range(50), *range(51, 100), 50):
    ...     scored = past.score(late, {"flow": t % 7.0}, float(t), frozen=False)
    >>> scored.later, late.snapshot() == in_order.snapshot()
    (49, True)

    """

    __slots__ = ("_events", "_settings", "_states", "_until")

    def __init__(self, settings: LateSettings) -> None:
        self._settings = settings
        self._until = -math.inf
        self._events: list[Past] = []
        self._states: list[_State] = []

    def score(self, detector: Detector, x: dict[str, float], t: float, *, frozen: bool) -> Scored:
        """Let a detector score and learn an event, after those that were before it.

        Whatever the detector raises is raised, and its state is as it was.
        """
        event = Past(t, x, frozen)
        if not self._events or t >= self._events[-1].place:
            return Scored(self._append(detector, event))
        newest = self._events[-1].place
        if t < self._until or t < newest - self._settings.rescore_within:
            # As it comes: what it came after is known no more.
            return Scored(self._append(detector, Past(t, x, frozen, newest)))
        before, past = detector.snapshot(), self.snapshot()
        try:
            return self._insert(detector, event)
        except Exception:
            detector.restore(before)
            self.restore(past)
            raise

    def snapshot(self) -> PastState:
        """Return the state."""
        return PastState(self._until, self._events, self._states)

    def restore(self, state: PastState) -> None:
        """Take up what ``snapshot`` gave."""
        self._until, self._events, self._states = state.until, state.events, state.states

    def _append(self, detector: Detector, event: Past) -> Score:
        score = self._learn(detector, event)
        self._forget(event.place - self._settings.rescore_within)
        return score

    def _insert(self, detector: Detector, event: Past) -> Scored:
        """Go back to the last state before the event's place, and learn it and all that came after it anew."""
        place = bisect.bisect_right(self._events, event.time, key=_place)
        earlier = [kept for kept in self._states if kept.place <= place]
        base = earlier.pop()
        anew = [*self._events[base.place : place], event, *self._events[place:]]
        self._events, self._states = self._events[: base.place], earlier
        detector.restore(base.state)
        again = tuple((one.time, self._learn(detector, one)) for one in anew)
        self._forget(anew[-1].place - self._settings.rescore_within)
        at = place - base.place
        return Scored(again[at][1], again, len(anew) - 1 - at)

    def _learn(self, detector: Detector, event: Past) -> Score:
        kept = None
        if not self._states or len(self._events) - self._states[-1].place >= EVERY:
            kept = _State(len(self._events), detector.snapshot())
        score = _take(detector, event)
        if kept is not None:
            self._states.append(kept)
        self._events.append(event)
        return score

    def _forget(self, before: float) -> None:
        """Let go of what no event within bounds can come before."""
        while len(self._states) > 1:
            place = self._states[1].place
            enough = len(self._events) - place >= self._settings.rescore_events
            if self._events[place - 1].place >= before and not enough:
                return
            self._until = self._events[place - 1].place
            del self._events[:place], self._states[0]
            self._states = [_State(kept.place - place, kept.state) for kept in self._states]


def _take(detector: Detector, event: Past) -> Score:
    take = detector.watch_one if event.frozen else detector.process_one
    return take(event.values, event.time)


def _place(event: Past) -> float:
    return event.place
