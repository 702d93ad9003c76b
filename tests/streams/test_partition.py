"""A partition beside topics that grow while it works: whatever has come by when, it decides the same."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from itertools import takewhile
from typing import cast

from faust.types import TP
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from streams.partition import Partition
from streams.processor import Output, Processor, Record
from streams.publication import Outlet, PublishedBefore
from streams.scheduler import BatchSize, Fetched, MicroBatch
from streams.state import StateTable
from streams.transactions import TransactionProcessor
from tests.streams.town import SETTINGS, town, uninterrupted

SOURCE = TP("transactions", 1)


class Log:
    """All topics of the town, of which the first ``there`` records have been produced."""

    def __init__(self) -> None:
        self.there = 0

    def own(self) -> list[Record]:
        """Return the records of the partition."""
        return [record for record in town()[: self.there] if (record.topic, record.partition) == SOURCE]

    async def news(
        self, processor: Processor, source: TP, until: float, *, asking: bool = True, whole: bool = True
    ) -> AsyncIterator[Sequence[Record]]:
        """Yield what the processor has not taken in of what is there."""
        places = {(record.topic, record.partition) for record in town() if whole or record.topic == source.topic}
        for place in sorted(places - {source}):
            after = processor.absorbed().get(place, -1)
            found = [
                record
                for record in town()[: self.there]
                if (record.topic, record.partition) == place and record.offset > after
            ]
            if place[0] == source.topic:
                found = list(takewhile(lambda record: record.timestamp < until, found))
            if found:
                yield found


class Collected:
    """Outputs, in the order in which they were published."""

    def __init__(self) -> None:
        self.before = PublishedBefore()
        self.outputs: list[Output] = []

    async def publish(self, outputs: Sequence[Output], *, due: bool = False) -> Counter[str]:
        """Take outputs."""
        self.outputs += outputs
        return Counter(output.topic for output in outputs)


@given(steps=st.lists(st.tuples(st.integers(0, 60), st.integers(1, 30), st.booleans()), min_size=1, max_size=30))
@settings(max_examples=20, deadline=None, phases=(Phase.explicit, Phase.reuse, Phase.generate))  # each takes long
def test_however_far_a_partition_lags_it_decides_the_same(steps: list[tuple[int, int, bool]]) -> None:
    """Each step: how many records are produced, how many of the partition's own are fetched, whether time passes."""

    async def work() -> list[Output]:
        log, collected, done = Log(), Collected(), 0
        partition = Partition(
            SOURCE,
            SOURCE,
            TransactionProcessor(SETTINGS, SOURCE.partition),
            cast(Outlet, collected),
            cast(StateTable, None),
            log,
            BatchSize(2000, 0.02),
            0,
            None,
            lambda: len(log.own()),
        )
        for produced, size, tick in [*steps, (len(town()), len(town()), True)]:
            log.there += produced
            if batch := log.own()[done : done + size]:
                fetched = [Fetched(r.offset, round(r.timestamp * 1000), r.key, r.value) for r in batch]
                await partition.process(MicroBatch(SOURCE, done, fetched))
                done += len(batch)
            if tick:
                await partition.tick(0.0)
        return collected.outputs

    assert asyncio.run(work()) == list(uninterrupted(SOURCE.partition))
