"""Micro-batches inside Faust: a chunk of one partition's records passes through as if it were one message."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from faust import Schema
from faust.types import TP
from faust.types.transports import SchedulingStrategyT


class Fetched(msgspec.Struct, frozen=True, gc=False):
    """Of a record that was fetched what is looked at: aiokafka's own takes as long to make as an event to decode.

    ``timestamp`` is in milliseconds.
    """

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None


@dataclass(frozen=True, slots=True)
class MicroBatch:
    """Consecutive records of one partition.

    Parameters
    ----------
    tp
        The partition, by its name on the brokers.
    start
        Position of the consumer before these records. It is the end of the batch before, unless the
        consumer was moved: so a batch that was lost on the way can be noticed.
    records
        At least one record.

    """

    tp: TP
    start: int
    records: Sequence[Fetched]

    @property
    def end(self) -> int:
        """Position of the consumer after these records."""
        return self.records[-1].offset + 1


class MicroBatchScheduler(SchedulingStrategyT):
    """Hands micro-batches to Faust whole, before the records of changelogs, which it hands over one by one."""

    def iterate(self, records: Mapping[TP, Any]) -> Iterator[tuple[TP, Any]]:
        """Iterate over what was fetched."""
        for tp, fetched in records.items():
            if isinstance(fetched, MicroBatch):
                yield tp, fetched
        for tp, fetched in records.items():
            if not isinstance(fetched, MicroBatch):
                for record in fetched:
                    yield tp, record


class PassThroughSchema(Schema):
    """Leaves keys and values as they are; so there is nothing in a record that could fail to decode here."""

    def loads_key(self, app: Any, message: Any, **options: Any) -> Any:
        """Return the key as it is."""
        return message.key

    def loads_value(self, app: Any, message: Any, **options: Any) -> Any:
        """Return the value, a micro-batch, as it is."""
        return message.value


class BatchSize:
    """Finds how many records of a topic fit into the time that a micro-batch may take.

    Examples
    --------
    >>> size = BatchSize(most=2000, seconds=0.02)
    >>> size.records()
    100
    >>> size.took(100, seconds=0.01)
    >>> size.records(), size.records(beside_urgent=True)
    (160, 64)

    """

    FIRST = 100
    LEAST = 10
    BESIDE_URGENT = 0.4
    """Share of the time while records of a more urgent topic come: they wait for what is under way several times."""

    def __init__(self, most: int, seconds: float) -> None:
        self._most = most
        self._seconds = seconds
        self._seconds_per_record = seconds / self.FIRST

    def records(self, *, beside_urgent: bool = False) -> int:
        """Return how many records to take next."""
        seconds = self._seconds * (self.BESIDE_URGENT if beside_urgent else 1.0)
        return max(min(int(seconds / self._seconds_per_record), self._most), min(self.LEAST, self._most))

    def took(self, records: int, seconds: float) -> None:
        """Note how long a batch took."""
        self._seconds_per_record += 0.75 * (seconds / records - self._seconds_per_record)
        self._seconds_per_record = max(self._seconds_per_record, 1e-9)


class Precedence:
    """Lets micro-batches of the most urgent topic come to their end before another one begins.

    A micro-batch waits a few times for Kafka, and each time any other could take the processor for as long as it lasts.
    Others wait for those urgent ones that are there when their turn comes, not for later ones: nothing starves.
    """

    def __init__(self) -> None:
        self._urgent: set[asyncio.Future[None]] = set()

    @contextlib.asynccontextmanager
    async def turn(self, *, urgent: bool) -> AsyncIterator[None]:
        """Wait for one's turn, and note its end."""
        if not urgent:
            if self._urgent:
                await asyncio.wait(self._urgent)
            yield
            return
        done = asyncio.get_running_loop().create_future()
        self._urgent.add(done)
        try:
            yield
        finally:
            self._urgent.discard(done)
            done.set_result(None)


class Stopwatch:
    """Measures a block's time in seconds."""

    def __enter__(self) -> Stopwatch:
        self._began = time.perf_counter()
        return self

    def __exit__(self, *error: object) -> None:
        self.seconds = time.perf_counter() - self._began
