"""Commands on their way to the sources whose alerts they are about."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from alerts.commands import Command
from streams.absorbed import StoredOffsets, unread
from streams.codec import Rejected, decode
from streams.processor import Record
from streams.schemas import CommandEvent, EventLimits
from streams.settling import counts_after
from streams.state_keys import reserved

TOPIC = "commands"
KEY = reserved("commands")


class WaitingCommand(NamedTuple):
    """A command, its offset, and the time of production after which it is due."""

    offset: int
    due_after: float
    command: Command


class SourceCommands:
    """Keeps commands until their sources have come to the time at which they were said.

    A command is due when a record of its source was produced ``SETTLING`` seconds later, or when all there was has
    been processed and so much time has passed: both take it between the same two events. A source remembers the last
    command that it has taken, so one that comes again after a crash changes nothing; the topic has one partition, so
    that commands have one order. How far they are settled is stored after the sources, and those beyond are read again.

    Parameters
    ----------
    limits
        What a record may be.
    states
        What was stored.
    exists
        Says whether this partition has a source.

    Attributes
    ----------
    absorbed
        Last offset taken in, by topic and partition.
    waiting
        Those that are not yet due, by source.

    """

    def __init__(self, limits: EventLimits, states: Mapping[str, bytes], exists: Callable[[str], bool]) -> None:
        self._limits, self._exists = limits, exists
        self.waiting: dict[str, list[WaitingCommand]] = {}
        self._offsets = StoredOffsets(KEY, TOPIC, states)
        self.absorbed = self._offsets.read()

    def absorb(self, records: Sequence[Record]) -> Iterator[tuple[Record, Rejected]]:
        """Take in records of the topic, and yield those that cannot be taken."""
        for record in unread(records, self.absorbed):
            event = decode(CommandEvent, record.value, self._limits)
            if isinstance(event, Rejected):
                yield record, event
                continue
            if event.to_alert is None:
                continue  # to an incident, which `tocsin notify` has
            source, command = event.to_alert
            waiting = WaitingCommand(record.offset, counts_after(record.timestamp), command)
            self.waiting.setdefault(source, []).append(waiting)

    def due(self, source: str, now: float) -> list[WaitingCommand]:
        """Take out the commands to a source's alerts that are due, in their order.

        Parameters
        ----------
        source
            Name of the source.
        now
            Time of production that it has come to, epoch seconds.

        """
        waiting = self.waiting.get(source)
        if waiting is None:
            return []
        due = [one for one in waiting if one.due_after < now]
        left = [one for one in waiting if one.due_after >= now]
        if left:
            self.waiting[source] = left
        else:
            del self.waiting[source]
        return due

    def awaited(self, now: float) -> list[str]:
        """Return the sources of this partition to whose alerts something is due, and forget what is due to others."""
        due = sorted(name for name, waiting in self.waiting.items() if waiting[0].due_after < now)
        found = [name for name in due if self._exists(name)]
        for name in set(due) - set(found):
            self.due(name, now)
        return found

    def passed(self, records: Sequence[Record]) -> None:
        """Note that these records have been processed: what is due by then to unknown sources is for other partitions.

        An alert is there before a command to it, and so are the events of its source.
        """
        if self.waiting:
            self.awaited(max(record.timestamp for record in records))

    def changes(self) -> Iterator[tuple[str, bytes]]:
        """Return the state if it has changed since the last call; to be stored after those of the sources."""
        yield from self._offsets.changes(self._settled())

    def _settled(self) -> dict[tuple[str, int], int]:
        waiting = [one.offset for found in self.waiting.values() for one in found]
        first = min(waiting, default=None)
        return {place: offset if first is None else min(offset, first - 1) for place, offset in self.absorbed.items()}
