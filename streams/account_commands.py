"""Commands to the alerts of accounts, waiting until they count."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from alerts.commands import Command
from streams.codec import Rejected, decode
from streams.processor import Record
from streams.schemas import CommandEvent, EventLimits
from streams.settling import Unsettled, counts_after


class SaidOfAlert(msgspec.Struct, array_like=True, frozen=True, order=True):
    """A command to an alert of an account."""

    counts_after: float
    offset: int
    account: str
    command: Command


class AccountCommands:
    """Holds back commands until the shard's transactions were produced two seconds later, or nothing comes any more.

    Parameters
    ----------
    waiting
        What was held back before.

    Attributes
    ----------
    taken
        How many have been given out.

    """

    def __init__(self, waiting: list[SaidOfAlert] | None = None) -> None:
        self._waiting = Unsettled(waiting or ())
        self.taken = 0

    def hear(self, record: Record, limits: EventLimits) -> None:
        """Take in a record of the topic; of what cannot be taken, telemetry speaks, which reads the topic too."""
        event = decode(CommandEvent, record.value, limits)
        if not isinstance(event, Rejected) and event.to_alert is not None:  # else it is to an incident
            self._waiting.add(SaidOfAlert(counts_after(record.timestamp), record.offset, *event.to_alert))

    def due(self, produced_at: float) -> Iterator[SaidOfAlert]:
        """Take out what counts for a transaction produced at a time."""
        for said in self._waiting.due(produced_at):
            self.taken += 1
            yield said

    def waiting(self) -> list[SaidOfAlert]:
        """Return what is held back."""
        return self._waiting.waiting()
