"""Keeps the states in memory within a bound, whatever the number of sources."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Collection

import structlog

from streams import metrics
from streams.partition import Partition

log = structlog.get_logger(__name__)

LEAVE = 0.9
"""Share of the bound down to which states leave memory, so that not each batch has to make room."""

SAID_SECONDS = 60.0
"""Time between two lines in the log about it."""


class MemoryBound:
    """Lets some states of all partitions of a worker leave memory once they take more than they may.

    What has changed is written first, by a checkpoint. So with more sources than there is room for, checkpoints
    come more often and states are read again: the worker slows down, and its lag tells.

    Parameters
    ----------
    limit
        Bytes that the states may take.
    checkpoint
        Takes a checkpoint of a partition.

    """

    def __init__(self, limit: int, checkpoint: Callable[[Partition], Awaitable[None]]) -> None:
        self._limit, self._checkpoint = limit, checkpoint
        self._busy = False
        self._evicted = 0
        self._said_at = float("-inf")
        metrics.STATE_MEMORY_LIMIT.set(limit)

    async def keep(self, partitions: Collection[Partition]) -> None:
        """Make room if there is need."""
        taken = sum(partition.processor.kept_bytes() for partition in partitions)
        metrics.STATE_MEMORY.set(taken)
        if taken <= self._limit or self._busy:
            return
        self._busy = True
        try:
            share = LEAVE * self._limit / taken
            for partition in list(partitions):
                await self._checkpoint(partition)
                self._count(await partition.put_away(share))
        finally:
            self._busy = False

    def _count(self, evicted: int) -> None:
        metrics.SOURCES_EVICTED.inc(evicted)
        self._evicted += evicted
        if self._evicted and time.monotonic() - self._said_at >= SAID_SECONDS:
            log.warning(
                "sources_evicted",
                count=self._evicted,
                limit_bytes=self._limit,
                hint="more sources are warm than state.memory_megabytes has room for: raise it, or add workers",
            )
            self._evicted, self._said_at = 0, time.monotonic()
