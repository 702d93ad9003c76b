"""Which sources are due as time passes: until when each must be heard again, and when it is forgotten."""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Iterator, Mapping

from streams.kept_states import KeptStates
from streams.source import Heard, Source, heard_of
from streams.state_keys import names_after

GRACE = 86_400.0
"""Seconds beyond those after which a source is forgotten for which its state is kept: a record may come so late."""

AT_ONCE = 2000
"""Stored sources that are looked at in one tick after a start: events need not wait for all of them."""


class Silences:
    """Notes until when each source must be heard again, from the first question on.

    A note is a time and a name. A stored source is looked at without being taken up: what its state says of when it
    was heard suffices.

    Parameters
    ----------
    least
        Seconds without an event that never count as silence.
    forgotten_after
        Seconds without an event after which a source is forgotten; ``None`` is never.
    sources
        The sources.
    stored
        What was stored at the last checkpoint, by source.
    restore
        Takes up a stored source, to look at it only.

    """

    def __init__(
        self,
        least: float,
        forgotten_after: float | None,
        sources: KeptStates[Source],
        stored: Mapping[str, bytes],
        restore: Callable[[str, bytes], Source],
    ) -> None:
        self._least, self._sources, self._stored, self._restore = least, sources, stored, restore
        self._forgotten_after = math.inf if forgotten_after is None else forgotten_after
        self._awaited: list[tuple[float, str]] | None = None
        self._noted: dict[str, float] = {}
        self._far: set[str] = set()  # those whose note is only of when they are forgotten
        self._looked_at: str | None = ""

    def allowed(self, source: Source, silent_after: float | None, last: float) -> float | None:
        """Return how many seconds a source may say nothing, ``None`` while unknown; longer while alerts are muted.

        Parameters
        ----------
        source
            The source.
        silent_after
            What its detector says, now or at an event.
        last
            Time of its newest event, now or then.

        """
        if silent_after is None:
            return None
        usual = max(silent_after, self._least, source.lifecycle.tolerated_silence)
        return source.lifecycle.excused(last, usual)

    def forgets(self, source: Source, produced_at: float) -> bool:
        """Say whether a source had been silent for so long, when a record of it was produced, that it is forgotten."""
        return produced_at - source.heard > self._forgotten_after and source.events > 0

    def is_to_go(self, source: Source, now: float) -> bool:
        """Say whether a source is forgotten by ``now``, even if a record should come late."""
        return now - source.heard > self._forgotten_after + GRACE

    def expect(self, source: Source) -> None:
        """Note until when a source that has just sent must be heard again; a note is renewed when it comes due."""
        if self._awaited is not None and (source.name not in self._noted or source.name in self._far):
            self._note(source.name, source, said=False)

    def due(self, now: float) -> Iterator[Source]:
        """Yield the sources that have fallen silent or are forgotten by ``now``."""
        if self._awaited is None:
            self._awaited = []
            for source in self._sources:
                self._note(source.name, source, said=source.is_silent)
        if self._looked_at is not None:
            self._look_at_stored()
        while self._awaited and self._awaited[0][0] < now:
            due, name = heapq.heappop(self._awaited)
            if self._noted.get(name) != due:
                continue  # a sooner note has taken its place
            del self._noted[name]
            seen = self._see(name)
            if seen is None:
                continue
            if self._due(seen, said=seen.is_silent) >= now:
                self._note(name, seen, said=seen.is_silent)
            else:
                source = self._sources.read(name)
                allowed = self.allowed(source, source.detector.silent_after(), source.newest)
                excused = source.heard + (allowed or 0.0)
                if excused >= now and not self.is_to_go(source, now):
                    self._note(name, source, said=False, at_least=excused)
                    continue
                yield source
                if self._sources.in_memory(name) is source:
                    self._note(name, source, said=True, at_least=now)

    def _look_at_stored(self) -> None:
        names = names_after(self._stored, self._looked_at or "", AT_ONCE)
        for name in names:
            if name not in self._noted and (seen := self._see(name)) is not None:
                self._note(name, seen, said=seen.is_silent)
        self._looked_at = names[-1] if len(names) == AT_ONCE else None

    def _see(self, name: str) -> Source | Heard | None:
        source = self._sources.in_memory(name)
        if source is not None:
            return source
        state = self._stored.get(name)
        if state is None:
            return None
        return heard_of(name, state) or self._restore(name, state)

    def _note(self, name: str, seen: Source | Heard, *, said: bool, at_least: float = -math.inf) -> None:
        """Note when a source is due, unless a note says so already; ``said`` if it is known to be silent."""
        due = max(self._due(seen, said=said), at_least)
        if self._awaited is None or not math.isfinite(due):
            return
        (self._far.add if said or seen.tolerates is None else self._far.discard)(name)
        if due < self._noted.get(name, math.inf):
            self._noted[name] = due
            heapq.heappush(self._awaited, (due, name))

    def _due(self, seen: Source | Heard, *, said: bool) -> float:
        tolerates = None if said else seen.tolerates
        silent = math.inf if tolerates is None else max(tolerates, self._least)
        return seen.heard + min(silent, self._forgotten_after + GRACE)
