"""Counts, sums and maxima over the recent past, in a bounded number of time buckets."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from typing import NamedTuple

Row = tuple[int, int, float, float, int]


class Totals(NamedTuple):
    """What a window holds: how many amounts, their sum and maximum, and how many of them were marked."""

    events: int
    sum: float
    maximum: float
    marked: int


class TimeBuckets:
    """Running totals per bucket of event time, for windows that end at any later moment.

    A window is answered from whole buckets, so its start is exact to one bucket. Buckets older than
    ``length`` are forgotten; amounts that come late go to the bucket of their own time.

    Parameters
    ----------
    width
        Seconds per bucket.
    length
        Number of buckets kept.
    rows
        Buckets to begin with, as ``rows()`` gave them.

    Examples
    --------
    >>> days = TimeBuckets(width=86_400, length=30)
    >>> days.add(0.0, 10.0)
    >>> days.add(90_000.0, 30.0, marked=True)
    >>> days.totals(100_000.0, buckets=7)
    Totals(events=2, sum=40.0, maximum=30.0, marked=1)
    >>> days.totals(100_000.0, buckets=1).events
    1

    """

    __slots__ = ("_counts", "_length", "_marked", "_maxima", "_starts", "_sums", "_width")

    def __init__(self, width: float, length: int, rows: Iterable[Row] = ()) -> None:
        self._width = width
        self._length = length
        rows = list(rows)
        self._starts = [row[0] for row in rows]
        self._counts = [row[1] for row in rows]
        self._sums = [row[2] for row in rows]
        self._maxima = [row[3] for row in rows]
        self._marked = [row[4] for row in rows]

    @property
    def end(self) -> float:
        """When the newest bucket ends, -inf if there is none."""
        return (self._starts[-1] + 1) * self._width if self._starts else -math.inf

    def add(self, t: float, amount: float, *, marked: bool = False) -> None:
        """Count an amount at its time."""
        place = self._place(int(t // self._width))
        if place is None:
            return
        self._counts[place] += 1
        self._sums[place] += amount
        self._maxima[place] = max(self._maxima[place], amount)
        self._marked[place] += marked

    def adjust(self, t: float, change: float, *, marked: int = 0) -> None:
        """Correct the sum, and how many are marked, of the bucket that holds ``t``, if it is still known."""
        index = int(t // self._width)
        place = bisect_left(self._starts, index)
        if place < len(self._starts) and self._starts[place] == index:
            self._sums[place] += change
            self._marked[place] = max(self._marked[place] + marked, 0)

    def totals(self, t: float, buckets: int) -> Totals:
        """Return the totals of the last ``buckets`` buckets up to the one that holds ``t``."""
        last = int(t // self._width)
        end = bisect_right(self._starts, last)
        first = bisect_right(self._starts, last - buckets, 0, end)
        if first == end:
            return Totals(0, 0.0, 0.0, 0)
        return Totals(
            sum(self._counts[first:end]),
            sum(self._sums[first:end]),
            max(self._maxima[first:end]),
            sum(self._marked[first:end]),
        )

    def rows(self) -> list[Row]:
        """Return the buckets as plain values, from which an equal object can be made."""
        return list(zip(self._starts, self._counts, self._sums, self._maxima, self._marked, strict=True))

    def _place(self, index: int) -> int | None:
        starts = self._starts
        if starts and index == starts[-1]:
            return len(starts) - 1
        if not starts or index > starts[-1]:
            self._insert(len(starts), index)
            self._forget(index - self._length)
            return len(starts) - 1
        if index <= starts[-1] - self._length:
            return None
        place = bisect_left(starts, index)
        if starts[place] != index:
            self._insert(place, index)
        return place

    def _insert(self, place: int, index: int) -> None:
        self._starts.insert(place, index)
        self._counts.insert(place, 0)
        self._sums.insert(place, 0.0)
        self._maxima.insert(place, 0.0)
        self._marked.insert(place, 0)

    def _forget(self, until: int) -> None:
        old = bisect_right(self._starts, until)
        if old:
            for column in (self._starts, self._counts, self._sums, self._maxima, self._marked):
                del column[:old]
