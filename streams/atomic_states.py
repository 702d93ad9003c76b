"""States of several keys that move together, whatever moment a crash chooses.

A transaction changes the state of its account, of its counterparty and of the shard's model. A checkpoint
writes them one after another, so a crash may leave some of them new and others old; a replay from there would
compute with a past that never was. Therefore every value carries the number of its checkpoint and the value
before it. A checkpoint begins with its number, and the commit value, written last, says that it is complete. What a
torn checkpoint left is passed over, also when later ones are complete that did not write it anew. A key that is gone is
deleted by the checkpoint after, when nothing can need it any more; until then the commit value tells that it is gone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import msgspec

from detectors.base import SnapshotError
from streams.state_keys import names_after

Change = tuple[str, bytes | None, bytes | None]
"""A key, its new state (``None``: it is gone) and the state it had at the checkpoint before."""


class _Stored(msgspec.Struct, array_like=True, frozen=True):
    checkpoint: int
    state: bytes
    before: bytes | None
    gone: tuple[str, ...] = ()


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
    >>> again = AtomicStates(stored | dict(torn), "shard")
    >>> again.commit, again.get("account/a"), again.get("account/b")
    (b'offset 1', b'1', None)

    """

    def __init__(self, states: Mapping[str, bytes], commit_key: str) -> None:
        self._states = states
        self._commit_key = commit_key
        self._written = 0
        commit = self._stored(commit_key)
        self._doomed = dict.fromkeys(commit.gone if commit else ())
        self._complete = commit.checkpoint if commit else 0
        torn_before = msgspec.msgpack.decode(commit.before, type=list[int]) if commit and commit.before else []
        begun = self._stored(_begun_key(commit_key))
        last = max(self._complete, begun.checkpoint if begun else 0)
        self._torn = [*torn_before, *range(self._complete + 1, last + 1)]
        self._next = last + 1
        self.commit = commit.state if commit else None

    def get(self, key: str) -> bytes | None:
        """Return a key's state as of the last complete checkpoint."""
        stored = self._stored(key)
        if stored is None or key in self._doomed:
            return None
        whole = stored.checkpoint <= self._complete and stored.checkpoint not in self._torn
        return stored.state if whole else stored.before

    def items(self, *prefixes: str) -> Iterator[tuple[str, bytes]]:
        """Return keys that begin with one of the prefixes, and their states."""
        for key in self._states:
            if key.startswith(prefixes) and (state := self.get(key)) is not None:
                yield key, state

    def keys_after(self, key: str, count: int) -> list[str]:
        """Return the next stored keys after one, in order, ``count`` at most; some may be gone."""
        return names_after(self._states, key, count)

    def checkpoint(self, changes: Iterable[Change], commit: bytes) -> Iterator[tuple[str, bytes | None]]:
        """Lay out a checkpoint; its values must be stored in this order."""
        doomed, self._doomed = self._doomed, {}
        self.was_stored()
        number, self._next = self._next, self._next + 1
        yield _begun_key(self._commit_key), msgspec.msgpack.encode(_Stored(number, b"", None))
        for key, state, before in changes:
            if state is None:
                self._doomed[key] = None
            else:
                doomed.pop(key, None)
                self._doomed.pop(key, None)
                yield key, msgspec.msgpack.encode(_Stored(number, state, before))
        for key in doomed:
            yield key, None
        self._written = number
        torn = msgspec.msgpack.encode(self._torn)
        yield self._commit_key, msgspec.msgpack.encode(_Stored(number, commit, torn, tuple(self._doomed)))

    def was_stored(self) -> None:
        """Take the last checkpoint that was laid out for complete; whoever begins the next one has stored it too."""
        self._complete = max(self._complete, self._written)

    def _stored(self, key: str) -> _Stored | None:
        value = self._states.get(key)
        if value is None:
            return None
        try:
            return msgspec.msgpack.decode(value, type=_Stored)
        except msgspec.DecodeError as error:
            raise SnapshotError(f"state of {key!r} is damaged: {error}; restore an earlier snapshot") from error


def stored_with(commit: bytes, state: bytes) -> bytes:
    """Return a state as a value of the complete checkpoint that a commit value ends."""
    return msgspec.msgpack.encode(_Stored(msgspec.msgpack.decode(commit, type=_Stored).checkpoint, state, None))


def _begun_key(commit_key: str) -> str:
    return f"{commit_key}/begun"
