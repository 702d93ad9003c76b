"""Which applied policies count for which events, in one partition."""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

import msgspec

from alerts.happening import ChangeEvent
from alerts.planned import CHANGE, planned
from alerts.policies import PolicyVersion, Ruling, Stream, present, rule
from alerts.policy import Policy
from detectors.base import SnapshotError
from streams.absorbed import Offsets, unread
from streams.codec import Rejected, decode
from streams.processor import Record
from streams.schemas import EventLimits
from streams.settling import counts_after
from streams.state_keys import reserved

TOPIC, CHANGES = "policies", "changes"
KEY = reserved("policies")
FORMAT = 1

KEPT_VERSIONS = 32
"""Versions of one document that are kept in the state; a replay begins at the last checkpoint, and needs one or two."""

KEPT_CHANGES = 256
"""Planned changes that are kept in the state."""

MOST_SOURCES = 100_000
"""Sources whose ruling is remembered; the others' are found again."""


class Governed(Protocol):
    """A source as policies see it."""

    name: str
    era: object

    def govern(self, ruling: Ruling) -> None:
        """Let another policy count from now on."""


class _Applied(msgspec.Struct, array_like=True, frozen=True):
    """A version, and the time of production after which events are under it."""

    counts_after: float
    offset: int
    value: bytes


class _State(msgspec.Struct, array_like=True, frozen=True):
    format: int
    absorbed: list[tuple[str, int, int]]
    applied: list[_Applied]


class _Era:
    """A time during which the same documents are in force."""

    def __init__(self, versions: Sequence[PolicyVersion], stream: Stream) -> None:
        self.versions = [
            (one.encode(), one)
            for one in present(versions).values()
            if one.policy is not None and one.policy.stream == stream
        ]
        self.rulings: dict[str, Ruling] = {}


class PolicyBook:
    """Every version that was applied, and every change that was planned, and from when on it counts.

    A version counts for the events of a source once a record of it was produced ``SETTLING`` seconds later than the
    version. So it makes no difference how early it was read, and a replay decides each event under the same versions
    as the first run did. What was read is part of the partition's state, stored before the sources that it governs.

    Parameters
    ----------
    configured
        The configuration's policy, beneath them all.
    limits
        What a record may be.
    states
        What was stored.
    stream
        Whose alerts it is about.

    Attributes
    ----------
    absorbed
        Last offset taken in, by topic and partition.
    applied
        The versions; none while nobody has applied any.
    beneath
        What governs a source that no document is about.
    freezes
        Whether any of them says that nothing is learned for some time.

    Examples
    --------
    >>> book = PolicyBook(Policy(), EventLimits(), {})
    >>> value = (
    ...     b'{"name": "pumps", "version": 1, "author": "ann", "at": 60,'
    ...     b' "policy": {"name": "pumps", "source": "pump-*", "owner": "plant"}}'
    ... )
    >>> list(book.absorb([Record("policies", 0, 0, 60.0, b"pumps@1", value)]))
    []
    >>> [book.ruling("pump-7", heard).owner for heard in (62.0, 62.1)], book.ruling("fan-1", 62.1).owner
    ([None, 'plant'], None)

    """

    def __init__(
        self, configured: Policy, limits: EventLimits, states: Mapping[str, bytes], stream: Stream = "telemetry"
    ) -> None:
        self._configured, self._limits, self._stream = configured, limits, stream
        self.absorbed: Offsets = {}
        self.applied: list[_Applied] = []
        self._versions: dict[bytes, PolicyVersion] = {}
        self._planned: set[str] = set()
        self.beneath = Ruling(configured)
        self._rulings: dict[tuple[bytes, ...], Ruling] = {(): self.beneath}
        if (stored := states.get(KEY)) is not None:
            self._restore(stored)
        self._stored = dict(self.absorbed)
        self._divide()

    @classmethod
    def of(cls, configured: Policy, limits: EventLimits, records: Sequence[Record]) -> PolicyBook:
        """Return the book of all records of both topics, for who asks afterwards; dead letters are passed over."""
        book = cls(configured, limits, {})
        deque(book.absorb(records), maxlen=0)
        return book

    def absorb(self, records: Sequence[Record]) -> Iterator[tuple[Record, Rejected]]:
        """Take in records of both topics, and yield those that cannot be taken; what was before them goes on."""
        changed = False
        for record in unread(records, self.absorbed):
            version = self._said_in(record)
            if isinstance(version, Rejected):
                yield record, version
                continue
            if version is None:
                continue
            self.applied.append(_Applied(counts_after(record.timestamp), record.offset, version.encode()))
            changed = True
        if changed:
            self._forget_old()
            self._divide()

    def _said_in(self, record: Record) -> PolicyVersion | Rejected | None:
        """Return the version that a record holds; ``None`` for a change that mutes nothing, and never has."""
        if record.topic != CHANGES:
            return decode(PolicyVersion, record.value, self._limits)
        change = decode(ChangeEvent, record.value, self._limits)
        if isinstance(change, Rejected):
            return change
        version = planned(change)
        if version.policy is None and version.name not in self._planned:
            return None
        self._planned.add(version.name)
        return version

    def govern(self, source: Governed, heard: float) -> None:
        """Let a source be under what is in force at an event.

        Parameters
        ----------
        source
            The source.
        heard
            Latest time at which a record of it was produced, including the event's, epoch seconds.

        """
        era = self._era(heard)
        if source.era is not era:
            source.era = era
            source.govern(self._ruling(era, source.name))

    def ruling(self, name: str, heard: float) -> Ruling:
        """Return what governs a source at a time of production."""
        return self._ruling(self._era(heard), name)

    def in_force(self, heard: float) -> list[PolicyVersion]:
        """Return the versions that count for events of a time of production; planned changes are among them."""
        return [version for _, version in self._era(heard).versions]

    def changes(self) -> Iterator[tuple[str, bytes]]:
        """Return the state if it has changed since the last call; to be stored before those of the sources."""
        if self.absorbed != self._stored:
            self._stored = dict(self.absorbed)
            absorbed = [(*place, offset) for place, offset in sorted(self.absorbed.items())]
            yield KEY, msgspec.msgpack.encode(_State(FORMAT, absorbed, self.applied))

    def _era(self, heard: float) -> _Era:
        return self._eras[bisect_left(self._beginnings, heard)]

    def _ruling(self, era: _Era, name: str) -> Ruling:
        known = era.rulings.get(name)
        if known is None:
            if len(era.rulings) >= MOST_SOURCES:
                era.rulings.clear()
            known = era.rulings[name] = self._find(era, name)
        return known

    def _find(self, era: _Era, name: str) -> Ruling:
        about = [pair for pair in era.versions if pair[1].policy is not None and pair[1].policy.matches(name)]
        key = tuple(value for value, _ in about)
        ruling = self._rulings.get(key)
        if ruling is None:
            ruling = self._rulings[key] = rule(self._configured, [version for _, version in about])
        return ruling

    def _divide(self) -> None:
        """Find the times between which the same versions are in force."""
        versions = {one.value: self._versions.get(one.value) or _version(one) for one in self.applied}
        self._versions = versions
        self._planned = {one.name for one in versions.values() if one.name.startswith(CHANGE)}
        policies = [one.policy for one in versions.values() if one.policy is not None]
        self.freezes = any(window.freeze for policy in policies for window in policy.calendar)
        applied = sorted(self.applied, key=lambda one: (one.counts_after, one.offset))
        self._beginnings = sorted({one.counts_after for one in applied})
        self._eras = [_Era([], self._stream)]
        for beginning in self._beginnings:
            in_force = [versions[one.value] for one in applied if one.counts_after <= beginning]
            self._eras.append(_Era(in_force, self._stream))

    def _forget_old(self) -> None:
        kept: dict[str, list[_Applied]] = {}
        for one in self.applied:
            kept.setdefault(_version(one).name, []).append(one)
        changes = [name for name in kept if name.startswith(CHANGE)]
        for name in changes[:-KEPT_CHANGES]:
            del kept[name]
        self.applied = sorted((one for found in kept.values() for one in found[-KEPT_VERSIONS:]), key=_offset)

    def _restore(self, stored: bytes) -> None:
        try:
            state = msgspec.msgpack.decode(stored, type=_State)
        except msgspec.DecodeError as error:
            raise SnapshotError(f"the state of policies cannot be read ({error}): reset the state") from error
        if state.format != FORMAT:
            raise SnapshotError(
                f"the state of policies has format {state.format}, this program reads {FORMAT}: run the version that"
                " wrote it, or reset the state"
            )
        self.absorbed = {(topic, partition): offset for topic, partition, offset in state.absorbed}
        self.applied = state.applied


def _version(applied: _Applied) -> PolicyVersion:
    return PolicyVersion.model_validate_json(applied.value)


def _offset(applied: _Applied) -> int:
    return applied.offset
