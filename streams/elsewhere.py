"""Payments that other partitions decide: what their labels say of a counterparty counts in every partition."""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Iterator

import msgspec

from detectors.transactions.declared import Facts
from streams.atomic_states import AtomicStates, Change
from streams.settling import counts_after

PAYMENTS, LABELS = "elsewhere/", "elsewhere-labels/"
"""What the keys of stored payments, and of what their labels were, begin with."""

FACTS = "elsewhere-facts"
"""Key of what declared features go by in payments that do not count yet."""


class PaymentElsewhere(msgspec.Struct, array_like=True, gc=False):
    """A payment that another partition decides; ``label`` is ``None`` until it comes.

    ``entities`` are those of declared features for which the label counts.
    """

    counterparty: str
    timestamp: float
    amount: float
    label: bool | None = None
    number: int = 0
    entities: tuple[str, ...] = ()


class _Row(msgspec.Struct, array_like=True):
    """A payment as it is stored."""

    transaction_id: str
    counterparty: str
    timestamp: float
    amount: float
    entities: tuple[str, ...] = ()


class _Heard(msgspec.Struct, array_like=True, gc=False, order=True):
    """A payment that was read and counts as known once the shard's own records are later than ``known_at``."""

    known_at: float
    partition: int
    offset: int
    transaction_id: str
    counterparty: str
    timestamp: float
    amount: float


class _HeardFacts(msgspec.Struct, array_like=True):
    """What declared features go by in a payment that is not known yet, and the entities for which its label counts."""

    partition: int
    offset: int
    facts: Facts
    entities: tuple[str, ...]


_Settling = tuple[float, int, int, float, Facts]
"""When a known payment counts for declared features, its partition and offset, its event time, and its facts."""


class _FactsState(msgspec.Struct, array_like=True):
    heard: list[_HeardFacts]
    settling: list[_Settling]


class ElsewhereState(msgspec.Struct, array_like=True, frozen=True):
    """What a checkpoint tells of the payments elsewhere beside those themselves."""

    first: int
    next_labels: int
    produced_at: list[tuple[int, float]]
    heard: list[_Heard]


class PaymentsElsewhere:
    """Recent payments of the other partitions by id, bounded in time and number.

    A payment is known from the moment at which this partition's records are later than it and all before it in its
    own partition, by Kafka's record timestamps. So it makes no difference how early it was read, and a replay knows
    it at the same record. Payments are stored in lots, one for each checkpoint; so are the labels that came.

    For declared features a payment counts ``SETTLING`` seconds later: they go by payments of a moment ago, and one may
    still be on its way to Kafka when this partition decides.

    Parameters
    ----------
    seconds
        Event time after which no label is expected any more.
    limit
        Number of payments above which the oldest are given up.
    states
        Where they were stored.
    saved
        What the last checkpoint told.

    Examples
    --------
    >>> payments = PaymentsElsewhere(86_400.0, 1000, AtomicStates({}, "shard"), None)
    >>> payments.hear(1, 0, 100.0, "t1", PaymentElsewhere("shop", 99.0, 20.0))
    >>> payments.reach(100.0), payments.get("t1")
    ([], None)
    >>> payments.reach(101.0), payments.get("t1").counterparty
    ([], 'shop')

    """

    def __init__(self, seconds: float, limit: int, states: AtomicStates, saved: ElsewhereState | None) -> None:
        self._seconds = seconds
        self._limit = limit
        self._by_id: dict[str, PaymentElsewhere] = {}
        self._oldest: deque[str] = deque()
        self._first = saved.first if saved else 0
        self._next_labels = saved.next_labels if saved else 0
        self._produced_at = dict(saved.produced_at) if saved else {}
        self._heard = list(saved.heard) if saved else []
        self._facts_stored = states.get(FACTS)
        facts = msgspec.msgpack.decode(self._facts_stored, type=_FactsState) if self._facts_stored else None
        self._facts = {(one.partition, one.offset): one for one in facts.heard} if facts else {}
        self._settling = facts.settling if facts else []
        self._labelled: dict[str, bool] = {}
        self._lots: deque[int] = deque()
        self._label_lots: deque[tuple[int, int]] = deque()
        self._stored = self._first
        stored = sorted(states.items(PAYMENTS, LABELS))  # one look through all that there is
        for key, state in stored:
            if key.startswith(PAYMENTS):
                self._take_up(int(key.removeprefix(PAYMENTS)), state)
        for key, state in stored:
            if key.startswith(LABELS):
                self._take_up_labels(int(key.removeprefix(LABELS)), state)

    def __len__(self) -> int:
        return len(self._by_id)

    def pass_over(self, partition: int, produced_at: float) -> None:
        """Note that a record was read which is no payment."""
        self._produced_at[partition] = max(produced_at, self._produced_at.get(partition, -math.inf))

    def hear(
        self,
        partition: int,
        offset: int,
        produced_at: float,
        transaction_id: str,
        payment: PaymentElsewhere,
        facts: Facts | None = None,
    ) -> None:
        """Take in a payment, in the order of its partition, and what declared features go by in it."""
        self.pass_over(partition, produced_at)
        heard = _Heard(
            self._produced_at[partition],
            partition,
            offset,
            transaction_id,
            payment.counterparty,
            payment.timestamp,
            payment.amount,
        )
        heapq.heappush(self._heard, heard)
        if facts is not None:
            self._facts[partition, offset] = _HeardFacts(partition, offset, facts, payment.entities)

    def reach(self, produced_at: float) -> list[tuple[float, Facts]]:
        """Know the payments that are earlier than a record of this partition.

        Returns
        -------
        list
            Time and facts of those that count for declared features from now on, in the order in which they do.

        """
        while self._heard and self._heard[0].known_at < produced_at:
            heard = heapq.heappop(self._heard)
            found = self._facts.pop((heard.partition, heard.offset), None)
            if heard.transaction_id not in self._by_id:
                payment = PaymentElsewhere(heard.counterparty, heard.timestamp, heard.amount)
                if found is not None:
                    payment.entities = found.entities
                    place = heard.partition, heard.offset
                    counts = counts_after(heard.known_at)
                    heapq.heappush(self._settling, (counts, *place, heard.timestamp, found.facts))
                self._add(heard.transaction_id, payment)
        counting = []
        while self._settling and self._settling[0][0] < produced_at:
            *_, timestamp, facts = heapq.heappop(self._settling)
            counting.append((timestamp, facts))
        return counting

    def get(self, transaction_id: str) -> PaymentElsewhere | None:
        """Return a payment that is known and not long ago."""
        return self._by_id.get(transaction_id)

    def settle(self, transaction_id: str, *, label: bool) -> None:
        """Note that the label has come, or has been corrected."""
        self._by_id[transaction_id].label = label
        self._labelled[transaction_id] = label

    def expire(self, now: float) -> None:
        """Give up what has waited too long."""
        while self._oldest and (
            len(self._by_id) > self._limit or self._by_id[self._oldest[0]].timestamp < now - self._seconds
        ):
            gone = self._oldest.popleft()
            del self._by_id[gone]
            self._labelled.pop(gone, None)
            self._first += 1

    def state(self) -> ElsewhereState:
        """Return what a checkpoint must tell beside the changes, once these have been taken."""
        return ElsewhereState(self._first, self._next_labels, sorted(self._produced_at.items()), sorted(self._heard))

    def changes(self) -> Iterator[Change]:
        """Return what has changed since the last call."""
        yield from self._gone()
        yield from self._changed_facts()
        end = self._first + len(self._oldest)
        start = max(self._stored, self._first)
        if start < end:
            added = [self._row(transaction_id) for transaction_id in list(self._oldest)[start - end :]]
            self._lots.append(start)
            yield _key(PAYMENTS, start), msgspec.msgpack.encode(added), None
        self._stored = end
        if self._labelled:
            last = max(self._by_id[transaction_id].number for transaction_id in self._labelled)
            self._label_lots.append((self._next_labels, last))
            yield _key(LABELS, self._next_labels), msgspec.msgpack.encode(self._labelled), None
            self._next_labels += 1
        self._labelled = {}

    def _changed_facts(self) -> Iterator[Change]:
        heard = [self._facts[place] for place in sorted(self._facts)]
        kept = _FactsState(heard, sorted(self._settling, key=lambda one: one[:3])) if heard or self._settling else None
        facts = None if kept is None else msgspec.msgpack.encode(kept)
        if facts != self._facts_stored:
            yield FACTS, facts, self._facts_stored
            self._facts_stored = facts

    def _gone(self) -> Iterator[Change]:
        # A lot ends where the next one begins, at the latest where storing has come.
        while self._lots and (self._lots[1] if len(self._lots) > 1 else self._stored) <= self._first:
            yield _key(PAYMENTS, self._lots.popleft()), None, None
        while self._label_lots and self._label_lots[0][1] < self._first:
            yield _key(LABELS, self._label_lots.popleft()[0]), None, None

    def _row(self, transaction_id: str) -> tuple[object, ...]:
        payment = self._by_id[transaction_id]
        row = transaction_id, payment.counterparty, payment.timestamp, payment.amount
        return (*row, payment.entities) if payment.entities else row

    def _add(self, transaction_id: str, payment: PaymentElsewhere) -> None:
        payment.number = self._first + len(self._oldest)
        self._by_id[transaction_id] = payment
        self._oldest.append(transaction_id)

    def _take_up(self, start: int, state: bytes) -> None:
        rows = msgspec.msgpack.decode(state, type=list[_Row])
        self._lots.append(start)
        for number, row in enumerate(rows, start):
            if number >= self._first:
                payment = PaymentElsewhere(row.counterparty, row.timestamp, row.amount, entities=row.entities)
                self._add(row.transaction_id, payment)
        self._stored = max(start + len(rows), self._first)

    def _take_up_labels(self, number: int, state: bytes) -> None:
        last = -1
        for transaction_id, label in msgspec.msgpack.decode(state, type=dict[str, bool]).items():
            payment = self._by_id.get(transaction_id)
            if payment is not None:
                payment.label = label
                last = max(last, payment.number)
        self._label_lots.append((number, last))


def _key(prefix: str, number: int) -> str:
    return f"{prefix}{number:016d}"
