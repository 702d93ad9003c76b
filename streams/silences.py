"""Which sources have fallen silent: until when each must be heard again."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator

from streams.source import Source


class Silences:
    """Notes until when each source must be heard again, from the first question on.

    Parameters
    ----------
    least
        Seconds without an event that never count as silence.
    sources
        Makes all sources that are known.

    """

    def __init__(self, least: float, sources: Callable[[], Iterable[Source]]) -> None:
        self._least, self._sources = least, sources
        self._awaited: list[tuple[float, str]] | None = None
        self._noted: dict[str, tuple[float, Source]] = {}

    def allowed(self, source: Source, silent_after: float | None) -> float | None:
        """Return how many seconds a source may say nothing, ``None`` while unknown.

        Parameters
        ----------
        source
            The source.
        silent_after
            What its detector says, now or at an event.

        """
        return None if silent_after is None else max(silent_after, self._least, source.lifecycle.tolerated_silence)

    def expect(self, source: Source) -> None:
        """Note until when a source must be heard again; one note a source, renewed when it comes due."""
        if self._awaited is None or source.name in self._noted:
            return
        allowed = self.allowed(source, source.detector.silent_after())
        if allowed is not None:
            due = source.heard + allowed
            self._noted[source.name] = due, source
            heapq.heappush(self._awaited, (due, source.name))

    def begun(self, now: float) -> Iterator[tuple[Source, float]]:
        """Yield the sources that have fallen silent by ``now``, and for how long they may be."""
        if self._awaited is None:
            self._awaited = []
            for source in self._sources():
                self.expect(source)
        while self._awaited and self._awaited[0][0] < now:
            _, name = heapq.heappop(self._awaited)
            due, source = self._noted.pop(name)
            allowed = self.allowed(source, source.detector.silent_after())
            if due >= now or allowed is None:
                continue
            if source.heard + allowed >= now:
                self.expect(source)
            else:
                yield source, allowed
