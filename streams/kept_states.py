"""States by name, taken from the store when first asked for and handed back when changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Generic, Protocol, TypeVar

from streams.atomic_states import AtomicStates, Change


class Snapshotted(Protocol):
    """What can be put away and taken up again."""

    def snapshot(self) -> bytes:
        """Return the state."""

    def restore(self, state: bytes) -> None:
        """Take up a state."""


S = TypeVar("S", bound=Snapshotted)


class KeptStates(Generic[S]):
    """The accounts (or counterparties) of one shard.

    Parameters
    ----------
    kind
        Prefix of the keys, such as ``account``.
    make
        Returns a new state for a name.
    states
        Where states were stored.

    """

    def __init__(self, kind: str, make: Callable[[str], S], states: AtomicStates) -> None:
        self._kind = kind
        self._make = make
        self._states = states
        self._kept: dict[str, S] = {}
        self._stored: dict[str, bytes] = {}
        self._changed: dict[str, None] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def read(self, name: str) -> S:
        """Return a state to look at."""
        kept = self._kept.get(name)
        if kept is None:
            kept = self._kept[name] = self._make(name)
            stored = self._states.get(f"{self._kind}/{name}")
            if stored is not None:
                kept.restore(stored)
                self._stored[name] = stored
        return kept

    def change(self, name: str) -> S:
        """Return a state to change; it will be part of the next checkpoint."""
        self._changed[name] = None
        return self.read(name)

    def changes(self) -> Iterator[Change]:
        """Return what has changed since the last call."""
        for name in self._changed:
            state = self._kept[name].snapshot()
            yield f"{self._kind}/{name}", state, self._stored.get(name)
            self._stored[name] = state
        self._changed.clear()
