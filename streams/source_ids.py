"""Which source an id is of: an index in the store, so that a label finds its source without all of them in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from streams.state_keys import is_reserved, names_after, reserved

COMPLETE_KEY = reserved("ids")
AT_ONCE = 1000


class SourceIds:
    """The sources of one partition by the ids of their alerts and events.

    A checkpoint writes what is new before the sources and deletes what is gone after them. So after a torn one no id is
    missing, and there may be one too many: whether a source has it is asked of the source.

    Parameters
    ----------
    states
        What was stored.
    ids_of
        Returns the ids in a stored state of a source.

    """

    def __init__(self, states: Mapping[str, bytes], ids_of: Callable[[str, bytes], set[str]]) -> None:
        self._states, self._ids_of = states, ids_of
        self._added: dict[str, str] = {}
        self._touched: set[str] = set()
        self._gone: list[str] = []
        # States of before there was an index are read through when the first label asks.
        self._is_complete = COMPLETE_KEY in states or all(map(is_reserved, states))
        self._is_marked = COMPLETE_KEY in states

    def find(self, id_: str) -> str | None:
        """Return the source that an id is of."""
        if not self._is_complete:
            self._read_all()
        added = self._added.get(id_)
        if added is not None:
            return added
        stored = self._states.get(id_key(id_))
        return None if stored is None else stored.decode()

    def add(self, source: str, ids: Iterable[str]) -> None:
        """Note that something of a source has these ids."""
        self._touched.add(source)
        for id_ in ids:
            self._added[id_] = source

    def touch(self, source: str) -> None:
        """Note that the ids of a source may have become fewer."""
        self._touched.add(source)

    def changes_before(self, ids_now: Callable[[str], set[str]]) -> Iterator[tuple[str, bytes]]:
        """Return what must be stored before the states of the sources.

        Parameters
        ----------
        ids_now
            Returns the ids of a source as it is, none if it is gone.

        """
        found = False
        for source in sorted(self._touched):
            stored = self._states.get(source)
            before = set() if stored is None else self._ids_of(source, stored)
            now = ids_now(source)
            self._gone += [id_ for id_ in sorted(before - now) if self._states.get(id_key(id_)) == source.encode()]
            for id_ in sorted(now - before):
                found = True
                yield id_key(id_), source.encode()
        for id_, source in self._added.items():  # found when all were read
            if source not in self._touched:
                found = True
                yield id_key(id_), source.encode()
        self._added, self._touched = {}, set()
        if found and self._is_complete and not self._is_marked:
            self._is_marked = True
            yield COMPLETE_KEY, b"\x01"

    def changes_after(self) -> Iterator[tuple[str, None]]:
        """Return what must be stored after the states of the sources."""
        gone, self._gone = self._gone, []
        for id_ in gone:
            yield id_key(id_), None

    def _read_all(self) -> None:
        self._is_complete = True
        names = names_after(self._states, "", AT_ONCE)
        while names:
            for name in names:
                for id_ in self._ids_of(name, self._states[name]):
                    self._added.setdefault(id_, name)
            names = names_after(self._states, names[-1], AT_ONCE)


def id_key(id_: str) -> str:
    """Return the key under which the source of an id is stored."""
    return reserved(f"id/{id_}")
