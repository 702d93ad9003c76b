"""Recovery of the local store from the changelog topics, a batch at a time.

Faust's own recovery handles each record by itself, for longer than it takes to restore the state in it. Here its place
is prepared for it: the changelogs are read to their ends by a plain consumer and written to RocksDB in batches. Then
Faust's recovery finds nothing left to do, and goes on as it always does.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from faust.tables import TableManager as FaustTableManager
from faust.tables.recovery import Recovery as FaustRecovery
from faust.types import TP

from streams.publication import until
from streams.settings import KafkaSettings

log = structlog.get_logger(__name__)

FETCH_BYTES = 8 * 1024 * 1024
PATIENCE_SECONDS = 3600.0
"""Time that a step of the recovery may take: reading a large changelog takes minutes."""

Put = Callable[[int, list[tuple[bytes, bytes | None]], int], None]
"""Writes records of a partition, and the offset that they reach."""


class ChangelogReader:
    """Reads changelog partitions to their ends.

    Parameters
    ----------
    settings
        How to reach Kafka.

    """

    def __init__(self, settings: KafkaSettings) -> None:
        self._options = settings.client_options()

    async def read(self, reached: Mapping[TP, int | None], puts: Mapping[TP, Put]) -> dict[TP, int]:
        """Read on from the offsets that have been reached, and return those that are reached now.

        Parameters
        ----------
        reached
            Last offset that the local store has of each partition, ``None`` if it has nothing.
        puts
            What takes each partition's records.

        """
        async with AIOKafkaConsumer(
            **self._options,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            max_partition_fetch_bytes=FETCH_BYTES,
            fetch_max_bytes=2 * FETCH_BYTES,
        ) as consumer:
            tps = {TopicPartition(tp.topic, tp.partition): tp for tp in reached}
            consumer.assign(list(tps))
            ends = await consumer.end_offsets(list(tps))
            begins = await consumer.beginning_offsets(list(tps))
            for there, tp in tps.items():
                last = reached[tp]
                consumer.seek(there, max(begins[there], 0 if last is None else last + 1))
            async for there, records in until(consumer, ends):
                newest = {record.key: record.value for record in records if record.key is not None}
                puts[tps[there]](there.partition, list(newest.items()), records[-1].offset)
            return {tp: ends[there] - 1 for there, tp in tps.items()}


class Recovery(FaustRecovery):
    """Faust's recovery, which finds that the changelogs have been read."""

    async def _build_highwaters(self, consumer: Any, tps: set[TP], destination: Any, title: str) -> None:
        if title == "active" and tps:
            await self._read_changelogs(tps)
        await super()._build_highwaters(consumer, tps, destination, title)

    async def _wait(self, coro: Any, timeout: Any = None) -> None:  # noqa: ASYNC109 - as Faust has it
        """Wait longer than Faust does, which after its timeout goes on with what it has not read."""
        await super()._wait(coro, timeout=None if timeout is None else PATIENCE_SECONDS)

    async def _read_changelogs(self, tps: set[TP]) -> None:
        began = time.perf_counter()
        before: dict[TP, Any] = {tp: self.active_offsets.get(tp) for tp in tps}
        puts = {tp: self.tp_to_table[tp].data.put_all for tp in tps}
        reached = await self.app.changelogs.read(before, puts)
        records = 0
        for tp, at in reached.items():
            last = -1 if before[tp] is None else before[tp]
            self.active_offsets[tp] = max(at, last)
            records += max(at - last, 0)
        log.info("changelogs_read", offsets=records, seconds=round(time.perf_counter() - began, 3))


class TableManager(FaustTableManager):
    """Faust's tables, with that recovery."""

    _recovery: FaustRecovery | None

    async def on_start(self) -> None:
        """Begin at once: Faust waits a second for more tables, and here all are there from the beginning."""
        await self._update_channels()
        await self.recovery.start()

    @property
    def recovery(self) -> FaustRecovery:
        """Return the recovery of these tables."""
        if self._recovery is None:
            self._recovery = Recovery(self.app, self, beacon=self.beacon, loop=self.loop)
        return self._recovery
