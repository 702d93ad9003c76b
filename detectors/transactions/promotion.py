"""When a challenger is better than the champion: by a margin, with confidence, however often one looks."""

from __future__ import annotations

import math
from typing import Literal

import msgspec
from pydantic import BaseModel, ConfigDict, Field

from detectors.transactions.evidence import STAKES, Evidence

Verdict = Literal["undecided", "better"]


class PromotionSettings(BaseModel):
    """When a challenger takes the champion's place."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    automatic: bool = Field(
        False, description="Whether a challenger that is better is promoted at once, in each partition by itself"
    )
    margin: float = Field(
        0.01, ge=0, lt=1, description="Share by which a challenger's loss must be below the champion's"
    )
    confidence: float = Field(
        0.99,
        ge=0.5,
        lt=1,
        description="Probability that no challenger is promoted which is not better, over a champion's whole time",
    )
    minimum_labels: int = Field(2_000, ge=1, description="Labelled transactions to compare before any promotion")
    minimum_frauds: int = Field(30, ge=1, description="Frauds among them")


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """How a challenger compares with the champion.

    Parameters
    ----------
    champion
        With whom it is compared.
    labels, frauds
        Transactions that both have scored, and whose truth is known, since this comparison began; frauds among them.
    advantage
        Share by which the challenger's loss is below the champion's; negative if it is above.
    p_value
        How improbable so much evidence would be if it were not better by the margin, in 0…1; it holds whenever one
        looks.
    verdict
        Whether the challenger is ``better``, or that is ``undecided`` yet.
    lost
        How often it was proven worse than this champion; each time the comparison began anew.

    """

    champion: str
    labels: int
    frauds: int
    advantage: float
    p_value: float
    verdict: Verdict
    lost: int


class TrialState(msgspec.Struct, array_like=True, frozen=True):
    """A trial as plain values."""

    lost: int
    labels: int
    frauds: int
    losses: tuple[float, float]
    better: list[float]
    worse: list[float]


BEGINNING = TrialState(0, 0, 0, (0.0, 0.0), [0.0] * len(STAKES), [0.0] * len(STAKES))


class Trial:
    """One challenger's comparison with the champion, transaction by transaction as labels come.

    The loss of a score is its squared distance from the truth (Brier). It is what decisions would have cost, averaged
    over all thresholds between 0 and 1 (Schervish 1989). Weighing frauds up until both classes count the same was
    tried: it judges thresholds near the share of frauds, where nobody decides, and needed several times the labels.

    A challenger is better if its loss is smaller than the champion's by the margin: the observations bet on are
    ``(1 - margin) · champion's loss - challenger's loss``. If it is proven worse, the comparison begins anew, so that
    a past that was bad does not have to be made good. Each further one has a smaller share of the error that is
    allowed: half, a sixth, a twelfth …

    Parameters
    ----------
    settings
        The gate.
    rivals
        How many challengers there are; they share the error that is allowed.
    saved
        As ``snapshot`` gave it.

    References
    ----------
    Schervish, M. J. (1989). A General Method for Comparing Probability Assessors. Annals of Statistics 17(4).
    https://doi.org/10.1214/aos/1176347398

    Examples
    --------
    >>> trial = Trial(PromotionSettings(minimum_labels=100, minimum_frauds=10), rivals=1)
    >>> for i in range(600):
    ...     fraud = i % 20 == 0
    ...     trial.judge(champion=0.1, challenger=0.9 if fraud else 0.05, fraud=fraud)
    >>> trial.verdict()
    'better'

    """

    def __init__(self, settings: PromotionSettings, rivals: int, saved: TrialState | None = None) -> None:
        self._settings = settings
        self._rivals = rivals
        saved = saved or BEGINNING
        self._lost, self._labels, self._frauds, self._losses = saved.lost, saved.labels, saved.frauds, saved.losses
        self._better, self._worse = Evidence(saved.better), Evidence(saved.worse)

    def judge(self, *, champion: float, challenger: float, fraud: bool) -> None:
        """Take in the truth about a transaction, and the scores that both gave before it was known."""
        ours, theirs = (challenger - fraud) ** 2, (champion - fraud) ** 2
        self._labels += 1
        self._frauds += fraud
        self._losses = self._losses[0] + theirs, self._losses[1] + ours
        self._better.observe((1.0 - self._settings.margin) * theirs - ours)
        self._worse.observe(ours - theirs)
        if self._worse.log_value() >= self._needed:
            self._begin_anew()

    @property
    def _needed(self) -> float:
        """Logarithm of the evidence that is asked for."""
        error = (1.0 - self._settings.confidence) / self._rivals / ((self._lost + 1) * (self._lost + 2))
        return -math.log(error)

    def verdict(self) -> Verdict:
        """Return what has been shown so far."""
        settings = self._settings
        enough = self._labels >= settings.minimum_labels and self._frauds >= settings.minimum_frauds
        return "better" if enough and self._better.log_value() >= self._needed else "undecided"

    def comparison(self, champion: str) -> Comparison:
        """Return how the challenger compares with this champion."""
        theirs, ours = self._losses
        allowed = math.log(1.0 - self._settings.confidence) + self._needed
        return Comparison(
            champion=champion,
            labels=self._labels,
            frauds=self._frauds,
            advantage=1.0 - ours / theirs if theirs else 0.0,
            p_value=math.exp(min(allowed - self._better.log_value(), 0.0)),
            verdict=self.verdict(),
            lost=self._lost,
        )

    def snapshot(self) -> TrialState:
        """Return the state as plain values."""
        better, worse = self._better.snapshot(), self._worse.snapshot()
        return TrialState(self._lost, self._labels, self._frauds, self._losses, better, worse)

    def _begin_anew(self) -> None:
        self._lost += 1
        self._labels, self._frauds, self._losses = 0, 0, (0.0, 0.0)
        self._better, self._worse = Evidence(), Evidence()
