"""The schema of topic ``models``: what role each fraud model has in a partition, and how good it has been."""

from __future__ import annotations

import math
from typing import Literal

import msgspec

from alerts.alert import iso
from detectors.transactions.contest import Standing
from detectors.transactions.prequential import Measures
from detectors.transactions.promotion import Comparison
from streams.processor import Output, Record

TOPIC = "models"
TYPE = "tocsin.model.v1"


class ModelRecord(msgspec.Struct, frozen=True, kw_only=True):
    """The JSON value of topic ``models``; its key is the model's name, and each partition has its own.

    Parameters
    ----------
    model
        The model's name; ``default`` is that of ``transactions.model``.
    partition
        Of topic ``transactions``.
    role
        ``champion`` decides, a ``challenger`` is scored beside it, one that is ``removed`` is no longer configured.
    version
        Counts the champions that the partition has had.
    since
        Event time since which the model has this role, ISO 8601; null before the first transaction.
    by
        Who says so: a person, ``automatic``, or ``configuration``.
    reason
        Why.
    labels_learned, frauds_learned
        How many labels it has learned, and how many of them were frauds.
    measures
        How good its scores have been.
    comparison
        How a challenger compares with the champion; of one that was promoted, how it compared with the one before.

    """

    model: str
    partition: int
    role: Literal["champion", "challenger", "removed"]
    version: int
    since: str | None
    by: str
    reason: str | None = None
    labels_learned: int = 0
    frauds_learned: int = 0
    measures: Measures | None = None
    comparison: Comparison | None = None

    def encode(self) -> bytes:
        """Return the JSON value; the same standing always gives the same bytes."""
        return msgspec.json.encode(self)

    @classmethod
    def decode(cls, value: bytes) -> ModelRecord:
        """Return the record that ``encode`` wrote."""
        return msgspec.json.decode(value, type=cls)


def told(standing: Standing, partition: int, cause: Record) -> Output:
    """Return what tells of a model's standing, for topic ``models``."""
    learned = standing.classifier.learned if standing.classifier else [0, 0]
    record = ModelRecord(
        model=standing.model,
        partition=partition,
        role=standing.role,
        version=standing.version,
        since=iso(standing.since) if math.isfinite(standing.since) else None,
        by=standing.by,
        reason=standing.reason,
        labels_learned=sum(learned),
        frauds_learned=learned[True],
        measures=standing.measures,
        comparison=standing.comparison,
    )
    return Output(TOPIC, standing.model.encode(), record.encode(), TYPE, cause)
