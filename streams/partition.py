"""One input partition at work: from a micro-batch to acknowledged outputs."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import math
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Protocol

from faust.types import TP

from streams import metrics
from streams.processor import Processor, Record, Result
from streams.publication import Outlet
from streams.scheduler import BatchSize, MicroBatch, Stopwatch
from streams.state import Marker, StateTable


class LostRecordsError(RuntimeError):
    """Records did not arrive that should have; starting again from the last checkpoint puts it right."""


class Broadcasts(Protocol):
    """Topics that every processor reads, beside its own partition."""

    def news(
        self, processor: Processor, source: TP, until: float, *, asking: bool = True, whole: bool = True
    ) -> AsyncIterator[Sequence[Record]]:
        """Yield what the processor has not yet taken in; without asking the brokers, what has arrived by now."""


class Partition:
    """An input partition that this worker has been assigned, with its processor.

    Parameters
    ----------
    tp
        The partition by its name on the brokers.
    source
        The partition by its logical topic name.
    processor
        The core.
    outlet
        Where its outputs go.
    states
        Where its state is kept.
    broadcasts
        Topics that it reads beside its own partition.
    batch_size
        Told how long micro-batches take.
    position
        First record that is not yet processed; ``None`` takes the first record that comes.
    committed
        The group's offset: it lies behind if a crash came before it could be committed, and is then committed with the
        next checkpoint, even if nothing happens until then.
    known_end
        Returns an end that the partition has had, ``None`` while unknown.

    """

    def __init__(
        self,
        tp: TP,
        source: TP,
        processor: Processor,
        outlet: Outlet,
        states: StateTable,
        broadcasts: Broadcasts,
        batch_size: BatchSize,
        position: int | None,
        committed: int | None,
        known_end: Callable[[], int | None],
    ) -> None:
        self.tp = tp
        self.source = source
        self.processor = processor
        self.outlet = outlet
        self.states = states
        self.lock = asyncio.Lock()
        self.checkpointing = asyncio.Lock()
        self.position = position
        self.covered = committed
        self.dirty_since: float | None = None
        self.closed = False
        self.failed = False
        self._broadcasts = broadcasts
        self._batch_size = batch_size
        self._known_end = known_end
        self._broadcasts_cover = 0
        self._due_said = False
        self._has_caught_up = not processor.broadcasts

    async def process(self, batch: MicroBatch) -> None:
        """Process a micro-batch and publish what it leads to; records that came before are passed over."""
        async with self.lock, self.all_or_nothing():
            if self.closed:
                return
            records = self._new_records(batch)
            await self._catch_up_with_broadcasts(records, batch.end)
            if records:
                with no_garbage_collection(), Stopwatch() as watch:
                    result = self.processor.process(records)
                self._batch_size.took(len(records), watch.seconds)
                metrics.observe_batch(self.source.topic, self.processor.detector, len(records), watch.seconds)
                self._mark_dirty()
                await self._publish(result)
            self.position = max(batch.end, self.position or 0)

    async def tick(self, now: float) -> None:
        """Publish what is due by now, once all records that were processed in a run before have come again."""
        async with self.lock, self.all_or_nothing():
            if not self.closed and not self.outlet.before.reaches(self.source, self.position or 0):
                await self._absorb_news(-math.inf, asking=False)
                result = self.processor.tick(now)
                if result.outputs or result.outcomes or result.forgotten:
                    self._mark_dirty()
                await self._publish(result, due=True)
                self._due_said = True

    async def put_away(self, share: float) -> int:
        """Let states leave memory until they take no more than this share of what they do, and return how many went."""
        async with self.lock:
            return 0 if self.closed else self.processor.put_away(int(share * self.processor.kept_bytes()))

    @contextlib.asynccontextmanager
    async def all_or_nothing(self) -> AsyncIterator[None]:
        """Let no checkpoint come after work that was broken off: the processor has learned what was not published."""
        try:
            yield
        except BaseException:
            self.failed = True
            raise

    def has_news(self) -> bool:
        """Say whether anything has happened since the last checkpoint."""
        return self.dirty_since is not None or self.position != self.covered

    def covered_tails(self) -> dict[str, int]:
        """Return the ends of the output partitions that a checkpoint now covers."""
        if self._has_caught_up:
            self.outlet.cover(self.position or 0)
        return self.outlet.covered

    def checkpoint_taken(self, marker: Marker) -> None:
        """Note that all until now is durable."""
        self.covered = marker.covered
        self.dirty_since = None
        if self._due_said and self._has_caught_up:
            self.outlet.before.forget()

    async def _catch_up_with_broadcasts(self, records: Sequence[Record], end: int) -> None:
        """Let the processor know all that was broadcast before the records up to ``end`` were produced.

        What is in the partition at one moment was produced before whatever is broadcast later. So a worker that lags
        asks the brokers once for all that was there when it asked, not once for each micro-batch. The other partitions
        of its own topic are followed step by step, as far as these records have come.
        """
        broadcasts = self.processor.broadcasts
        whole = end > self._broadcasts_cover
        if not broadcasts or not (whole or self.source.topic in broadcasts):
            return
        there = max(end, self._known_end() or 0)
        await self._absorb_news(max((record.timestamp for record in records), default=-math.inf), whole=whole)
        if whole:  # else nobody has asked for what else was broadcast before what has come meanwhile
            self._broadcasts_cover = max(there, self._broadcasts_cover)
        self._has_caught_up = True

    async def _absorb_news(self, until: float, *, asking: bool = True, whole: bool = True) -> None:
        if not self.processor.broadcasts:
            return
        async for news in self._broadcasts.news(self.processor, self.source, until, asking=asking, whole=whole):
            self._mark_dirty()
            await self._publish(self.processor.absorb(news))

    async def _publish(self, result: Result, *, due: bool = False) -> None:
        for outcome, count in result.outcomes.items():
            metrics.EVENTS.labels(self.source.topic, outcome).inc(count)
        for reason, count in result.held.items():
            metrics.HELD.labels(reason).inc(count)
        metrics.SOURCES_FORGOTTEN.inc(result.forgotten)
        metrics.observe_scores(self.source.topic, result.scores)
        if not result.outputs:
            return
        sent = await self.outlet.publish(result.outputs, due=due)
        metrics.REPEATS_AVOIDED.inc(len(result.outputs) - sent.total())
        for topic, count in sent.items():
            metrics.OUTPUTS.labels(topic).inc(count)
        metrics.count_outputs(result.outputs)
        if not due:
            _observe_latency(result)

    def _new_records(self, batch: MicroBatch) -> list[Record]:
        position = batch.start if self.position is None else self.position
        if batch.start > position:
            raise LostRecordsError(f"{self.tp.topic}/{self.tp.partition}: {batch.start} came after {position}")
        topic, partition = self.source
        fetched = batch.records
        if fetched[0].offset < position:
            fetched = [record for record in fetched if record.offset >= position]
        return [Record(topic, partition, r.offset, r.timestamp / 1000, r.key, r.value) for r in fetched]

    def _mark_dirty(self) -> None:
        if self.dirty_since is None:
            self.dirty_since = time.monotonic()


@contextlib.contextmanager
def no_garbage_collection() -> Iterator[None]:
    """Collect no garbage meanwhile.

    A batch makes thousands of objects that are all gone at its end. Collected in between, they would be taken for
    long-lived, and every few batches all models would be searched for garbage.
    """
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


def _observe_latency(result: Result) -> None:
    now = time.time()
    for output in result.outputs:
        if output.topic in ("alerts", "decisions"):
            metrics.EVENT_TO_ALERT.labels(output.topic).observe(max(now - output.cause.timestamp, 0.0))
