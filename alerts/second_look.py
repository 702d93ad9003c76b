"""What becomes of an alert once its events were scored again, because some came late."""

from __future__ import annotations

from collections.abc import Iterable

from alerts.alert import Alert, Severity, Transition
from alerts.changes import stepped
from alerts.evidence import evidence, strongest_of_each_kind
from alerts.policy import Thresholds
from alerts.summary import summarise
from detectors.score import Score, SignalScore

LATE = "late events"


def peak_of(kind: str, scores: Iterable[Score], thresholds: Thresholds) -> tuple[SignalScore, Score] | None:
    """Return the most significant signal of a kind that is worth an alert, and the score that it is part of."""
    found: tuple[SignalScore, Score] | None = None
    for score in scores:
        signal = strongest_of_each_kind(score).get(kind)
        if signal is None or signal.p_value > thresholds.fire_p or thresholds.stop(score, signal) is not None:
            continue
        if found is None or signal.p_value < found[0].p_value:
            found = signal, score
    return found


def corrected(alert: Alert, signal: SignalScore, score: Score, severity: Severity, at: float) -> Alert:
    """Return the next version of an alert whose peak turns out to be another, at an event time."""
    step = Transition(state=alert.state, at=at, what="correction", note=LATE)
    after = stepped(alert, at, step, severity=severity, **evidence(signal, score))
    return after.model_copy(update={"summary": summarise(after)})
