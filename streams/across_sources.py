"""What one partition of telemetry knows across its sources: the stream's budget, and what peers have learned.

Sources are stored one by one, each with the offset it has learned up to, so a checkpoint that a crash tears apart may
leave some of them ahead of what is known across them. A source that is ahead passes over the records that come again;
what these meant across sources must be known all the same. Therefore a checkpoint begins with a journal of what came
from the sources since the last complete one, goes on with the sources, and ends with what is known now. After a torn
one, what comes again is taken from the journal where the source passes it over.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeVar

import msgspec

from alerts.budget import Allowance, Budget
from detectors.base import Detector, SnapshotError
from streams.peers import MAX_PRIOR_BYTES, Peers, PeerSettings, Prior
from streams.processor import Record
from streams.readings import Reading
from streams.source import Source
from streams.state_keys import reserved

FORMAT = 1
KNOWN_KEY = reserved("across")
JOURNAL_KEY = reserved("across/journal")


class _Candidate(msgspec.Struct, array_like=True, frozen=True):
    """An alert that asked the stream's budget."""

    offset: int
    t: float
    rarity: float


class _Journal(msgspec.Struct, array_like=True):
    """What came from the sources since the last complete checkpoint; priors by their offsets."""

    format: int = FORMAT
    candidates: list[_Candidate] = []
    priors: list[int] = []


class _Known(msgspec.Struct, array_like=True):
    """What is known once all records up to an offset are learned; priors, and those to be deleted, by their offsets."""

    format: int = FORMAT
    offset: int = -1
    budget: list[object] | None = None
    priors: list[int] = []
    doomed: list[int] = []


class AcrossSources:
    """The stream's budget and the peers of one partition, exact whatever moment a crash chooses.

    Parameters
    ----------
    a_day
        This partition's share of the alerts a day; ``None`` is no limit.
    peers
        How sources begin from their peers.
    states
        What was stored.

    Examples
    --------
    >>> stored, peers = {}, PeerSettings()
    >>> across = AcrossSources(1, peers, stored)
    >>> across.at(7)
    >>> across.affords(0.0, 0.5)
    True
    >>> stored.update(across.changes_before())  # then the sources, and a crash before the rest
    >>> again = AcrossSources(1, peers, stored)
    >>> again.remembers(7), again.replay(7)
    (True, None)
    >>> again.affords(60.0, 0.5)
    False

    """

    def __init__(self, a_day: float | None, peers: PeerSettings, states: Mapping[str, bytes]) -> None:
        self._budget = None if a_day is None else Budget(a_day)
        self.peers = Peers(peers)
        self._states = states
        self._candidates: list[_Candidate] = []
        self._priors: dict[int, Prior] = {}
        known = _read(states, KNOWN_KEY, _Known)
        if self._budget is not None and known.budget is not None:
            self._budget.restore(known.budget)
        for offset in known.priors:
            self.peers.contribute(self._prior(offset))
        self._doomed = known.doomed
        journal = _read(states, JOURNAL_KEY, _Journal)
        self._asked: dict[int, list[_Candidate]] = {}
        for asked in journal.candidates:
            if asked.offset > known.offset:
                self._asked.setdefault(asked.offset, []).append(asked)
        self._given = {offset for offset in journal.priors if offset > known.offset}
        self._offset = known.offset

    @property
    def allowance(self) -> Allowance | None:
        """What the sources may spend together, ``None`` if there is no limit."""
        return None if self._budget is None else self

    def windows(self, records: Sequence[Record]) -> Iterator[Sequence[Record]]:
        """Yield the records between which nothing changes that peers have learned."""
        start = 0
        while start < len(records):
            first = records[start].offset
            self.peers.reach(first)
            end = bisect_left(records, self.peers.end(first), start, key=_offset)
            yield records[start:end]
            start = end

    def at(self, offset: int) -> None:
        """Note which record's turn it is."""
        self._offset = max(self._offset, offset)

    def level(self, t: float) -> float:
        """Return the rarity up to which an alert may begin."""
        return 1.0 if self._budget is None else self._budget.level(t)

    def affords(self, t: float, rarity: float) -> bool:
        """Say whether an alert may begin at the record whose turn it is, and spend it if so."""
        if self._budget is None:
            return True
        self._candidates.append(_Candidate(self._offset, t, rarity))
        return self._budget.affords(t, rarity)

    def contribute(self, prior: Prior) -> None:
        """Take what a source has learned."""
        self._priors[prior.offset] = prior
        self.peers.contribute(prior)

    def welcome(self, source: Source, event: Reading, make_detector: Callable[[], Detector]) -> None:
        """Let a source, if this is its first event, begin from what its peers have learned."""
        if not source.events and source.prior is None and (peers := self.peers.of(self._type(event))):
            source.join(peers, make_detector)

    def hear(self, source: Source, offset: int, event: Reading) -> None:
        """Take what a source has learned up to the event at an offset, if its peers are to be told by now."""
        settings = self.peers.settings
        if source.events < source.tells_peers_at or not settings.enabled:
            return
        type_ = self._type(event)
        learned = source.detector.prior() if type_ is not None else None
        source.tells_peers_at = source.events + (settings.after_events if learned is None else settings.refresh_events)
        if type_ is not None and learned is not None and len(learned) <= MAX_PRIOR_BYTES:
            self.contribute(Prior(offset, type_, source.name, learned))

    def remembers(self, offset: int) -> bool:
        """Say whether a record, which its source passes over, meant something across sources."""
        return offset in self._asked or offset in self._given

    def replay(self, offset: int) -> None:
        """Take from the journal what such a record meant."""
        self.at(offset)
        for asked in self._asked.get(offset, ()):
            self.affords(asked.t, asked.rarity)
        if offset in self._given:
            self.contribute(self._prior(offset))

    def changes_before(self) -> Iterator[tuple[str, bytes]]:
        """Return what must be stored before the states of the sources."""
        if not self._has_changed():
            return
        for offset, prior in self._priors.items():
            yield _key(offset), msgspec.msgpack.encode(prior)
        # What a torn checkpoint knew of records that have not come again yet must outlast this one.
        asked = [one for offset, found in self._asked.items() if offset > self._offset for one in found]
        given = sorted(offset for offset in self._given if offset > self._offset)
        yield JOURNAL_KEY, msgspec.msgpack.encode(_Journal(FORMAT, self._candidates + asked, [*self._priors, *given]))

    def changes_after(self) -> Iterator[tuple[str, bytes | None]]:
        """Return what must be stored after the states of the sources, and begin anew."""
        if not self._has_changed():
            return
        for offset in self._doomed:
            yield _key(offset), None
        # Deleted one checkpoint later, when nothing can need them any more.
        self._doomed = self.peers.gone()
        self._candidates, self._priors = [], {}
        budget = None if self._budget is None else self._budget.snapshot()
        yield KNOWN_KEY, msgspec.msgpack.encode(_Known(FORMAT, self._offset, budget, self.peers.offsets, self._doomed))

    def _type(self, event: Reading) -> str | None:
        return self.peers.settings.type_of(event.attributes)

    def _has_changed(self) -> bool:
        return bool(self._candidates or self._priors or self._doomed)

    def _prior(self, offset: int) -> Prior:
        state = self._states.get(_key(offset))
        if state is None:
            raise SnapshotError(f"what a peer had learned at offset {offset} is not stored: reset the state")
        return msgspec.msgpack.decode(state, type=Prior)


def _offset(record: Record) -> int:
    return record.offset


def _key(offset: int) -> str:
    return reserved(f"prior/{offset}")


S = TypeVar("S", _Known, _Journal)


def _read(states: Mapping[str, bytes], key: str, kind: type[S]) -> S:
    state = states.get(key)
    return kind() if state is None else msgspec.msgpack.decode(state, type=kind)
