"""Connects processors with Kafka through Faust: assignments, micro-batches, ticks, checkpoints."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import structlog
from faust.types import TP

from streams import metrics
from streams.agents import add_agents
from streams.app import build_app
from streams.broadcast import BroadcastReader
from streams.changelog import Cluster, table_name
from streams.checkpoint import checkpoint
from streams.lease import LeaseLostError
from streams.memory import MemoryBound
from streams.partition import Partition
from streams.processor import Processor
from streams.publication import Outlet, Publisher
from streams.scheduler import MicroBatch, Precedence
from streams.settings import EngineSettings
from streams.state import Marker, StateError, StateTable, state_trouble
from streams.store import MEGABYTE

log = structlog.get_logger(__name__)

ProcessorFactory = Callable[[str, int, Mapping[str, bytes]], Processor]
"""Makes the processor of an input topic's partition, from the states it had at the last checkpoint."""

INPUTS = ("transactions", "telemetry")
"""Input topics, most urgent first."""

OUTPUTS = ("decisions", "alerts", "scores", "forecasts", "failures", "dead-letters")
"""Topics that processors put out to, with as many partitions as the inputs."""

TICK_SECONDS = 1.0
PAUSE = 2.0
"""Time between checkpoints, as a multiple of what the last one took, if that is longer than asked for."""
STALLED_SECONDS = 120.0


class Engine:
    """One worker's Faust app and the partitions it is assigned.

    Parameters
    ----------
    settings
        The engine's settings.
    make_processor
        Makes the core of each partition.
    cluster
        The cluster as it was found before the start.
    directory
        Folder for RocksDB, of this process alone.
    outputs
        Topics that the processors put out to.

    """

    def __init__(
        self,
        settings: EngineSettings,
        make_processor: ProcessorFactory,
        cluster: Cluster,
        directory: Path,
        outputs: Sequence[str] = OUTPUTS,
    ) -> None:
        self._settings = settings
        self._make_processor = make_processor
        self._outputs = outputs
        self._directory = directory
        self._names = {settings.kafka.topic(name): name for name in cluster.partitions}
        self.app = build_app(settings, list(self._names), directory)
        self._publisher = Publisher(lambda: self.app.producer.batches)
        # No others: to follow `transactions` costs a worker as much as to decide them.
        asked_for = {topic for name in cluster.partitions for topic in make_processor(name, 0, {}).broadcasts}
        self._broadcasts = BroadcastReader(settings.kafka, sorted(asked_for))
        self._tables = {
            name: StateTable(self.app.state_table(table_name(name), partitions), self._publisher)
            for name, partitions in cluster.partitions.items()
        }
        self.partitions: dict[TP, Partition] = {}
        loop = asyncio.get_running_loop()
        self.failure: asyncio.Future[None] = loop.create_future()
        self.app.lease.on_lost = partial(loop.call_soon_threadsafe, self._on_lease_lost)
        self._urgent = next(iter(self._names))
        self._precedence = Precedence()
        self._at_work: dict[TP, asyncio.Task[None]] = {}
        self._stopping = False
        self._tending: asyncio.Task[None] | None = None
        self._ready = False
        self._checkpointed_at = self._progressed_at = time.monotonic()
        self._pause = settings.state.checkpoint_seconds
        self._memory = MemoryBound(settings.state.memory_megabytes * MEGABYTE, self._checkpoint_one)
        add_agents(self.app, list(self._names), self.process)
        self.app.on_partitions_revoked.connect(self._on_revoked, weak=False)
        self.app.on_rebalance_complete.connect(self._on_recovered, weak=False)

    async def run(self) -> None:
        """Start, and work until cancelled; an error ends it."""
        try:
            await self.app.start()
            await asyncio.gather(self._keep_time(), self._watch_faust())
        except Exception as error:
            raise state_trouble(error.__cause__ or error, self._directory) or error from error

    async def process(self, batch: MicroBatch) -> None:
        """Process a micro-batch, one of the urgent topic beside those of its other partitions.

        So a transaction waits for those of its own partition alone.
        """
        if batch.tp.topic != self._urgent:
            self.app.consumer.has_room()
            await self._process(batch)
            return
        before = self._at_work.get(batch.tp)
        if before is not None:
            await asyncio.wait([before])
        task = asyncio.create_task(self._process(batch))
        task.add_done_callback(lambda done: done.cancelled() or done.exception())  # _process has said so already
        self._at_work[batch.tp] = task

    async def _process(self, batch: MicroBatch) -> None:
        """Process one micro-batch; anything that goes wrong ends the worker, so that nothing is left out."""
        partition = self.partitions.get(batch.tp)
        if partition is None or self._stopping:
            return
        try:
            async with self._precedence.turn(urgent=batch.tp.topic == self._urgent):
                await partition.process(batch)
            await self._memory.keep(self.partitions.values())
        except Exception as error:
            self._fail(error)
            raise
        self._progressed_at = time.monotonic()

    async def stop(self, *, cleanly: bool) -> None:
        """Leave the group; if cleanly, after a checkpoint of all that has been processed."""
        self._stopping = True
        self._ready = False
        if cleanly:
            if self._tending is not None:
                await self._tending
            await self._checkpoint(list(self.partitions.values()), last=True)
        self.partitions.clear()
        self.app.lease.release()
        await self.app.stop()
        await self._broadcasts.stop()

    def unhealthy(self) -> str | None:
        """Say why this worker should be restarted."""
        if self.failure.done():
            return "failed"
        quiet = time.monotonic() - self._progressed_at
        if self._ready and quiet > STALLED_SECONDS and any(self._lag(p) for p in self.partitions.values()):
            return f"stalled: no events for {quiet:.0f} s, though there are some"
        return None

    def unready(self) -> str | None:
        """Say why this worker takes no events yet."""
        return None if self._ready and not self._stopping else "recovering"

    def refresh_metrics(self) -> None:
        """Bring those gauges up to date that change as time passes."""
        now = time.monotonic()
        dirty = [p.dirty_since for p in self.partitions.values() if p.dirty_since is not None]
        metrics.CHECKPOINT_AGE.set(now - min(dirty) if dirty else 0)
        metrics.READY.set(self.unready() is None)
        if not self._ready:
            return  # partitions are between workers
        metrics.set_models((p.processor.detector, p.processor.models()) for p in self.partitions.values())
        metrics.set_lags((*p.source, lag) for p in self.partitions.values() if (lag := self._lag(p)) is not None)

    async def _on_revoked(self, app: Any, revoked: set[TP], **extra: Any) -> None:
        """Finish the batch in hand and make everything durable, before another worker goes on from there."""
        self._ready = False
        metrics.REBALANCES.inc()
        if self.app.lease.lost:
            self.partitions.clear()  # they may be another worker's by now: nothing more is written
            return
        lost = [self.partitions[tp] for tp in revoked if tp in self.partitions]
        await self._checkpoint(lost, last=True)
        for partition in lost:
            del self.partitions[partition.tp]
        self.app.lease.release()
        log.info("partitions_revoked", partitions=_listed(lost))

    async def _on_recovered(self, app: Any, **extra: Any) -> None:
        """Begin with the partitions that this worker now has; their state has been recovered."""
        began = time.perf_counter()
        self.app.lease.hold()
        assigned = {tp for tp in self.app.consumer.assignment() if tp.topic in self._names}
        try:
            opened = await asyncio.gather(*(self._open(tp) for tp in assigned - self.partitions.keys()))
        except Exception as error:
            self._fail(error)
            raise
        self.partitions = {tp: p for tp, p in self.partitions.items() if tp in assigned}
        self.partitions |= {partition.tp: partition for partition in opened}
        for name in self._names.values():
            metrics.PARTITIONS.labels(name).set(sum(p.source.topic == name for p in self.partitions.values()))
        self._progressed_at = time.monotonic()
        gc.collect()
        gc.freeze()  # what is there now stays: looking at all of it again takes a quarter of a second each time
        self._ready = True
        seconds = round(time.perf_counter() - began, 3)
        log.info("partitions_assigned", partitions=_listed(self.partitions.values()), seconds=seconds)

    async def _open(self, tp: TP) -> Partition:
        source = TP(self._names[tp.topic], tp.partition)
        states = self._tables[source.topic]
        marker = states.marker(tp.partition)
        committed = await self.app.consumer.committed(tp)
        _check_covered(tp, marker, committed, states.changelog)
        outlet = Outlet(source, self._settings.kafka, self._publisher, marker.tails if marker else {})
        await outlet.read_tails(self._outputs)
        return Partition(
            tp=tp,
            source=source,
            processor=self._make_processor(source.topic, source.partition, states.of(tp.partition)),
            outlet=outlet,
            states=states,
            broadcasts=self._broadcasts,
            batch_size=self.app.batch_sizes[tp.topic],
            position=marker.covered if marker else None,
            committed=committed,
            known_end=lambda: self.app.consumer.end(tp),
        )

    async def _keep_time(self) -> None:
        """Once a second: say what is due, and take a checkpoint when its time has come."""
        while True:
            await asyncio.sleep(TICK_SECONDS)
            self._tending = asyncio.create_task(self._tend(list(self.partitions.values())))
            # Not cancelled half-way: a checkpoint has taken the changes out of the processor that it then writes.
            await asyncio.shield(self._tending)

    async def _tend(self, partitions: Sequence[Partition]) -> None:
        for partition in partitions:
            if self._ready and self._lag(partition) == 0:
                await partition.tick(time.time())
        if self._checkpoint_is_due(partitions):
            await self._checkpoint(partitions)

    def _checkpoint_is_due(self, partitions: Sequence[Partition]) -> bool:
        state = self._settings.state
        if time.monotonic() - self._checkpointed_at >= self._pause:
            return True
        return sum((p.position or 0) - (p.covered or 0) for p in partitions) >= state.checkpoint_records

    async def _checkpoint(self, partitions: Sequence[Partition], *, last: bool = False) -> None:
        began = time.monotonic()
        written = []
        for partition in partitions:
            async with self._precedence.turn(urgent=partition.tp.topic == self._urgent):
                written.append(await checkpoint(partition, self.app.consumer, last=last))
        self._checkpointed_at = time.monotonic()
        # With very many changed states a checkpoint takes long: most of the time is for events all the same.
        self._pause = max(self._settings.state.checkpoint_seconds, PAUSE * (self._checkpointed_at - began))
        if states := sum(one.states for one in written):
            metrics.MODEL_BYTES.set(sum(one.size for one in written) / states)

    async def _checkpoint_one(self, partition: Partition) -> None:
        await checkpoint(partition, self.app.consumer)

    def _lag(self, partition: Partition) -> int | None:
        """Return how many records wait, ``None`` while unknown."""
        lag: int | None = self.app.consumer.lag(partition.tp, partition.position or 0)
        return lag

    async def _watch_faust(self) -> None:
        crashed = asyncio.ensure_future(self.app._crashed.wait())
        await asyncio.wait({crashed, self.failure}, return_when=asyncio.FIRST_COMPLETED)
        if self.failure.done():
            self.failure.result()
        raise RuntimeError(f"Faust gave up: {self.app.crash_reason!r}") from self.app.crash_reason

    def _on_lease_lost(self) -> None:
        session = self._settings.kafka.session_seconds
        self._fail(
            LeaseLostError(
                f"no heartbeat reached the group within {session:g} s, so it gave this worker up: start it again, it "
                "goes on from the last checkpoint; if this happens often, raise kafka.session_seconds"
            )
        )

    def _fail(self, error: Exception) -> None:
        if not self.failure.done():
            self.failure.set_exception(error)


def _check_covered(tp: TP, marker: Marker | None, committed: int | None, changelog: str) -> None:
    covered = marker.covered if marker else 0
    if committed is not None and committed > covered:
        raise StateError(
            f"offset {committed} of {tp.topic}/{tp.partition} is committed, but the state in {changelog} covers only "
            f"{covered}: the state is lost. Restore an export (`tocsin state restore FILE`), or reset the group's "
            "offsets to learn anew"
        )


def _listed(partitions: Any) -> list[str]:
    return sorted(f"{partition.source.topic}/{partition.source.partition}" for partition in partitions)
