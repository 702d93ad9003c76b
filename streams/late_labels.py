"""Labels that wait for their time: applied in one order, however they arrived."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from typing import NamedTuple


class LateLabel(NamedTuple):
    """A label as it came, in the order in which labels are applied."""

    timestamp: float
    id: str
    partition: int
    offset: int
    produced_at: float
    label: bool


class LateLabels:
    """Holds labels back until the stream of transactions has reached them.

    A label is due when the transactions have reached its event time, and their records are later than the
    label's. So it makes no difference how early it was read, and a replay applies every label before
    the same transaction as the first run did.

    Examples
    --------
    >>> labels = LateLabels()
    >>> labels.add(LateLabel(10.0, "b", 0, 0, 12.0, True))
    >>> labels.add(LateLabel(10.0, "a", 0, 1, 12.0, False))
    >>> [label.id for label in labels.due(event_time=11.0, produced_at=12.0)]
    []
    >>> [label.id for label in labels.due(event_time=11.0, produced_at=13.0)]
    ['a', 'b']

    """

    def __init__(self) -> None:
        self._not_yet_produced: list[tuple[float, LateLabel]] = []
        self._not_yet_due: list[LateLabel] = []

    def __len__(self) -> int:
        return len(self._not_yet_produced) + len(self._not_yet_due)

    def __iter__(self) -> Iterator[LateLabel]:
        yield from (label for _, label in self._not_yet_produced)
        yield from self._not_yet_due

    def add(self, label: LateLabel) -> None:
        """Take in a label."""
        heapq.heappush(self._not_yet_produced, (label.produced_at, label))

    def due(self, event_time: float, produced_at: float) -> Iterator[LateLabel]:
        """Give out the labels that have become due, in the order of their times and ids."""
        while self._not_yet_produced and self._not_yet_produced[0][0] < produced_at:
            heapq.heappush(self._not_yet_due, heapq.heappop(self._not_yet_produced)[1])
        while self._not_yet_due and self._not_yet_due[0].timestamp <= event_time:
            yield heapq.heappop(self._not_yet_due)
