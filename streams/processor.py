"""What goes in and comes out of the functional core: one processor for one partition of an input topic."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import msgspec

NOT_PRODUCED = -1.0
"""Kafka's record timestamp where there is none: no event is ahead of it, and no silence is measured by it."""


class Record(msgspec.Struct, frozen=True, gc=False):
    """One record as Kafka holds it.

    Parameters
    ----------
    topic
        Logical topic name, without the configured prefix.
    partition, offset
        The record's position.
    timestamp
        Kafka's record timestamp (when it was produced), epoch seconds. It stands for the wall clock, so that
        a replay decides as the live run did.
    key, value
        Bytes as produced.

    """

    topic: str
    partition: int
    offset: int
    timestamp: float
    key: bytes | None
    value: bytes | None


class Output(msgspec.Struct, frozen=True, gc=False):
    """One record to publish, with the input record that caused it.

    An output goes to the partition of the same number as its cause, in the order of causes: so the end of
    an output partition tells after a crash what has been published already.
    """

    topic: str
    key: bytes
    value: bytes
    type: str
    cause: Record


@dataclass(slots=True)
class Result:
    """What a batch led to: outputs in the order of their causes, how many events had which outcome, their scores.

    ``held`` counts the alerts that did not fire, by what holds them back; ``forgotten`` the sources or accounts
    that were.
    """

    outputs: list[Output] = field(default_factory=list)
    outcomes: Counter[str] = field(default_factory=Counter)
    scores: list[float] = field(default_factory=list)
    held: Counter[str] = field(default_factory=Counter)
    forgotten: int = 0


class Processor(Protocol):
    """All that Tocsin does with one partition of one input topic, as a function of its records.

    A processor knows neither Kafka nor a clock. It reads a key's state from the mapping it was made with when
    the key first appears, keeps it in memory, and hands changed states out at a checkpoint. A state remembers
    the offset it has learned up to, so records that come again after a crash change nothing.
    """

    broadcasts: tuple[str, ...]
    """Topics of which every processor reads all partitions, such as ``labels``.

    Of its own input topic it reads the others, no further than its own records have come."""

    detector: str
    """Name of what scores the events, for the metrics; one of a few."""

    def models(self) -> int:
        """Return how many models are in memory."""

    def kept_bytes(self) -> int:
        """Return about how many bytes the states in memory take."""

    def put_away(self, down_to: int) -> int:
        """Let states leave memory until no more than so many bytes are left, and return how many went.

        Only states that have not changed since they were stored go.
        """

    def process(self, records: Sequence[Record]) -> Result:
        """Process records in the order of their offsets."""

    def absorb(self, records: Sequence[Record]) -> Result:
        """Take in records of the broadcast topics; those taken in before are ignored."""

    def absorbed(self) -> Mapping[tuple[str, int], int]:
        """Last offset taken in, by broadcast topic and partition."""

    def tick(self, now: float) -> Result:
        """Say what is due by ``now``, in the time of record timestamps: sources that have fallen silent."""

    def changes(self) -> Iterable[tuple[str, bytes | None]]:
        """Return the states changed since the last call; ``None`` for a state that is gone."""
