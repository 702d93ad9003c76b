"""From when on what people say counts for events."""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable, Iterator
from typing import Any, Generic, Protocol, TypeVar

SETTLING = 2.0
"""Seconds by which the clocks of those who produce to different topics may differ, without a replay deciding anew.

What people say (a policy, a command) counts for what was produced so much later. The times are those of Kafka's
records, so it makes no difference when a worker reads it.
"""


def counts_after(said_at: float) -> float:
    """Return the time of production after which events are under what was said at a time; -inf for what always counts.

    Examples
    --------
    >>> counts_after(60.0), counts_after(-1.0)
    (62.0, -inf)

    """
    return said_at + SETTLING if said_at >= 0 else -math.inf


class Said(Protocol):
    """What somebody has said; ordered by when it counts, then by its offset."""

    @property
    def counts_after(self) -> float:
        """Time of production after which it counts, epoch seconds."""

    def __lt__(self, other: Any, /) -> bool:
        """Say whether it comes before another."""


S = TypeVar("S", bound=Said)


class Unsettled(Generic[S]):
    """What people have said that does not count yet.

    Parameters
    ----------
    waiting
        What waited before.

    """

    def __init__(self, waiting: Iterable[S] = ()) -> None:
        self._waiting = sorted(waiting)

    def add(self, said: S) -> None:
        """Let something wait."""
        heapq.heappush(self._waiting, said)

    def due(self, produced_at: float) -> Iterator[S]:
        """Take out what counts for a record produced at a time, in the order in which it was said."""
        while self._waiting and self._waiting[0].counts_after < produced_at:
            yield heapq.heappop(self._waiting)

    def waiting(self) -> list[S]:
        """Return what is still to come, in order."""
        return sorted(self._waiting)
