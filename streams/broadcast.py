"""Reads broadcast topics, such as labels, whole: every worker reads every partition."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from aiokafka import AIOKafkaConsumer, TopicPartition

from streams.processor import Processor, Record
from streams.settings import KafkaSettings

MOST_AT_ONCE = 5000


class BroadcastReader:
    """Brings each processor up to the present end of its broadcast topics.

    It belongs to no consumer group: where to go on is part of a processor's state.

    Parameters
    ----------
    settings
        The connection and topic prefix.

    """

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._consumer: AIOKafkaConsumer | None = None
        self._topics: frozenset[str] = frozenset()
        self._lock = asyncio.Lock()

    async def news(self, processor: Processor) -> Sequence[Record]:
        """Return records that a processor has not yet taken in, none once it has reached the present end."""
        async with self._lock:
            consumer = await self._subscribed(frozenset(processor.broadcasts))
            names = {self._settings.topic(name): name for name in processor.broadcasts}
            absorbed = processor.absorbed()
            found: list[Record] = []
            for tp, end in (await consumer.end_offsets(list(consumer.assignment()))).items():
                if tp.topic in names:
                    start = absorbed.get((names[tp.topic], tp.partition), -1) + 1
                    found += await self._read(consumer, tp, names[tp.topic], start, end)
            return found

    async def stop(self) -> None:
        """Close the connection."""
        if self._consumer is not None:
            await self._consumer.stop()

    async def _subscribed(self, topics: frozenset[str]) -> AIOKafkaConsumer:
        if self._consumer is None or not topics <= self._topics:
            await self.stop()
            self._topics |= topics
            names = [self._settings.topic(name) for name in sorted(self._topics)]
            self._consumer = AIOKafkaConsumer(
                *names, **self._settings.client_options(), enable_auto_commit=False, auto_offset_reset="earliest"
            )
            await self._consumer.start()
        return self._consumer

    async def _read(
        self, consumer: AIOKafkaConsumer, tp: TopicPartition, name: str, start: int, end: int
    ) -> list[Record]:
        found: list[Record] = []
        if start >= end:
            return found
        if await consumer.position(tp) != start:
            consumer.seek(tp, start)
        while len(found) < MOST_AT_ONCE and await consumer.position(tp) < end:
            fetched = await consumer.getmany(tp, timeout_ms=1000, max_records=MOST_AT_ONCE)
            for records in fetched.values():
                found += [Record(name, r.partition, r.offset, r.timestamp / 1000, r.key, r.value) for r in records]
        return found
