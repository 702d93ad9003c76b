"""Labels on their way to the sources that they are about."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol

from alerts.verdict import Label
from streams.absorbed import StoredOffsets, unread
from streams.codec import Rejected, decode
from streams.processor import Record
from streams.schemas import EventLimits, LabelEvent
from streams.source_ids import SourceIds
from streams.state_keys import reserved

TOPIC = "labels"
KEY = reserved("labels")

MOST_UNKNOWN = 100_000
"""Labels that may wait for what they are about to appear; beyond it the first produced go."""


class WaitingLabel(NamedTuple):
    """A label that waits until its source has reached its time.

    It is due when the source has reached its event time, and a record of it is later than the label's. So it makes no
    difference how early it was read, and a replay applies it before the same event as the first run did.
    """

    produced_at: float
    label: Label

    def due(self, event_time: float, heard: float) -> bool:
        """Say whether the source is far enough."""
        return self.label.timestamp <= event_time and self.produced_at < heard


class Labelled(Protocol):
    """A source as labels see it."""

    name: str
    labels: list[WaitingLabel]

    def ids(self) -> Iterator[str]:
        """Return the ids by which a label may find something here."""


class SourceLabels:
    """Hands each label of the topic to the source of this partition that it is about.

    Every partition reads all labels, and most are about other partitions. One that finds no source here waits until
    the events have passed it, since after a restart labels are read before the events that they are about. How far the
    labels are settled is stored, and those beyond are read again; a source that is given a label twice ignores it.

    Parameters
    ----------
    limits
        What a label may be.
    states
        What was stored.
    ids
        Which source an id is of.
    find
        Returns the source of a name, ``None`` if this partition knows none.

    """

    def __init__(
        self,
        limits: EventLimits,
        states: Mapping[str, bytes],
        ids: SourceIds,
        find: Callable[[str], Labelled | None],
    ) -> None:
        self._limits, self._ids, self._find = limits, ids, find
        self._unknown: dict[str, list[WaitingLabel]] = {}
        self._unknown_count = 0
        self._offsets = StoredOffsets(KEY, TOPIC, states)
        self.absorbed = self._offsets.read()

    def absorb(self, records: Sequence[Record]) -> Iterator[Labelled]:
        """Take in labels, and yield the sources that were given one.

        One that cannot be read is passed over: the processor of transactions says so, once for all.
        """
        for record in unread(records, self.absorbed):
            event = decode(LabelEvent, record.value, self._limits)
            if isinstance(event, Rejected):
                continue
            label = Label(
                event.time, event.id, record.partition, record.offset, event.label, event.by, event.event_time
            )
            yield from self._hand_over(WaitingLabel(record.timestamp, label), event.source)

    def appeared(self, source: Labelled, ids: Collection[str] = ()) -> None:
        """Note that a source, or something in it by these ids, can be labelled from now on."""
        if ids:
            self._ids.add(source.name, ids)
        if self._unknown:
            for name in (*ids, _of_source(source.name)):
                self._give(source, name)

    def passed(self, records: Sequence[Record]) -> None:
        """Note that these records have been processed: unknown labels from before them are about other partitions."""
        if not self._unknown:
            return
        newest = max(record.timestamp for record in records)
        if newest >= 0:  # a backtest knows of no time of production
            self._forget(newest)
        if self._unknown_count > MOST_UNKNOWN:
            produced = sorted(label.produced_at for labels in self._unknown.values() for label in labels)
            self._forget(produced[len(produced) - MOST_UNKNOWN])

    def changes(self) -> Iterator[tuple[str, bytes]]:
        """Return the state if it has changed since the last call; to be stored after those of the sources."""
        yield from self._offsets.changes(self._settled())

    def _hand_over(self, waiting: WaitingLabel, named: str | None) -> Iterator[Labelled]:
        name = named or self._ids.find(waiting.label.id)
        source = None if name is None else self._find(name)
        if source is not None and named is None and waiting.label.id not in source.ids():
            source = None  # it is ahead in the index: a crash came before its source was stored
        if source is None:
            place = waiting.label.id if named is None else _of_source(named)
            self._unknown.setdefault(place, []).append(waiting)
            self._unknown_count += 1
        else:
            self._attach(source, waiting)
            yield source

    def _give(self, source: Labelled, place: str) -> None:
        for waiting in self._unknown.pop(place, ()):
            self._unknown_count -= 1
            self._attach(source, waiting)

    def _attach(self, source: Labelled, waiting: WaitingLabel) -> None:
        if all(waiting.label.rank != known.label.rank for known in source.labels):
            source.labels.append(waiting)
        if self._ids.find(waiting.label.id) is None:  # a later label may refer to this one by its id alone
            self._ids.add(source.name, (waiting.label.id,))

    def _forget(self, produced_before: float) -> None:
        kept = {
            place: left
            for place, labels in self._unknown.items()
            if (left := [label for label in labels if label.produced_at >= produced_before])
        }
        self._unknown, self._unknown_count = kept, sum(map(len, kept.values()))

    def _settled(self) -> dict[tuple[str, int], int]:
        settled = dict(self.absorbed)
        for labels in self._unknown.values():
            for _, label in labels:
                place = TOPIC, label.partition
                settled[place] = min(settled.get(place, label.offset), label.offset - 1)
        return settled


def take_due(source: Labelled, event_time: float, heard: float) -> list[Label]:
    """Take out of a source the labels that have become due, in the order of their times and ids."""
    due = sorted(waiting.label for waiting in source.labels if waiting.due(event_time, heard))
    source.labels = [waiting for waiting in source.labels if not waiting.due(event_time, heard)]
    return due


def _of_source(name: str) -> str:
    """Return the place where labels wait for a source; no id is the same."""
    return reserved(name)
