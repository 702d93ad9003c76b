"""When labels say that a model's probabilities are no longer right, and it must learn faster."""

from __future__ import annotations

import math
from typing import Literal

import msgspec
from pydantic import BaseModel, ConfigDict, Field

LEAST = 1e-4
"""Probabilities below count as this much: a single fraud among what is thought impossible proves nothing."""

MOST = 0.95
Kind = Literal["missed", "false_alarms"]


class DriftSettings(BaseModel):
    """When a model counts as overtaken by events, and what is done about it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    enabled: bool = Field(True, description="Whether labels are watched for drift")
    tolerance: float = Field(
        2.0, ge=1, le=10, description="How many times as many frauds as foretold, or as few, are no drift yet"
    )
    labels_between_false_alarms: float = Field(
        1e6, ge=1_000, description="Labels that come on average before a drift is seen where there is none, at least"
    )
    faster: float = Field(
        4.0, ge=1, le=100, description="How many times larger the model's steps become; they shrink again as it learns"
    )


class Drift(msgspec.Struct, frozen=True, kw_only=True):
    """A drift that was seen.

    Parameters
    ----------
    kind
        ``missed``: among payments that would be let pass, more are frauds than foretold; ``false_alarms``: among those
        that would be stopped, fewer are.
    at
        Event time at which it was seen, epoch seconds.
    labels
        Labels of such payments since the change most probably came.
    foretold, seen
        How many frauds the model expected among them, and how many there were.

    """

    kind: Kind
    at: float
    labels: int
    foretold: float
    seen: int


class _Watch(msgspec.Struct, array_like=True):
    """One direction: the evidence, and what there was since the change most probably came.

    ``log_odds`` is what speaks for a change since then (Page's cumulative sum); at zero, it has not come yet.
    """

    evidence: float = 0.0
    log_odds: float = 0.0
    labels: int = 0
    foretold: float = 0.0
    seen: int = 0

    def weigh(self, foretold: float, ratio: float, *, fraud: bool) -> None:
        """Take a label that is so many times as probable if there is a drift."""
        self.evidence = (1.0 + self.evidence) * ratio
        self.log_odds += math.log(ratio)
        self.labels, self.foretold, self.seen = self.labels + 1, self.foretold + foretold, self.seen + fraud
        if self.log_odds <= 0.0:
            self.log_odds, self.labels, self.foretold, self.seen = 0.0, 0, 0.0, 0

    def begin_anew(self) -> None:
        """Forget all that was seen."""
        self.evidence = self.log_odds = self.foretold = 0.0
        self.labels = self.seen = 0


class DriftState(msgspec.Struct, array_like=True):
    """A detector of drift as plain values."""

    missed: _Watch
    false_alarms: _Watch
    last: Drift | None = None


class DriftDetector:
    """Watches whether frauds come as often as a model foretells.

    Each label multiplies the evidence by how much more probable it is if frauds come three times as often as tolerated
    (or a third as often) than if they come as often as tolerated; before, one is added: any label may be the first
    after a change. That is Shiryaev's and Roberts' procedure. While no more come than tolerated, its mean is at most
    the number of labels, so on average at least as many labels come before a false alarm as the threshold says,
    whatever the payments are.

    The probabilities must be those of the present model before it learns the label: a model that keeps up by itself has
    no drift.

    Parameters
    ----------
    settings
        What is tolerated.
    stops_at
        Probability from which on a payment would be stopped.
    state
        As ``snapshot`` gave it.

    Attributes
    ----------
    last
        The last drift that was seen.

    References
    ----------
    Roberts, S. W. (1966). A Comparison of Some Control Chart Procedures. Technometrics 8(3).
    https://doi.org/10.1080/00401706.1966.10490374
    Shin, J., Ramdas, A., Rinaldo, A. (2024). E-detectors: a nonparametric framework for sequential change detection.
    The New England Journal of Statistics in Data Science 2(2). https://doi.org/10.51387/23-NEJSDS51

    Examples
    --------
    >>> drift = DriftDetector(DriftSettings(), stops_at=0.1)
    >>> any(drift.judge(0.01, fraud=i % 100 == 0, at=i) for i in range(20_000))
    False
    >>> next(found for i in range(2_000) if (found := drift.judge(0.01, fraud=i % 10 == 0, at=i))).kind
    'missed'

    """

    def __init__(self, settings: DriftSettings, stops_at: float, state: DriftState | None = None) -> None:
        self._settings, self._stops_at = settings, stops_at
        state = state or DriftState(_Watch(), _Watch())
        self._missed, self._false_alarms, self.last = state.missed, state.false_alarms, state.last

    def judge(self, probability: float, *, fraud: bool, at: float) -> Drift | None:
        """Take a label, and return the drift that it proves; the count begins anew then.

        Parameters
        ----------
        probability
            Of fraud, by the model before it learns the label.
        fraud
            The label.
        at
            Event time of now, epoch seconds.

        """
        kind: Kind = "missed"
        tolerance, watch = self._settings.tolerance, self._missed
        if probability < self._stops_at:
            tolerated = min(max(probability, LEAST) * tolerance, MOST / 3.0)
            drifted = 3.0 * tolerated
        else:
            kind, watch = "false_alarms", self._false_alarms
            tolerated = probability / tolerance
            drifted = tolerated / 3.0
        watch.weigh(probability, drifted / tolerated if fraud else (1.0 - drifted) / (1.0 - tolerated), fraud=fraud)
        if watch.evidence < self._settings.labels_between_false_alarms:
            return None
        self.last = Drift(kind=kind, at=at, labels=watch.labels, foretold=watch.foretold, seen=watch.seen)
        watch.begin_anew()
        return self.last

    def snapshot(self) -> DriftState:
        """Return the state."""
        return DriftState(self._missed, self._false_alarms, self.last)
