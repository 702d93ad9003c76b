"""States of several keys that move together, whatever moment a crash chooses.

A transaction changes the state of its account, of its counterparty and of the shard's model. A checkpoint
writes them one after another, so a crash may leave some of them new and others old; a replay from there would
compute with a past that never was. Therefore every value carries the number of its checkpoint and the value
before it, and the commit value, written last, says which checkpoint is complete. What a torn checkpoint left is
passed over, and put right by the next one: that may reach less far, and so leave out some of these keys, which would
count as complete with it. The number of a checkpoint is written first, so a torn one is noticed at the start.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import msgspec

from detectors.base import SnapshotError

Change = tuple[str, bytes | None, bytes | None]
"""A key, its new state (``None``: it is gone) and the state it had at the checkpoint before."""


class _Stored(msgspec.Struct, array_like=True, frozen=True):
    checkpoint: int
    state: bytes
    before: bytes | None


class AtomicStates:
    """Reads states as of the last complete checkpoint, and lays out the next one so that it is all or nothing.

    Parameters
    ----------
    states
        Stored values by key, as they were found at the start.
    commit_key
        Key of the value that completes a checkpoint.

    Examples
    --------
    >>> stored = {}
    >>> first = AtomicStates(stored, "shard")
    >>> stored.update(first.checkpoint([("account/a", b"1", None)], commit=b"offset 1"))
    >>> torn = list(first.checkpoint([("account/a", b"2", b"1"), ("account/b", b"2", None)], commit=b"offset 2"))[:-1]
    >>> stored.update(torn)
    >>> again = AtomicStates(stored, "shard")
    >>> again.commit, again.get("account/a"), again.get("account/b")
    (b'offset 1', b'1', None)
    >>> stored.update(again.checkpoint([("account/c", b"2", None)], commit=b"offset 2"))
    >>> once_more = AtomicStates(stored, "shard")
    >>> once_more.commit, once_more.get("account/a"), once_more.get("account/c")
    (b'offset 2', b'1', b'2')

    """

    def __init__(self, states: Mapping[str, bytes], commit_key: str) -> None:
        self._states = states
        self._commit_key = commit_key
        self._doomed: dict[str, None] = {}
        commit = self._stored(commit_key)
        self._complete = commit.checkpoint if commit else 0
        self._next = self._complete + 1
        self.commit = commit.state if commit else None
        self._begun_key = f"{commit_key}/begun"
        begun = states.get(self._begun_key)
        is_torn = begun is None or int(begun) > self._complete
        self._torn = dict.fromkeys(self._torn_keys()) if is_torn else {}

    def get(self, key: str) -> bytes | None:
        """Return a key's state as of the last complete checkpoint."""
        stored = self._stored(key)
        if stored is None:
            return None
        return stored.state if stored.checkpoint <= self._complete else stored.before

    def items(self, *prefixes: str) -> Iterator[tuple[str, bytes]]:
        """Return keys that begin with one of the prefixes, and their states."""
        for key in self._states:
            if key.startswith(prefixes) and (state := self.get(key)) is not None:
                yield key, state

    def checkpoint(self, changes: Iterable[Change], commit: bytes) -> Iterator[tuple[str, bytes | None]]:
        """Lay out a checkpoint; its values must be stored in this order.

        A key that is gone is deleted one checkpoint later, when nothing can need it any more.
        """
        doomed, self._doomed = self._doomed, {}
        torn, self._torn = self._torn, {}
        number, self._next = self._next, self._next + 1
        yield self._begun_key, b"%d" % number
        for key, state, before in changes:
            if state is None:
                self._doomed[key] = None
            else:
                doomed.pop(key, None)
                torn.pop(key, None)
                self._doomed.pop(key, None)
                yield key, msgspec.msgpack.encode(_Stored(number, state, before))
        for key in doomed:
            yield key, None
        for key in torn:
            before = self.get(key)
            yield key, None if before is None else msgspec.msgpack.encode(_Stored(number, before, before))
        yield self._commit_key, msgspec.msgpack.encode(_Stored(number, commit, None))

    def _torn_keys(self) -> Iterator[str]:
        for key in self._states:
            if key != self._begun_key and (stored := self._stored(key)) and stored.checkpoint > self._complete:
                yield key

    def _stored(self, key: str) -> _Stored | None:
        value = self._states.get(key)
        if value is None:
            return None
        try:
            return msgspec.msgpack.decode(value, type=_Stored)
        except msgspec.DecodeError as error:
            raise SnapshotError(f"state of {key!r} is damaged: {error}; restore an earlier snapshot") from error
