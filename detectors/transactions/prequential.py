"""How good fraud scores have been lately, judged one label at a time."""

from __future__ import annotations

import math

import msgspec
import numpy as np

from detectors.base import SnapshotError

BINS, LOWEST, WIDTH = 64, -8.0, 0.25
"""Scores are counted by their log-odds; those beyond the ends count there."""

WINDOW = 20_000
"""Labels after which a judgement counts for a third: with one fraud in 125, that of about 160 frauds."""


class Measures(msgspec.Struct, frozen=True, kw_only=True):
    """How good a model's scores have been, each as it was given when its transaction was decided.

    Parameters
    ----------
    labels, frauds
        Transactions judged, and how many of them were frauds.
    brier
        Mean squared difference between score and truth, in 0…1; smaller is better.
    log_loss
        Mean negative logarithm of the probability given to the truth; smaller is better.
    auc
        How probably a fraud has a higher score than a genuine transaction; null until there are both.
    average_precision
        Mean share of frauds among what scores at least as high as a fraud; null until there are both.
    money_saved
        Amounts of the frauds whose score asked for review, or more.
    money_at_stake
        Amounts of all frauds.
    false_alarms
        Genuine transactions whose score asked for review, or more.

    """

    labels: int
    frauds: int
    brier: float
    log_loss: float
    auc: float | None
    average_precision: float | None
    money_saved: float
    money_at_stake: float
    false_alarms: int


class _State(msgspec.Struct, array_like=True, frozen=True):
    counted: bytes
    sums: tuple[float, float, float]
    totals: tuple[int, int, int]
    money: tuple[float, float]


class Prequential:
    """Judges a model by scores that it gave before it knew the truth.

    Means and ranks fade: each label weighs a little more than the one before, so that they tell of lately. Counts and
    money are since the beginning. Ranks come from counts of scores by their log-odds, a quarter apart.

    Costs 5 µs a label and 1 KiB of state.

    Parameters
    ----------
    review_at
        Score from which a transaction would have been reviewed.
    window
        Labels after which a judgement has faded to a third.

    References
    ----------
    Gama, J., Sebastião, R., Rodrigues, P. P. (2013). On evaluating stream learning algorithms. Machine Learning 90(3).
    https://doi.org/10.1007/s10994-012-5320-9

    Examples
    --------
    >>> judged = Prequential(review_at=0.3)
    >>> for score, fraud in ((0.9, True), (0.2, True), (0.1, False), (0.4, False)):
    ...     judged.judge(score, amount=50.0, fraud=fraud)
    >>> measures = judged.measures()
    >>> round(measures.auc, 3), measures.money_saved, measures.money_at_stake, measures.false_alarms
    (0.75, 50.0, 100.0, 1)

    """

    def __init__(self, review_at: float, window: int = WINDOW) -> None:
        self._review_at = review_at
        self._fade = 1.0 - 1.0 / window
        self._counted = np.zeros((2, BINS))
        self._weight = self._brier = self._log_loss = 0.0
        self.labels = self.frauds = self._false_alarms = 0
        self._saved = self._at_stake = 0.0

    def judge(self, score: float, amount: float, *, fraud: bool) -> None:
        """Take in the truth about a transaction that had this score."""
        self._counted *= self._fade
        self._counted[int(fraud), _bin(score)] += 1.0
        self._weight = self._fade * self._weight + 1.0
        self._brier = self._fade * self._brier + (score - fraud) ** 2
        self._log_loss = self._fade * self._log_loss - math.log(max(score if fraud else 1.0 - score, 1e-9))
        self.labels += 1
        stopped = score >= self._review_at
        if fraud:
            self.frauds += 1
            self._at_stake += amount
            self._saved += amount if stopped else 0.0
        else:
            self._false_alarms += stopped

    def measures(self) -> Measures:
        """Return how good the scores have been."""
        weight = max(self._weight, 1.0)
        return Measures(
            labels=self.labels,
            frauds=self.frauds,
            brier=self._brier / weight,
            log_loss=self._log_loss / weight,
            auc=self._auc(),
            average_precision=self._average_precision(),
            money_saved=self._saved,
            money_at_stake=self._at_stake,
            false_alarms=self._false_alarms,
        )

    def snapshot(self) -> bytes:
        """Return the state in a compact, non-executable form."""
        sums = self._weight, self._brier, self._log_loss
        totals = self.labels, self.frauds, self._false_alarms
        return msgspec.msgpack.encode(_State(self._counted.tobytes(), sums, totals, (self._saved, self._at_stake)))

    def restore(self, state: bytes) -> None:
        """Take up what ``snapshot`` gave.

        Raises
        ------
        detectors.base.SnapshotError
            If the state is damaged.

        """
        try:
            saved = msgspec.msgpack.decode(state, type=_State)
            self._counted = np.frombuffer(saved.counted).reshape(2, BINS).copy()
        except ValueError as error:
            raise SnapshotError(f"what a model was judged by is damaged ({error}): reset the state") from error
        self._weight, self._brier, self._log_loss = saved.sums
        self.labels, self.frauds, self._false_alarms = saved.totals
        self._saved, self._at_stake = saved.money

    def _auc(self) -> float | None:
        genuine, frauds = self._counted
        pairs = float(genuine.sum() * frauds.sum())
        below = np.cumsum(genuine) - genuine / 2.0
        return float((frauds * below).sum()) / pairs if pairs > 0.0 else None

    def _average_precision(self) -> float | None:
        genuine, frauds = self._counted
        if not (genuine.any() and frauds.any()):
            return None
        found, all_ = np.cumsum(frauds[::-1]), np.cumsum(self._counted.sum(axis=0)[::-1])
        precision = found / np.maximum(all_, 1e-300)
        return float((frauds[::-1] * precision).sum() / found[-1])


def _bin(score: float) -> int:
    score = min(max(score, 1e-9), 1.0 - 1e-9)
    log_odds = math.log(score / (1.0 - score))
    return min(max(int((log_odds - LOWEST) / WIDTH), 0), BINS - 1)
