"""The checkpoint: the one order of steps that makes a restart exact."""

from __future__ import annotations

import time
from typing import Protocol

import structlog
from faust.types import TP

from streams import metrics
from streams.partition import Partition
from streams.state import Marker, Written

log = structlog.get_logger(__name__)


class OffsetCommits(Protocol):
    """Commits the consumer group's offsets."""

    async def commit_offset(self, tp: TP, offset: int) -> bool:
        """Commit one partition's offset; false if the partition is no longer this worker's."""


async def checkpoint(partition: Partition, offsets: OffsetCommits, *, last: bool = False) -> Written:
    """Make all that a partition has done durable, and return how much that was.

    Outputs are published and acknowledged when ``process`` returns, which the lock waits for; then the changed
    states are written and acknowledged, their marker last; then the offset is committed.

    A crash between any two steps costs nothing: records after the last marker come again, each key ignores
    those that its state has learned, and outputs that are already in the output topics are not sent again.

    After the last one before another worker takes over, this partition does nothing any more.
    """
    async with partition.checkpointing:
        return await _checkpoint(partition, offsets, last=last)


async def _checkpoint(partition: Partition, offsets: OffsetCommits, *, last: bool) -> Written:
    # Events wait for the lock, and so for no more than must be between them.
    announced = partition.has_news() and not partition.failed
    if announced:
        await partition.states.announce_writer(partition.tp.partition)
    async with partition.lock, partition.all_or_nothing():
        partition.closed = partition.closed or last
        if partition.failed or partition.position is None or not partition.has_news():
            return Written(0, 0)
        if not announced:
            await partition.states.announce_writer(partition.tp.partition)
        began = time.perf_counter()
        marker = Marker(covered=partition.position, tails=partition.covered_tails())
        written = await partition.states.write(partition.tp.partition, partition.processor.changes(), marker)
        partition.checkpoint_taken(marker)
    committed = await offsets.commit_offset(partition.tp, marker.covered)
    seconds = time.perf_counter() - began
    metrics.CHECKPOINT_SECONDS.observe(seconds)
    metrics.CHECKPOINT_STATES.inc(written.states)
    metrics.CHECKPOINT_BYTES.inc(written.size)
    log.debug(
        "checkpoint_written",
        topic=partition.source.topic,
        partition=partition.source.partition,
        offset=marker.covered,
        states=written.states,
        bytes=written.size,
        seconds=round(seconds, 4),
        committed=committed,
    )
    return written
