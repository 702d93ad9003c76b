"""Reads broadcast topics, such as labels: every worker reads every partition."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from itertools import takewhile
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from faust.types import TP

from streams.processor import Processor, Record
from streams.settings import KafkaSettings

log = structlog.get_logger(__name__)

MOST_AT_ONCE = 5000


class BroadcastReader:
    """Brings each processor up to the present end of its broadcast topics.

    It belongs to no consumer group: where to go on is part of a processor's state. One connection follows the topics
    all the time and keeps their newest records in memory, where every processor of this worker finds them. Another,
    which never has a fetch under way that its questions would have to wait for, asks for the present ends and reads
    what is older, after a restart.

    Parameters
    ----------
    settings
        The connection and topic prefix.
    topics
        Names of all that any processor may ask for; one that does not exist holds nothing.

    """

    def __init__(self, settings: KafkaSettings, topics: Sequence[str]) -> None:
        self._settings, self._topics = settings, topics
        self._follower: Follower | None = None
        self._asker: AIOKafkaConsumer | None = None
        self._lock = asyncio.Lock()
        self._asking = asyncio.Lock()
        self._next_ends: asyncio.Task[Mapping[TopicPartition, int]] | None = None

    async def news(
        self, processor: Processor, source: TP, until: float, *, asking: bool = True, whole: bool = True
    ) -> AsyncIterator[Sequence[Record]]:
        """Yield the records that a processor has not yet taken in; it takes each lot at once.

        Parameters
        ----------
        processor
            Who wants to know.
        source
            The input partition that it processes, by its logical topic name.
        until
            Of the other partitions of its own input topic, which may be far ahead of it, only the records before the
            first that was produced at this time or later.
        asking
            Whether to ask for the present ends; else what has arrived by now is given.
        whole
            Whether to read the other topics, too.

        """
        asker, follower = await self._connected()
        names = {self._settings.topic(name): name for name in processor.broadcasts}
        wanted = [
            tp
            for tp in follower.partitions
            if tp.topic in names
            and (whole or names[tp.topic] == source.topic)
            and (names[tp.topic], tp.partition) != source
        ]
        ends = await self._ends(asker, follower) if asking and wanted else {tp: follower.end(tp) for tp in wanted}
        for tp, end in ((tp, ends[tp]) for tp in wanted):
            place = names[tp.topic], tp.partition
            while (start := processor.absorbed().get(place, -1) + 1) < end:
                await follower.wait_for(tp, end)
                found = follower.between(tp, start, end)
                if found is None:
                    found = await self._read_past(asker, tp, start, min(end, follower.first(tp)))
                if place[0] == source.topic:
                    found = list(takewhile(lambda record: record.timestamp < until, found))
                if not found:
                    break  # nothing is left there: the topic was compacted, or its records have expired
                yield found

    async def stop(self) -> None:
        """Close the connections."""
        if self._follower is not None and self._asker is not None:
            await self._follower.stop()
            await self._asker.stop()
        self._follower = self._asker = None

    async def _connected(self) -> tuple[AIOKafkaConsumer, Follower]:
        async with self._lock:
            if self._follower is None or self._asker is None:
                self._asker = AIOKafkaConsumer(
                    **self._settings.client_options(), enable_auto_commit=False, auto_offset_reset="earliest"
                )
                await self._asker.start()
                self._follower = Follower(self._settings, await self._existing(self._asker))
                await self._follower.start()
            return self._asker, self._follower

    async def _existing(self, asker: AIOKafkaConsumer) -> list[TopicPartition]:
        """Return all partitions of the topics that there are; a cluster from before an update may lack some."""
        names = [self._settings.topic(name) for name in self._topics]
        # Asked for by itself: a client that has subscribed to nothing knows of no partition.
        cluster = await asker._client.fetch_all_metadata()
        there = cluster.topics()
        if missing := [name for name in names if name not in there]:
            log.warning("topics_missing", topics=missing, do="run `tocsin topics create`, then restart the workers")
        return [
            TopicPartition(name, number)
            for name in names
            if name in there
            for number in sorted(cluster.partitions_for_topic(name) or ())
        ]

    async def _ends(self, asker: AIOKafkaConsumer, follower: Follower) -> Mapping[TopicPartition, int]:
        """Ask for the present ends: all who come while one question is under way share the next."""
        if self._next_ends is None:
            self._next_ends = asyncio.create_task(self._ask_for_ends(asker, follower))
        return await asyncio.shield(self._next_ends)

    async def _ask_for_ends(self, asker: AIOKafkaConsumer, follower: Follower) -> Mapping[TopicPartition, int]:
        async with self._asking:
            self._next_ends = None
            ends: Mapping[TopicPartition, int] = await asker.end_offsets(follower.partitions)
            return ends

    async def _read_past(self, asker: AIOKafkaConsumer, tp: TopicPartition, start: int, end: int) -> list[Record]:
        found: list[Record] = []
        async with self._lock:
            asker.assign([tp])
            asker.seek(tp, start)
            while len(found) < MOST_AT_ONCE and await asker.position(tp) < end:
                fetched = await asker.getmany(tp, timeout_ms=1000, max_records=MOST_AT_ONCE - len(found))
                found += [record for record in _records(self._settings, fetched.get(tp, ())) if record.offset < end]
            asker.assign([])
        return found


class Follower:
    """Follows partitions from their present end on, and keeps the newest records.

    Parameters
    ----------
    settings
        The connection and topic prefix.
    partitions
        Which; they are assigned by name, since a subscription is made anew, from the end of that time on, whenever the
        client hears of brokers or topics that it has not known.

    """

    def __init__(self, settings: KafkaSettings, partitions: Sequence[TopicPartition]) -> None:
        self._settings = settings
        self.partitions = list(partitions)
        self._consumer = AIOKafkaConsumer(**settings.client_options(), enable_auto_commit=False)
        self._newest: dict[TopicPartition, deque[Record]] = {tp: deque(maxlen=MOST_AT_ONCE) for tp in partitions}
        self._next = dict.fromkeys(partitions, 0)
        self._arrived = asyncio.Condition()
        self._following: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Connect and begin."""
        await self._consumer.start()
        if not self.partitions:
            return
        self._consumer.assign(self.partitions)
        self._next = dict(await self._consumer.end_offsets(self.partitions))
        for tp, end in self._next.items():
            self._consumer.seek(tp, end)
        self._following = asyncio.create_task(self._follow(), name="follow broadcasts")

    async def stop(self) -> None:
        """End and close the connection."""
        if self._following is not None:
            self._following.cancel()
            await asyncio.wait([self._following])
        await self._consumer.stop()

    async def wait_for(self, tp: TopicPartition, end: int) -> None:
        """Wait until all records of a partition before ``end`` are here."""
        following = self._following
        async with self._arrived:
            await self._arrived.wait_for(lambda: self._next[tp] >= end or following is None or following.done())
        if following is not None and following.done():
            following.result()

    def first(self, tp: TopicPartition) -> int:
        """Return the first offset from which on all records of a partition are in memory."""
        newest = self._newest[tp]
        return newest[0].offset if newest else self._next[tp]

    def end(self, tp: TopicPartition) -> int:
        """Return the offset after the last record of a partition that has arrived."""
        return self._next[tp]

    def between(self, tp: TopicPartition, start: int, end: int) -> list[Record] | None:
        """Return the records from one offset up to another, ``None`` if not all are in memory any more."""
        if start < self.first(tp):
            return None
        return [record for record in self._newest[tp] if start <= record.offset < end]

    def take(self, tp: TopicPartition, records: Sequence[Record]) -> None:
        """Keep the next records of a partition; should some be left out, those before are kept no longer."""
        newest = self._newest[tp]
        if records[0].offset != self._next[tp]:
            newest.clear()
        newest.extend(records)
        self._next[tp] = records[-1].offset + 1

    async def _follow(self) -> None:
        try:
            while True:
                for tp, fetched in (await self._consumer.getmany(timeout_ms=60_000)).items():
                    self.take(tp, list(_records(self._settings, fetched)))
                async with self._arrived:
                    self._arrived.notify_all()
        finally:
            async with self._arrived:
                self._arrived.notify_all()


def _records(settings: KafkaSettings, fetched: Sequence[Any]) -> Iterator[Record]:
    for r in fetched:
        name = r.topic.removeprefix(settings.topic_prefix)
        yield Record(name, r.partition, r.offset, r.timestamp / 1000, r.key, r.value)
