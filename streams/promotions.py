"""What people say of models, waiting until it counts."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from streams.codec import Reason, Rejected, decode
from streams.processor import Record
from streams.schemas import EventLimits, PromotionEvent
from streams.settling import Unsettled, counts_after

TOPIC = "promotions"


class Said(msgspec.Struct, array_like=True, frozen=True, order=True):
    """A promotion of a model, or a return to the champion before (``model`` is ``None``)."""

    counts_after: float
    offset: int
    model: str | None
    by: str
    reason: str | None


class Promotions:
    """Holds back what people say until the transactions were produced two seconds later.

    So it makes no difference how early it was read, and a replay changes the champion at the same transaction.

    Parameters
    ----------
    models
        Names of the models that there are.
    limits
        What a record may be.
    waiting
        What was held back before.

    Examples
    --------
    >>> promotions = Promotions(["default", "slow"], EventLimits())
    >>> value = b'{"order": "promote", "model": "slow", "by": "ann", "timestamp": 60}'
    >>> promotions.hear(Record("promotions", 0, 0, 60.0, None, value))
    >>> [[one.model for one in promotions.due(produced_at)] for produced_at in (62.0, 62.1)]
    [[], ['slow']]

    """

    def __init__(self, models: list[str], limits: EventLimits, waiting: list[Said] | None = None) -> None:
        self._models, self._limits = models, limits
        self._waiting = Unsettled(waiting or ())

    def hear(self, record: Record) -> Rejected | None:
        """Take in a record of the topic, or return why it cannot be taken."""
        event = decode(PromotionEvent, record.value, self._limits)
        if isinstance(event, Rejected):
            return event
        if event.model is not None and event.model not in self._models:
            there = ", ".join(self._models)
            return Rejected(Reason.OUT_OF_RANGE, f"model: there is no model {event.model!r} (there are: {there})")
        after = counts_after(record.timestamp)
        self._waiting.add(Said(after, record.offset, event.model, event.by, event.reason))
        return None

    def due(self, produced_at: float) -> Iterator[Said]:
        """Give out what counts for a transaction produced at a time, in the order in which it was said."""
        return self._waiting.due(produced_at)

    def waiting(self) -> list[Said]:
        """Return what is held back."""
        return self._waiting.waiting()
