"""Keys of a partition's states: a source's is its name, those of the whole partition are reserved."""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from typing import Protocol, runtime_checkable

_RESERVED = "\x00"
"""What reserved keys begin with: names hold no control characters."""


def reserved(name: str) -> str:
    """Return the key of a state that is of the whole partition.

    Examples
    --------
    >>> [is_reserved(key) for key in (reserved("labels"), "labels")]
    [True, False]

    """
    return _RESERVED + name


def is_reserved(key: str) -> bool:
    """Say whether a key is of the whole partition, and so no source's."""
    return key.startswith(_RESERVED)


@runtime_checkable
class InOrder(Protocol):
    """States that can be read in the order of their keys, a part at a time."""

    def keys_after(self, key: str, count: int) -> list[str]:
        """Return the next keys after one, ``count`` at most."""


def names_after(states: Mapping[str, bytes], name: str, count: int) -> list[str]:
    """Return the next names of sources after one, in order, ``count`` at most; none is left if there are fewer.

    Examples
    --------
    >>> names_after({"b": b"", reserved("x"): b"", "a": b"", "c": b""}, "", 2)
    ['a', 'b']

    """
    after = name or "\x01"  # behind all that is reserved
    if isinstance(states, InOrder):
        return states.keys_after(after, count)
    return heapq.nsmallest(count, (key for key in states if key > after))
