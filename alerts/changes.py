"""The values that an alert takes: how it begins, and what it becomes."""

from __future__ import annotations

from alerts.alert import Alert, AlertFeedback, Severity, State, Transition, alert_id
from alerts.evidence import evidence
from alerts.policies import Ruling
from alerts.summary import silence_sentence, summarise
from detectors.score import Score, SignalScore

SILENCE = "silence"

MOST_STEPS = 64
"""Steps that an alert's history tells."""


def beginning(
    stream: str,
    source: str,
    signal: SignalScore,
    score: Score,
    ruling: Ruling,
    *,
    at: float,
    since: float,
    feedback: tuple[AlertFeedback, ...] = (),
) -> Alert:
    """Return an alert that begins.

    Parameters
    ----------
    stream, source
        What it is about.
    signal
        The signal that raises it.
    score
        What it is part of.
    ruling
        What governs the source.
    at
        Event time at which it begins.
    since
        Event time at which it would have begun, had it not been held back.
    feedback
        Labels because of which it is raised.

    """
    state = State.PENDING if ruling.policy.of(signal.kind).fire_after > 0 else State.FIRING
    alert = Alert(
        alert_id=alert_id(stream, source, signal.kind, at),
        stream=stream,
        source=source,
        kind=signal.kind,
        state=state,
        severity=ruling.severity(signal.kind, signal.p_value, signal.name),
        started_at=since if signal.started_at is None else min(signal.started_at, since),
        fired_at=at if state is State.FIRING else None,
        waiting_since=at if state is State.FIRING else None,
        updated_at=at,
        history=(Transition(state=state, at=at),),
        summary="",
        anomaly_score=score.anomaly_score,
        p_value=signal.p_value,
        feedback=feedback,
    ).model_copy(update=evidence(signal, score))
    return ruling.stamped(alert.model_copy(update={"summary": summarise(alert)}))


def silence(stream: str, source: str, ruling: Ruling, last: float, allowed: float) -> Alert:
    """Return the alert of a source that has sent nothing since ``last`` for longer than ``allowed`` seconds."""
    at, thresholds = last + allowed, ruling.policy.of(SILENCE)
    alert = Alert(
        alert_id=alert_id(stream, source, SILENCE, at),
        stream=stream,
        source=source,
        kind=SILENCE,
        state=State.FIRING,
        severity=thresholds.bounded(Severity.WARNING),
        started_at=last,
        fired_at=at,
        waiting_since=at,
        updated_at=at,
        anomaly_score=1.0 - thresholds.fire_p,
        p_value=thresholds.fire_p,
        summary=silence_sentence(source, last, allowed),
        history=(Transition(state=State.FIRING, at=at),),
    )
    return ruling.stamped(alert)


def followed(alert: Alert, signal: SignalScore, score: Score) -> Alert:
    """Return an alert with what it tells of its peak, which may be this event; not yet a new version."""
    if signal.p_value >= alert.p_value:
        return alert
    highest = max(alert.anomaly_score, score.anomaly_score)
    return alert.model_copy(update=evidence(signal, score) | {"anomaly_score": highest})


def changed(alert: Alert, state: State, severity: Severity, at: float, note: str | None = None) -> Alert:
    """Return the next version of an alert: in another state, for which a note may say why, more severe, or both."""
    update: dict[str, object] = {"state": state, "severity": severity}
    steps = []
    if severity is not alert.severity:
        steps.append(Transition(state=state, at=at, what="severity", note=severity.value))
    if state is not alert.state:
        steps.append(Transition(state=state, at=at, note=note))
        if state is State.FIRING:
            update |= {"fired_at": at, "waiting_since": at}
        elif state.over:
            update |= {"resolved_at": at, "waiting_since": None}
    alert = stepped(alert, at, *steps, **update)
    return alert.model_copy(update={"summary": summarise(alert)})


def stepped(alert: Alert, at: float, *steps: Transition, **update: object) -> Alert:
    """Return the next version of an alert, whose history tells these steps.

    Of a long history the beginning and the newest steps are kept.
    """
    history = (*alert.history, *steps)
    if len(history) > MOST_STEPS:
        history = (history[0], *history[1 - MOST_STEPS :])
    more = {"version": alert.version + 1, "updated_at": at, "history": history}
    return alert.model_copy(update=update | more)
