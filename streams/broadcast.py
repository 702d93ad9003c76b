"""Reads broadcast topics, such as labels, whole: every worker reads every partition."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence

from aiokafka import AIOKafkaConsumer, TopicPartition

from streams.processor import Processor, Record
from streams.settings import KafkaSettings

MOST_AT_ONCE = 5000


class BroadcastReader:
    """Brings each processor up to the present end of its broadcast topics.

    It belongs to no consumer group: where to go on is part of a processor's state. The newest records stay in
    memory, for the other processors of this worker that want them next.

    Parameters
    ----------
    settings
        The connection and topic prefix.

    """

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._consumer: AIOKafkaConsumer | None = None
        self._topics: frozenset[str] = frozenset()
        self._newest: dict[TopicPartition, deque[Record]] = {}
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
                    found += await self._between(consumer, tp, start, end)
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
                *names,
                **self._settings.client_options(),
                enable_auto_commit=False,
                auto_offset_reset="earliest",
                fetch_max_wait_ms=50,  # how long a fetch already on its way delays one from another position
            )
            await self._consumer.start()
        return self._consumer

    async def _between(self, consumer: AIOKafkaConsumer, tp: TopicPartition, start: int, end: int) -> list[Record]:
        """Return records from one offset up to another, or the first of them if they are many."""
        newest = self._newest.setdefault(tp, deque(maxlen=MOST_AT_ONCE))
        read_from = newest[-1].offset + 1 if newest and newest[0].offset <= start else start
        if read_from < end:
            if await consumer.position(tp) != read_from:
                consumer.seek(tp, read_from)
                if not newest or newest[-1].offset + 1 != read_from:
                    newest.clear()
            newest.extend(await self._read(consumer, tp, end))
        return [record for record in newest if record.offset >= start]

    async def _read(self, consumer: AIOKafkaConsumer, tp: TopicPartition, end: int) -> list[Record]:
        name = tp.topic.removeprefix(self._settings.topic_prefix)
        found: list[Record] = []
        while len(found) < MOST_AT_ONCE and await consumer.position(tp) < end:
            fetched = await consumer.getmany(tp, timeout_ms=1000, max_records=MOST_AT_ONCE - len(found))
            for records in fetched.values():
                found += [Record(name, r.partition, r.offset, r.timestamp / 1000, r.key, r.value) for r in records]
        return found
