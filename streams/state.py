"""Durable state of one input topic: a Faust table, its changelog topic, and the marker of each checkpoint."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from faust.exceptions import ConsistencyError
from faust.types import TP

from streams.packed import pack, unpack
from streams.publication import Publisher
from streams.state_keys import reserved

MARKER_KEY = reserved("checkpoint").encode()
WRITER_KEY = reserved("writer").encode()


class Marker(msgspec.Struct, frozen=True, array_like=True):
    """What a checkpoint covers; the last record of each checkpoint in the changelog.

    Parameters
    ----------
    covered
        Records below this offset have been learned and all that they led to has been published.
    tails
        End of each output partition at that moment, by topic: what lies behind it was published since.
    version
        Of this format.

    """

    covered: int
    tails: dict[str, int]
    version: int = 1


class Written(NamedTuple):
    """What a checkpoint came to: how many states, and how many bytes of keys and states."""

    states: int
    size: int


PART_BYTES = 2 * 1024 * 1024
"""Bytes of a checkpoint that are written at once."""


YIELD_SECONDS = 0.004
"""Time for which a checkpoint keeps the event loop to itself."""


class StateError(RuntimeError):
    """State and offsets do not belong together; the message says what to do."""


def state_trouble(error: BaseException | None, directory: Path) -> StateError | None:
    """Return what to do about an error of the local state, ``None`` if it is another error.

    RocksDB has no exceptions of its own: its text tells.
    """
    said = str(error)
    if "No space left on device" in said or "Disk quota exceeded" in said:
        return StateError(
            f"the disk of {directory} is full: make room there, or set state.directory to a larger one, and start "
            "again; nothing is lost"
        )
    if isinstance(error, ConsistencyError):
        return StateError(
            f"the local state in {directory} is ahead of its changelog topic, which must have been deleted since: "
            "delete that folder; what is in the changelog topic is recovered from there"
        )
    return None


class StateTable:
    """The states of one input topic's processors.

    A checkpoint goes to the changelog first and to RocksDB only once Kafka has acknowledged it, so that the
    local store never holds what the changelog lacks.
    """

    def __init__(self, table: Any, publisher: Publisher) -> None:
        self._table = table
        self._publisher = publisher

    @property
    def changelog(self) -> str:
        """Name of the changelog topic on the brokers."""
        name: str = self._table.changelog_topic_name
        return name

    def of(self, partition: int) -> Mapping[str, bytes]:
        """Return the states of one partition."""
        return _PartitionStates(self._table.data, partition)

    def marker(self, partition: int) -> Marker | None:
        """Return the last checkpoint's marker, ``None`` before the first."""
        found = _database(self._table.data, partition).get(MARKER_KEY)
        if found is None:
            return None
        marker = msgspec.msgpack.decode(found, type=Marker)
        if marker.version != 1:
            raise StateError(f"{self.changelog} was written by a newer version of Tocsin: use that version")
        return marker

    async def announce_writer(self, partition: int) -> None:
        """Write a record that says nothing, before any of a checkpoint that say something.

        What a worker that was given up had sent may reach the brokers after its successor has read the changelog: this
        record shows it.
        """
        await self._write_part(TP(self.changelog, partition), [(WRITER_KEY, None)])

    async def write(self, partition: int, changes: Iterable[tuple[str, bytes | None]], marker: Marker) -> Written:
        """Write changed states and the marker, a part at a time: they need not all be in memory at once.

        Returns once Kafka has acknowledged all of it and the local store has it too.
        """
        tp = TP(self.changelog, partition)
        states = size = 0
        part: list[tuple[bytes, bytes | None]] = []
        part_size = 0
        since = time.perf_counter()
        for key, state in changes:
            if time.perf_counter() - since > YIELD_SECONDS:
                await asyncio.sleep(0)  # urgent records need not wait for the whole of a checkpoint
                since = time.perf_counter()
            stored = None if state is None else pack(state)
            part.append((key.encode(), stored))
            part_size += len(key) + len(stored or b"")
            if part_size >= PART_BYTES:
                await self._write_part(tp, part)
                states, size = states + len(part), size + part_size
                part, part_size = [], 0
        written = Written(states + len(part), size + part_size)
        part.append((MARKER_KEY, msgspec.msgpack.encode(marker)))
        await self._write_part(tp, part)
        return written

    async def _write_part(self, tp: TP, part: Sequence[tuple[bytes, bytes | None]]) -> None:
        known = self._table.data.persisted_offset(tp)
        end = await self._publisher.send(tp, ((key, value, []) for key, value in part))
        if known is not None and end - len(part) != known + 1:
            raise StateError(
                f"{self.changelog}/{tp.partition}: records from {known + 1} on are those of another worker, which had "
                "been given up; start again, it goes on from the last whole checkpoint"
            )
        self._table.data.put_all(tp.partition, part, end - 1)


class _PartitionStates(Mapping[str, bytes]):
    """One partition's states. The database is looked up at each access: a rebalance closes it."""

    def __init__(self, store: Any, partition: int) -> None:
        self._store = store
        self._partition = partition

    def __getitem__(self, key: str) -> bytes:
        value: bytes | None = _database(self._store, self._partition).get(key.encode())
        if value is None:
            raise KeyError(key)
        return unpack(value)

    def __iter__(self) -> Iterator[str]:
        return self._shown(_database(self._store, self._partition).keys())

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def keys_after(self, key: str, count: int) -> list[str]:
        """Return the next keys after one, in their order, ``count`` at most."""
        keys = _database(self._store, self._partition).keys(from_key=key.encode() + b"\x00")
        return list(islice(self._shown(keys), count))

    def _shown(self, keys: Iterable[bytes]) -> Iterator[str]:
        hidden = (MARKER_KEY, self._store.offset_key)
        return (key.decode() for key in keys if key not in hidden)


def _database(store: Any, partition: int) -> Any:
    return store._db_for_partition(partition)
