"""Who waits for which decision, and what has been decided of late."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import NamedTuple

from streams.dead_letters import DeadLetter
from streams.decisions import DecisionRecord

Answer = DecisionRecord | DeadLetter
"""What becomes of a transaction: a decision, or the reason why there is none."""

LETTERS = 1000
"""Dead letters of late that are remembered."""


class _Known(NamedTuple):
    until: float
    record: DecisionRecord


class DecisionDesk:
    """Brings decisions to those who wait for them, however many wait for the same.

    Parameters
    ----------
    remember
        Seconds for which a decision is known to those who ask again.

    Examples
    --------
    >>> async def wait():
    ...     desk = DecisionDesk(remember=60.0)
    ...     waiting = desk.await_("t1")
    ...     desk.decided(decision, now=0.0)
    ...     return (await waiting).decision, desk.known("t1", now=59.0).decision, desk.known("t1", now=61.0)
    >>> decision = DecisionRecord(
    ...     transaction_id="t1", timestamp="2026-01-01T00:00:00.000Z", account="ann", counterparty="shop", amount=1.0,
    ...     decision="approve", fraud_score=0.0, p_value=1.0, labels_learned=0, frauds_learned=0,
    ... )
    >>> asyncio.run(wait())
    ('approve', 'approve', None)

    """

    def __init__(self, remember: float) -> None:
        self._remember = remember
        self._waiting: dict[str, list[asyncio.Future[Answer]]] = {}
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._places: dict[str, tuple[int, int]] = {}
        self._sent: dict[tuple[int, int] | None, str] = {}
        self._letters: OrderedDict[tuple[int, int], DeadLetter] = OrderedDict()

    def known(self, transaction_id: str, now: float) -> DecisionRecord | None:
        """Return a decision of late, ``None`` if there is none."""
        known = self._known.get(transaction_id)
        return None if known is None or known.until < now else known.record

    def is_awaited(self, transaction_id: str) -> bool:
        """Say whether anybody waits for a decision."""
        return transaction_id in self._waiting

    def await_(self, transaction_id: str) -> asyncio.Future[Answer]:
        """Return what will hold the answer."""
        waiting: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(transaction_id, []).append(waiting)
        return waiting

    def give_up(self, transaction_id: str, waiting: asyncio.Future[Answer]) -> None:
        """Let somebody wait no more."""
        others = [one for one in self._waiting.pop(transaction_id, []) if one is not waiting]
        if others:
            self._waiting[transaction_id] = others
        else:
            self._sent.pop(self._places.pop(transaction_id, None), None)

    def sent(self, transaction_id: str, partition: int, offset: int) -> None:
        """Note where a transaction stands: a dead letter knows only that."""
        letter = self._letters.get((partition, offset))
        if letter is not None:  # it was faster than Kafka's acknowledgement
            self._answer(transaction_id, letter)
        elif transaction_id in self._waiting:
            self._places[transaction_id] = partition, offset
            self._sent[partition, offset] = transaction_id

    def decided(self, record: DecisionRecord, now: float) -> None:
        """Take in a decision."""
        self._known[record.transaction_id] = _Known(now + self._remember, record)
        self._known.move_to_end(record.transaction_id)
        while self._known and next(iter(self._known.values())).until < now:
            self._known.popitem(last=False)
        self._answer(record.transaction_id, record)

    def refused(self, letter: DeadLetter) -> None:
        """Take in a dead letter."""
        if letter.topic != "transactions":
            return
        place = letter.partition, letter.offset
        self._letters[place] = letter
        if len(self._letters) > LETTERS:
            self._letters.popitem(last=False)
        if place in self._sent:
            self._answer(self._sent[place], letter)

    def _answer(self, transaction_id: str, answer: Answer) -> None:
        for waiting in self._waiting.get(transaction_id, ()):
            if not waiting.done():
                waiting.set_result(answer)
