"""How well scores and alerts agree with labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


def average_precision(truth: NDArray[np.bool_], scores: NDArray[np.float64]) -> float:
    """Return the area under the precision-recall curve, as a sum over its steps; equal scores make one step.

    Nothing to find gives not a number.

    Examples
    --------
    >>> round(average_precision(np.array([True, False, True, False]), np.array([0.9, 0.8, 0.7, 0.1])), 4)
    0.8333

    """
    if not truth.any():
        return float("nan")
    order = np.argsort(-scores, kind="stable")
    ends = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))
    hits = np.cumsum(truth[order])[ends]
    recall, precision = hits / truth.sum(), hits / (ends + 1)
    return float((np.diff(recall, prepend=0.0) * precision).sum())


def mean_average_precision(truths: Sequence[NDArray[np.bool_]], scores: Sequence[NDArray[np.float64]]) -> float:
    """Return the mean average precision of the files in which there is something to find."""
    found = [average_precision(truth, score) for truth, score in zip(truths, scores, strict=True) if truth.any()]
    return float(np.mean(found)) if found else float("nan")


@dataclass(frozen=True, slots=True)
class Agreement:
    """How well alerts and scores agree with labels, row by row.

    Parameters
    ----------
    f1
        Harmonic mean of precision and recall of the alerts.
    precision, recall
        Share of rows under alert that are labelled, and of labelled rows that are under alert.
    false_alarm_rate, missed_alarm_rate
        Share of rows without a label that are under alert, and of labelled rows that are not.
    average_precision
        Of ``anomaly_score``, all rows of all files ranked together.
    average_precision_per_file
        The mean of that of each file.

    """

    f1: float
    precision: float
    recall: float
    false_alarm_rate: float
    missed_alarm_rate: float
    average_precision: float
    average_precision_per_file: float


def agreement(
    truths: Sequence[NDArray[np.bool_]], alerts: Sequence[NDArray[np.bool_]], scores: Sequence[NDArray[np.float64]]
) -> Agreement:
    """Return how well alerts and scores agree with the labels.

    Parameters
    ----------
    truths, alerts, scores
        Of each file, one of each for each row.

    Examples
    --------
    >>> truth, alert = np.array([False, True, True, False]), np.array([False, True, False, True])
    >>> found = agreement([truth], [alert], [np.array([0.1, 0.9, 0.8, 0.2])])
    >>> found.f1, found.false_alarm_rate, found.missed_alarm_rate, found.average_precision
    (0.5, 0.5, 0.5, 1.0)

    """
    truth, alert, score = np.concatenate(truths), np.concatenate(alerts), np.concatenate(scores)
    hits, alerted, labelled = int((alert & truth).sum()), int(alert.sum()), int(truth.sum())
    recall = hits / max(labelled, 1)
    return Agreement(
        f1=2 * hits / max(alerted + labelled, 1),
        precision=hits / max(alerted, 1),
        recall=recall,
        false_alarm_rate=(alerted - hits) / max(len(truth) - labelled, 1),
        missed_alarm_rate=1.0 - recall if labelled else 0.0,
        average_precision=average_precision(truth, score),
        average_precision_per_file=mean_average_precision(truths, scores),
    )
