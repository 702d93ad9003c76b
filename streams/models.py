"""The schema of topic ``models``: what role each fraud model has in a partition, and how good it has been."""

from __future__ import annotations

import math
from typing import Literal

import msgspec

from alerts.alert import iso
from detectors.transactions.classifier import AdditiveLogisticRegression
from detectors.transactions.contest import CONFIGURATION, DEFAULT, Standing
from detectors.transactions.drift import Drift, Kind
from detectors.transactions.prequential import Measures
from detectors.transactions.promotion import Comparison
from streams.processor import Output, Record

TOPIC = "models"
TYPE = "tocsin.model.v1"


class DriftRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A drift: labels have shown that frauds do not come as often as the model foretold.

    Parameters
    ----------
    kind
        ``missed``: among payments that are let pass there are more; ``false_alarms``: among those stopped, fewer.
    at
        Event time, ISO 8601.
    labels
        Labels of such payments since the change most probably came.
    foretold, seen
        How many frauds were expected among them, and how many there were.

    """

    kind: Kind
    at: str
    labels: int
    foretold: float
    seen: int

    @classmethod
    def of(cls, drift: Drift) -> DriftRecord:
        """Return what is told of a drift."""
        return cls(kind=drift.kind, at=iso(drift.at), labels=drift.labels, foretold=drift.foretold, seen=drift.seen)


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
    drift
        The last time that events overtook the champion, so that it learns faster; null if they never did, and of
        challengers.

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
    drift: DriftRecord | None = None

    def encode(self) -> bytes:
        """Return the JSON value; the same standing always gives the same bytes."""
        return msgspec.json.encode(self)

    @classmethod
    def decode(cls, value: bytes) -> ModelRecord:
        """Return the record that ``encode`` wrote."""
        return msgspec.json.decode(value, type=cls)


def alone(classifier: AdditiveLogisticRegression) -> Standing:
    """Return the standing of a model without challengers, by which nobody measures it."""
    return Standing(DEFAULT, "champion", 1, -math.inf, CONFIGURATION, None, classifier, None, None)


def told(standing: Standing, partition: int, cause: Record, drift: Drift | None = None) -> Output:
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
        drift=DriftRecord.of(drift) if drift is not None and standing.role == "champion" else None,
    )
    return Output(TOPIC, standing.model.encode(), record.encode(), TYPE, cause)
