"""What a worker remembers of the topics that it follows."""

from __future__ import annotations

import asyncio

from aiokafka import TopicPartition

from streams.broadcast import Follower
from streams.processor import Record
from streams.settings import KafkaSettings

LABELS = TopicPartition("labels", 0)


def record(offset: int) -> Record:
    return Record("labels", 0, offset, 0.0, None, None)


def followed(*lots: list[int]) -> Follower:
    async def make() -> Follower:
        return Follower(KafkaSettings(), [LABELS])

    follower = asyncio.run(make())
    for offsets in lots:
        follower.take(LABELS, [record(offset) for offset in offsets])
    return follower


def offsets(found: list[Record] | None) -> list[int] | None:
    return None if found is None else [one.offset for one in found]


def test_what_came_one_after_the_other_is_found_in_memory() -> None:
    follower = followed([0, 1], [2, 3])
    assert offsets(follower.between(LABELS, 1, 3)) == [1, 2]
    assert (follower.first(LABELS), follower.end(LABELS)) == (0, 4)


def test_where_the_connection_left_records_out_they_must_be_read_from_kafka() -> None:
    follower = followed([0, 1], [5, 6])
    assert follower.between(LABELS, 1, 7) is None
    assert follower.first(LABELS) == 5
    assert offsets(follower.between(LABELS, 5, 7)) == [5, 6]
