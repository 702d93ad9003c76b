"""Brings what several partitions say into the order of event time."""

from __future__ import annotations

import heapq
from typing import Generic, TypeVar

T = TypeVar("T")
About = tuple[int, str, int]


class EventOrder(Generic[T]):
    """Holds things back until nothing older is to be expected.

    Parameters
    ----------
    lateness
        Seconds of event time to wait for what is older than the newest.

    Examples
    --------
    >>> order = EventOrder[str](5.0)
    >>> order.add(10.0, (0, "b", 1), "b")
    >>> order.add(8.0, (0, "a", 1), "a")
    >>> order.next_time, order.watermark
    (8.0, 5.0)
    >>> order.reach(20.0)
    >>> order.pop(), order.pop(), order.watermark
    ('a', 'b', 15.0)

    """

    __slots__ = ("_lateness", "_newest", "_taken", "_waiting")

    def __init__(self, lateness: float) -> None:
        self._lateness = lateness
        self._newest = float("-inf")
        self._waiting: list[tuple[float, About, int, T]] = []
        self._taken = 0

    @property
    def watermark(self) -> float:
        """Event time up to which all has come, epoch seconds."""
        return self._newest - self._lateness

    @property
    def next_time(self) -> float:
        """Time of the oldest that waits; infinite if none does."""
        return self._waiting[0][0] if self._waiting else float("inf")

    def add(self, time: float, about: About, thing: T) -> None:
        """Take a thing; ``about`` orders those of the same time: rank, id and version."""
        heapq.heappush(self._waiting, (time, about, self._taken, thing))
        self._taken += 1
        self.reach(time)

    def reach(self, time: float) -> None:
        """Say that event time has come as far as this."""
        self._newest = max(self._newest, time)

    def pop(self) -> T:
        """Return the oldest that waits."""
        return heapq.heappop(self._waiting)[3]

    def snapshot(self) -> tuple[float, list[tuple[float, About, T]]]:
        """Return the newest time and what waits, the oldest first."""
        return self._newest, [(time, about, thing) for time, about, _, thing in sorted(self._waiting, key=_place)]

    def restore(self, newest: float, waiting: list[tuple[float, About, T]]) -> None:
        """Take up what ``snapshot`` gave."""
        self._newest, self._taken = newest, len(waiting)
        self._waiting = [(time, about, i, thing) for i, (time, about, thing) in enumerate(waiting)]


def _place(waiting: tuple[float, About, int, T]) -> tuple[float, About, int]:
    return waiting[:3]
