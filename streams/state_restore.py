"""What a changelog must be told so that a partition goes on from an earlier state."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import msgspec

from streams.accounts import STREAM as TRANSACTIONS
from streams.atomic_states import AtomicStates, stored_with
from streams.shard import ACCOUNT, COMMIT_KEY
from streams.source import ids_in, with_offset
from streams.source_ids import id_key
from streams.state import MARKER_KEY, Marker
from streams.state_keys import is_reserved

Records = Iterator[tuple[bytes, bytes | None]]
"""Keys and states, ``None`` for one that is gone, in the order in which they must be written."""


class NotThereError(LookupError):
    """There is no such source or account; the message says where it was looked for."""


def names_in(stream: str, states: Mapping[str, bytes]) -> list[str]:
    """Return the names of the sources or accounts among the states of a partition."""
    if stream == TRANSACTIONS:
        return [key.removeprefix(ACCOUNT) for key in states if key.startswith(ACCOUNT)]
    return [key for key in states if not is_reserved(key)]


def marker_in(states: Mapping[str, bytes]) -> Marker | None:
    """Return the marker of the last checkpoint, ``None`` before the first."""
    found = states.get(MARKER_KEY.decode())
    return None if found is None else msgspec.msgpack.decode(found, type=Marker)


def key_of(stream: str, name: str) -> str:
    """Return the key of one source or account."""
    return ACCOUNT + name if stream == TRANSACTIONS else name


def state_of(stream: str, name: str, states: Mapping[str, bytes]) -> bytes | None:
    """Return the state of one source or account as it writes it, ``None`` if there is none."""
    found = AtomicStates(states, COMMIT_KEY) if stream == TRANSACTIONS else states
    return found.get(key_of(stream, name))


def all_again(present: Iterable[str], exported: Mapping[str, bytes], marker: Marker) -> Records:
    """Return what puts all states of an export in place of those that there are.

    Parameters
    ----------
    present
        Keys that there are.
    exported
        The export's states.
    marker
        From where the partition goes on.

    """
    hidden = MARKER_KEY.decode()
    for key in present:
        if key not in exported and key != hidden:
            yield key.encode(), None
    for key, state in exported.items():
        if key != hidden:
            yield key.encode(), state
    yield MARKER_KEY, msgspec.msgpack.encode(marker)


def one_again(stream: str, name: str, state: bytes, present: Mapping[str, bytes]) -> Records:
    """Return what puts an exported state in place of the present one of a source or account.

    It goes on from now: what it heard since the export is not learned again, and nothing from now on is passed over.
    """
    marker = marker_in(present)
    if marker is None:
        raise NotThereError(f"{stream} has no state yet in the partition of {name!r}: let a worker run first")
    if stream == TRANSACTIONS:
        yield key_of(stream, name).encode(), stored_with(present[COMMIT_KEY], state)
    else:
        old = present.get(name)
        before, after = set() if old is None else ids_in(name, old), ids_in(name, state)
        for id_ in sorted(after - before):
            yield id_key(id_).encode(), name.encode()
        yield name.encode(), with_offset(name, state, marker.covered - 1)
        for id_ in sorted(before - after):
            yield id_key(id_).encode(), None
    yield MARKER_KEY, msgspec.msgpack.encode(marker)
