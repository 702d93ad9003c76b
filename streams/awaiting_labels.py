"""Transactions that wait for their label, with the features as they were when they were decided."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence

import msgspec

from detectors.transactions.model import laid_out
from streams.atomic_states import AtomicStates, Change


class Awaiting(msgspec.Struct, array_like=True):
    """A decided transaction; ``label`` is ``None`` until it comes, and ``features`` are dropped then.

    ``scores`` are what the models of a contest said of it, by their numbers.
    """

    offset: int
    timestamp: float
    account: str
    counterparty: str
    amount: float
    features: bytes
    label: bool | None = None
    scores: dict[int, float] | None = None

    @property
    def entities(self) -> tuple[str, ...]:
        """Entities of declared features for which the label counts."""
        return ()


class AwaitingDeclared(Awaiting):
    """One with values of declared features; ``layout`` is the number of these in the list that is stored."""

    layout: int = 0
    entities: tuple[str, ...] = ()


LAYOUTS = "layouts"
"""Key of the lists of declared features, by number; the first is empty."""


class AwaitingLabels:
    """Recent transactions of a shard by id, bounded in time and number.

    Parameters
    ----------
    seconds
        Event time after which no label is expected any more.
    limit
        Number of transactions above which the oldest are given up.
    states
        Where they were stored.
    declared
        Names of the declared features. Transactions that waited before they were declared lack them.

    """

    def __init__(self, seconds: float, limit: int, states: AtomicStates, declared: Sequence[str] = ()) -> None:
        self._seconds = seconds
        self._limit = limit
        self._layouts_stored = states.get(LAYOUTS)
        self._layouts: list[list[str]] = msgspec.msgpack.decode(self._layouts_stored) if self._layouts_stored else [[]]
        if list(declared) not in self._layouts:
            self._layouts.append(list(declared))
        self.layout = self._layouts.index(list(declared))
        """Number of the declared features in the list of all that there were."""
        kind: type[Awaiting] = AwaitingDeclared if len(self._layouts) > 1 else Awaiting
        found = [(msgspec.msgpack.decode(state, type=kind), key) for key, state in states.items("awaiting/")]
        for awaiting, _ in found:
            if isinstance(awaiting, AwaitingDeclared) and awaiting.layout != self.layout and awaiting.features:
                awaiting.features = laid_out(awaiting.features, self._layouts[awaiting.layout], declared)
        found.sort(key=lambda item: item[0].offset)
        self._by_id = {key.removeprefix("awaiting/"): awaiting for awaiting, key in found}
        self._stored_labels = {
            key.removeprefix("labelled/"): msgspec.msgpack.decode(state, type=bool)
            for key, state in states.items("labelled/")
        }
        for transaction_id, label in self._stored_labels.items():
            if transaction_id in self._by_id:
                self._note(transaction_id, label)
        self._oldest = deque(self._by_id)
        self._stored = set(self._by_id)
        self._added: dict[str, None] = {}
        self._labelled: dict[str, None] = {}
        self._removed: list[str] = []

    def __len__(self) -> int:
        return len(self._by_id)

    def get(self, transaction_id: str) -> Awaiting | None:
        """Return a transaction that has been decided not long ago."""
        return self._by_id.get(transaction_id)

    def add(self, transaction_id: str, awaiting: Awaiting) -> None:
        """Begin to wait for a label."""
        self._by_id[transaction_id] = awaiting
        self._oldest.append(transaction_id)
        self._added[transaction_id] = None

    def settle(self, transaction_id: str, *, label: bool) -> None:
        """Note that the label has come, or has been corrected."""
        self._note(transaction_id, label)
        if transaction_id in self._stored:
            self._labelled[transaction_id] = None

    def expire(self, now: float) -> int:
        """Give up what has waited too long, and return how many of them never got a label."""
        unlabelled = 0
        while self._oldest and (
            len(self._by_id) > self._limit or self._by_id[self._oldest[0]].timestamp < now - self._seconds
        ):
            transaction_id = self._oldest.popleft()
            unlabelled += self._by_id.pop(transaction_id).label is None
            self._added.pop(transaction_id, None)
            self._labelled.pop(transaction_id, None)
            if transaction_id in self._stored:
                self._removed.append(transaction_id)
        return unlabelled

    def changes(self) -> Iterator[Change]:
        """Return what has changed since the last call.

        A transaction is written once. Its label is a key of its own, which is short and may be corrected.
        """
        layouts = msgspec.msgpack.encode(self._layouts)
        if len(self._layouts) > 1 and layouts != self._layouts_stored:
            yield LAYOUTS, layouts, self._layouts_stored
            self._layouts_stored = layouts
        for transaction_id in self._removed:
            self._stored.discard(transaction_id)
            yield f"awaiting/{transaction_id}", None, None
            if self._stored_labels.pop(transaction_id, None) is not None:
                yield f"labelled/{transaction_id}", None, None
        for transaction_id in self._added:
            yield f"awaiting/{transaction_id}", msgspec.msgpack.encode(self._by_id[transaction_id]), None
        for transaction_id in self._labelled:
            label, before = self._by_id[transaction_id].label, self._stored_labels.get(transaction_id)
            yield (
                f"labelled/{transaction_id}",
                msgspec.msgpack.encode(label),
                None if before is None else msgspec.msgpack.encode(before),
            )
            self._stored_labels[transaction_id] = bool(label)
        self._stored.update(self._added)
        self._added, self._labelled, self._removed = {}, {}, []

    def _note(self, transaction_id: str, label: bool) -> None:
        awaiting = self._by_id[transaction_id]
        awaiting.label, awaiting.features, awaiting.scores = label, b"", None
