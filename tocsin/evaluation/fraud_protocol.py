"""The Fraud Detection Handbook's way to test and to measure: which cards, which days, and what a team can look at.

Le Borgne, Y.-A., Siblini, W., Lebichot, B., Bontempi, G. (2022). Reproducible Machine Learning for Credit Card Fraud
Detection: Practical Handbook. Université Libre de Bruxelles. Chapters 3 and 4.
https://github.com/Fraud-Detection-Handbook/fraud-detection-handbook
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Flags = NDArray[np.bool_]
Scores = NDArray[np.float64]
Days = NDArray[np.int64]
Cards = NDArray[np.int64]

TRAINED_DAYS = DELAY_DAYS = TESTED_DAYS = 7
CARDS_A_DAY = 100


@dataclass(frozen=True, slots=True)
class Measures:
    """How well scores rank frauds.

    Parameters
    ----------
    auc_roc
        Probability that a fraud has a higher score than a genuine payment.
    average_precision
        Area under the precision-recall curve.
    card_precision
        Share of cards with fraud among the 100 most suspicious of a day, the mean of the days.

    """

    auc_roc: float
    average_precision: float
    card_precision: float


def in_test(days: Days, cards: Cards, frauds: Flags) -> Flags:
    """Return which payments are tested: those of seven days, of cards that are not known as defrauded by then.

    Parameters
    ----------
    days
        Day of each payment, counted from the first of the seven training days; the test begins on day 14.
    cards, frauds
        Its card, and whether it is fraud.

    Examples
    --------
    >>> days, cards = np.array([0, 14, 14, 8, 15, 16]), np.array([1, 1, 2, 2, 2, 2])
    >>> in_test(days, cards, np.array([True, False, False, True, False, False])).tolist()
    [False, False, True, False, True, False]

    """
    chosen = np.zeros(len(days), bool)
    first = TRAINED_DAYS + DELAY_DAYS
    known = set(cards[(days >= 0) & (days < TRAINED_DAYS) & frauds].tolist())
    for day in range(TESTED_DAYS):
        known |= set(cards[(days == TRAINED_DAYS + day - 1) & frauds].tolist())
        today = days == first + day
        chosen[today] = ~np.isin(cards[today], list(known))
    return chosen


def auc_roc(frauds: Flags, scores: Scores) -> float:
    """Return the area under the receiver operating characteristic; not a number without both kinds.

    Examples
    --------
    >>> auc_roc(np.array([True, False, True, False]), np.array([0.9, 0.8, 0.8, 0.1]))
    0.875

    """
    positive = int(frauds.sum())
    negative = len(frauds) - positive
    if not positive or not negative:
        return float("nan")
    _, place, counts = np.unique(scores, return_inverse=True, return_counts=True)
    middle_rank = np.cumsum(counts) - (counts - 1) / 2.0
    ranks = float(middle_rank[place][frauds].sum())
    return (ranks - positive * (positive + 1) / 2.0) / (positive * negative)


def card_precision(days: Days, cards: Cards, frauds: Flags, scores: Scores, top: int = CARDS_A_DAY) -> float:
    """Return the share of defrauded cards among the most suspicious of a day; cards found so are left out after.

    Parameters
    ----------
    days, cards, frauds, scores
        Of each payment.
    top
        Cards that a team can look at in a day.

    Examples
    --------
    >>> days, cards = np.array([0, 0, 0, 1, 1]), np.array([1, 2, 3, 1, 2])
    >>> frauds, scores = np.array([True, False, False, True, True]), np.array([0.9, 0.5, 0.1, 0.9, 0.8])
    >>> card_precision(days, cards, frauds, scores, top=1)
    1.0

    """
    found: set[int] = set()
    precisions = []
    for day in np.unique(days):
        today = (days == day) & ~np.isin(cards, list(found))
        names, place = np.unique(cards[today], return_inverse=True)
        worst, defrauded = np.full(len(names), -np.inf), np.zeros(len(names), bool)
        np.maximum.at(worst, place, scores[today])
        np.logical_or.at(defrauded, place, frauds[today])
        looked_at = np.argsort(-worst, kind="stable")[:top]
        found |= set(names[looked_at][defrauded[looked_at]].tolist())
        precisions.append(defrauded[looked_at].sum() / top)
    return float(np.mean(precisions)) if precisions else float("nan")


def reviewed(days: Days, scores: Scores, a_day: int) -> Flags:
    """Return the payments that a team looks at: of each day the ``a_day`` with the highest scores.

    Examples
    --------
    >>> reviewed(np.array([0, 0, 1]), np.array([0.2, 0.3, 0.1]), a_day=1).tolist()
    [False, True, True]

    """
    chosen = np.zeros(len(days), bool)
    for day in np.unique(days):
        today = np.flatnonzero(days == day)
        chosen[today[np.argsort(-scores[today], kind="stable")[:a_day]]] = True
    return chosen
