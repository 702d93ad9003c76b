"""How far a processor has taken in the topics that it reads beside its own partition."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import msgspec

from detectors.base import SnapshotError
from streams.processor import Record

Offsets = dict[tuple[str, int], int]
"""Last offset, by topic and partition."""

FORMAT = 1


class _State(msgspec.Struct, array_like=True, frozen=True):
    format: int
    offsets: list[tuple[str, int, int]]


def unread(records: Sequence[Record], absorbed: Offsets) -> Iterator[Record]:
    """Yield the records that have not been taken in before, and note each.

    Examples
    --------
    >>> absorbed = {("labels", 0): 6}
    >>> [record.offset for record in unread([Record("labels", 0, n, 0.0, None, None) for n in (6, 7)], absorbed)]
    [7]
    >>> absorbed
    {('labels', 0): 7}

    """
    for record in records:
        place = record.topic, record.partition
        if record.offset > absorbed.get(place, -1):
            absorbed[place] = record.offset
            yield record


class StoredOffsets:
    """Offsets that are part of a partition's state.

    Parameters
    ----------
    key
        Under which they are stored.
    what
        What the topic holds, for whoever reads an error.
    states
        What was stored.

    """

    def __init__(self, key: str, what: str, states: Mapping[str, bytes]) -> None:
        self._key = key
        self._stored: Offsets = {}
        if (stored := states.get(key)) is not None:
            try:
                state = msgspec.msgpack.decode(stored, type=_State)
            except msgspec.DecodeError as error:
                raise SnapshotError(f"the state of {what} cannot be read ({error}): reset the state") from error
            self._stored = {(topic, partition): offset for topic, partition, offset in state.offsets}

    def read(self) -> Offsets:
        """Return what is stored."""
        return dict(self._stored)

    def changes(self, offsets: Mapping[tuple[str, int], int]) -> Iterator[tuple[str, bytes]]:
        """Yield the state if the offsets are others than those stored last."""
        if offsets != self._stored:
            self._stored = dict(offsets)
            state = _State(FORMAT, [(*place, offset) for place, offset in sorted(offsets.items())])
            yield self._key, msgspec.msgpack.encode(state)
