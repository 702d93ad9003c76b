"""States by name: taken from the store when first asked for, handed back when changed, put away for want of room."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Generic, Protocol, TypeVar

FIRST_GUESS = 8192
"""Bytes of a state that has not been written yet, while none has."""


class Snapshotted(Protocol):
    """What can be put away and taken up again, exactly."""

    def snapshot(self) -> bytes:
        """Return the state."""

    def restore(self, state: bytes) -> None:
        """Take up a state."""


S = TypeVar("S", bound=Snapshotted)


class KeptStates(Generic[S]):
    """The sources (or accounts, or counterparties) of one partition, of which some are in memory.

    A snapshot restored is what was put away, to the last bit. So results do not depend on which are in memory.

    Chance decides which are put away. Most sources send at intervals, one after the other and round again: the one that
    has not sent for the longest is the next to send, so whoever puts that away puts away the wrong one each time. One
    that does not come back is met by chance sooner or later, and needs no memory from then on.

    Parameters
    ----------
    make
        Returns a new state for a name.
    stored
        Returns what was stored at the last checkpoint for a name.
    overhead
        Bytes that one takes in memory beside those of its snapshot.

    Examples
    --------
    >>> class Count:
    ...     def __init__(self, name):
    ...         self.n = 0
    ...     def snapshot(self):
    ...         return b"." * self.n
    ...     def restore(self, state):
    ...         self.n = len(state)
    >>> stored = {}
    >>> kept = KeptStates(Count, stored.get, overhead=100)
    >>> for name in "aab":
    ...     kept.change(name).n += 1
    >>> kept.put_away(0)  # nothing: all have changed
    0
    >>> stored.update(kept.changes())
    >>> kept.put_away(102), len(kept), kept.read("a").n
    (1, 1, 2)

    """

    def __init__(self, make: Callable[[str], S], stored: Callable[[str], bytes | None], overhead: int) -> None:
        self._make, self._stored, self._overhead = make, stored, overhead
        self._kept: dict[str, S] = {}
        self._chance = random.Random(0)  # noqa: S311  nothing secret
        self._sizes: dict[str, int] = {}
        self._changed: dict[str, None] = {}
        self._forgotten: dict[str, None] = {}
        self._usual = FIRST_GUESS
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._kept)

    def __iter__(self) -> Iterator[S]:
        return iter(self._kept.values())

    def in_memory(self, name: str) -> S | None:
        """Return a state if it is in memory."""
        return self._kept.get(name)

    def peek(self, name: str) -> S | None:
        """Return a state to look at, ``None`` if there is none by this name; it is not taken into memory for that."""
        kept = self._kept.get(name)
        stored = None if kept is not None or name in self._forgotten else self._stored(name)
        if stored is not None:
            kept = self._make(name)
            kept.restore(stored)
        return kept

    def find(self, name: str) -> S | None:
        """Return a state, ``None`` if there is none by this name."""
        if name in self._kept or (name not in self._forgotten and self._stored(name) is not None):
            return self.read(name)
        return None

    def read(self, name: str) -> S:
        """Return a state to look at."""
        kept = self._kept.get(name)
        return self._take_up(name) if kept is None else kept

    def change(self, name: str) -> S:
        """Return a state to change; it will be part of the next checkpoint."""
        self._changed[name] = None
        return self.read(name)

    def has_changed(self, name: str) -> bool:
        """Say whether a state has changed since the last checkpoint."""
        return name in self._changed

    def begin_anew(self, name: str) -> S:
        """Return a new state in place of the one that there is."""
        self._changed[name] = None
        self._kept[name] = self._make(name)
        return self._kept[name]

    def forget(self, name: str) -> None:
        """Let a state be gone for good."""
        self._forgotten[name] = None
        self._changed.pop(name, None)
        self._drop(name)

    def changes(self) -> Iterator[tuple[str, bytes | None]]:
        """Return what has changed since the last call; ``None`` for what is gone."""
        changed, self._changed = self._changed, {}
        forgotten, self._forgotten = self._forgotten, {}
        for name in changed:
            state = self._kept[name].snapshot()
            self._weigh(name, len(state))
            yield name, state
        for name in forgotten:
            if name not in changed:
                yield name, None

    def put_away(self, down_to: int) -> int:
        """Let some leave memory until so many bytes are left, but none that has changed; return how many."""
        if self.bytes <= down_to:
            return 0
        before = len(self._kept)
        unchanged = [name for name in self._kept if name not in self._changed]
        self._chance.shuffle(unchanged)
        while unchanged and self.bytes > down_to:
            self._drop(unchanged.pop())
        return before - len(self._kept)

    def _take_up(self, name: str) -> S:
        taken = self._make(name)
        stored = None if name in self._forgotten else self._stored(name)
        if stored is not None:
            taken.restore(stored)
        self._kept[name] = taken
        self._weigh(name, self._usual if stored is None else len(stored))
        return taken

    def _weigh(self, name: str, snapshot: int) -> None:
        size = snapshot + self._overhead
        self.bytes += size - self._sizes.get(name, 0)
        self._sizes[name] = size
        self._usual += (snapshot - self._usual) // 16

    def _drop(self, name: str) -> None:
        if self._kept.pop(name, None) is not None:
            self.bytes -= self._sizes.pop(name)
