"""What becomes of an alert once its events were scored again, because some came late."""

from __future__ import annotations

from collections.abc import Iterable

from alerts.alert import Alert, Severity, State, Transition
from alerts.changes import changed, stepped
from alerts.evidence import evidence, strongest_of_each_kind
from alerts.policies import Ruling
from alerts.summary import summarise
from detectors.score import Score, SignalScore

LATE = "late events"


def looked_at_again(alert: Alert, scores: Iterable[Score], ruling: Ruling, at: float) -> Alert | None:
    """Return the next version of an alert: corrected, or retracted if none of its events is worth it any more.

    Parameters
    ----------
    alert
        One that is active.
    scores
        What is now said of the events since it began.
    ruling
        What governs its source.
    at
        Event time, epoch seconds.

    Returns
    -------
    alerts.alert.Alert | None
        ``None`` if it is as it was.

    """
    peak = _peak(alert.kind, scores, ruling)
    if peak is None:
        return changed(alert, State.RETRACTED, alert.severity, at, note=LATE)
    signal, score = peak
    if signal.p_value == alert.p_value:
        return None
    severity: Severity = ruling.severity(alert.kind, signal.p_value, signal.name)
    step = Transition(state=alert.state, at=at, what="correction", note=LATE)
    after = stepped(alert, at, step, severity=severity, **evidence(signal, score))
    return after.model_copy(update={"summary": summarise(after)})


def _peak(kind: str, scores: Iterable[Score], ruling: Ruling) -> tuple[SignalScore, Score] | None:
    thresholds = ruling.policy.of(kind)
    found: tuple[SignalScore, Score] | None = None
    for score in scores:
        signal = strongest_of_each_kind(score).get(kind)
        if signal is None or signal.p_value > thresholds.fire_p or thresholds.stop(score, signal) is not None:
            continue
        if found is None or signal.p_value < found[0].p_value:
            found = signal, score
    return found
