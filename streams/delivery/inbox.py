"""What the notifier reads: alerts and what is said of incidents from where it was, all silences from the beginning."""

from __future__ import annotations

import time
from collections.abc import Mapping

from aiokafka import AIOKafkaConsumer, TopicPartition

from streams.processor import Record
from streams.publication import until
from streams.settings import KafkaSettings

FOLLOWED = ("alerts", "changes", "commands")
"""Topics that are read on from where the state has come to."""

MOST_AT_ONCE = 2000
QUIET_SECONDS = 5.0

Positions = dict[tuple[str, int], int]
"""Offset of the next record, by topic (without prefix) and partition."""


class Inbox:
    """Reads topics without a consumer group: how far is part of the state.

    Parameters
    ----------
    kafka
        The connection and prefix.
    positions
        Where to go on.

    """

    def __init__(self, kafka: KafkaSettings, positions: Mapping[tuple[str, int], int]) -> None:
        self._kafka = kafka
        self._consumer = AIOKafkaConsumer(
            **kafka.client_options(), enable_auto_commit=False, isolation_level="read_committed"
        )
        self.positions: Positions = dict(positions)
        self._followed: list[TopicPartition] = []
        self._ends: dict[TopicPartition, int] = {}
        self._quiet_since: float | None = None

    async def open(self) -> list[Record]:
        """Connect, and return all silences there are."""
        await self._consumer.start()
        silences = await self._partitions("silences")
        self._consumer.assign(silences)
        await self._consumer.seek_to_beginning(*silences)
        found: list[Record] = []
        async for tp, records in until(self._consumer, await self._consumer.end_offsets(silences)):
            found += self._records(tp, records)
        after = {tp: await self._consumer.position(tp) for tp in silences}
        self._followed = [tp for topic in FOLLOWED for tp in await self._partitions(topic)]
        self._consumer.assign([*self._followed, *silences])
        begins = await self._consumer.beginning_offsets(self._followed)
        self._ends = dict(await self._consumer.end_offsets(self._followed))
        for tp, begin in begins.items():
            place = self._place(tp)
            self.positions[place] = max(begin, self.positions.get(place, 0))
            self._consumer.seek(tp, self.positions[place])
        for tp, position in after.items():
            self._consumer.seek(tp, position)
        return found

    async def close(self) -> None:
        """Close the connection."""
        await self._consumer.stop()

    async def fetch(self, seconds: float) -> list[Record]:
        """Return what has come, or nothing after a while; each partition in its order."""
        fetched = await self._consumer.getmany(timeout_ms=round(seconds * 1000), max_records=MOST_AT_ONCE)
        found: list[Record] = []
        for tp, records in fetched.items():
            found += self._records(tp, records)
        self._quiet_since = time.monotonic() if found or self._quiet_since is None else self._quiet_since
        return found

    def take(self, record: Record) -> None:
        """Note that a record has been taken in."""
        self.positions[record.topic, record.partition] = record.offset + 1

    def lags(self) -> list[tuple[str, int, int]]:
        """Return, for each partition that is followed, how many records are still to be taken in."""
        found = []
        for tp in self._followed:
            end = max(self._consumer.highwater(tp) or 0, self._ends[tp])
            place = self._place(tp)
            found.append((*place, max(end - self.positions[place], 0)))
        return found

    @property
    def caught_up(self) -> bool:
        """Whether all that there is has been taken in, as far as this process can know."""
        # An end that holds no record, such as that of a transaction, leaves a lag that nothing makes up for.
        return self._quiet_since is not None and (
            not any(lag for *_, lag in self.lags()) or time.monotonic() - self._quiet_since > QUIET_SECONDS
        )

    def _place(self, tp: TopicPartition) -> tuple[str, int]:
        return tp.topic.removeprefix(self._kafka.topic_prefix), tp.partition

    async def _partitions(self, topic: str) -> list[TopicPartition]:
        name = self._kafka.topic(topic)
        await self._consumer._client.add_topic(name)
        numbers = self._consumer.partitions_for_topic(name) or set()
        return [TopicPartition(name, number) for number in sorted(numbers)]

    def _records(self, tp: TopicPartition, records: list[object]) -> list[Record]:
        topic = tp.topic.removeprefix(self._kafka.topic_prefix)
        return [
            Record(topic, tp.partition, one.offset, one.timestamp / 1000, one.key, one.value)  # type: ignore[attr-defined]
            for one in records
        ]
