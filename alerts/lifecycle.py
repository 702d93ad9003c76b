"""The life of a source's alerts: a pure state machine over event time."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from alerts.alert import Alert, AlertFeedback, Severity, State, Transition, alert_id
from alerts.evidence import evidence, strongest_of_each_kind
from alerts.feedback import Feedback, Outcome
from alerts.policy import Policy, Thresholds
from alerts.signature import NOTEWORTHY_P, Signature, of_signal, of_silence
from alerts.summary import silence_sentence, summarise
from alerts.verdict import Label, Verdict
from detectors.score import Score, SignalScore, anomaly_score

SILENCE = "silence"

ONSET_HALF_LIFE = 50
"""Events after which what has been is half forgotten when it is asked whether something new begins."""

ONSET_MARGIN = 0.5
"""How far, in powers of ten of the p-value, an event must stand out from what has been to be something new."""

_FADE = 0.5 ** (1 / ONSET_HALF_LIFE)


@dataclass(frozen=True, slots=True)
class Step:
    """What one event did to a source's alerts.

    Parameters
    ----------
    changes
        New values of the alerts that changed, in the order in which they changed.
    alert
        Whether an alert fires now.
    alert_score
        How strongly something new begins at this event, 0…1: its anomaly score if it stands out from the events
        before it, else 0. So it is 0 while an anomaly goes on, whether or not it was worth an alert.
    feedback
        What people's labels on like events did here.

    """

    changes: tuple[Alert, ...]
    alert: bool
    alert_score: float
    feedback: tuple[AlertFeedback, ...] = ()


class _Kind(msgspec.Struct, array_like=True):
    """What is remembered of one kind: the alert that goes on, if any, and how calm it has been since."""

    began: float = float("-inf")
    calm_events: int = 0
    calm_since: float | None = None
    alert: dict[str, Any] | None = None


class Lifecycle:
    """All alerts of one source: one at a time for each kind.

    An alert begins when a signal of its kind falls to ``fire_p`` and passes the gates. It is *pending* for
    ``fire_after`` seconds, then *firing*; it is *resolved* once its p-value has stayed above ``clear_p`` for
    ``resolve_after`` seconds and ``resolve_after_events`` events. What begins after that is a new alert
    with an id of its own. Time never goes back: an event older than the newest one counts as of its time.

    Parameters
    ----------
    stream, source
        What the alerts are about.
    policy
        Thresholds and gates.
    feedback
        What people have said of this source; ``None`` if nobody is listened to.

    Examples
    --------
    >>> from detectors.score import Score, SignalScore, anomaly_score
    >>> lifecycle = Lifecycle("telemetry", "pump-7", Policy())
    >>> lifecycle.step(0.0, Score(0.5, 0.2, (SignalScore("spike", 0.5),))).alert
    False
    >>> step = lifecycle.step(1.0, Score(1e-6, 0.9, (SignalScore("spike", 1e-6),)))
    >>> step.alert, step.alert_score, [alert.state.value for alert in step.changes]
    (True, 0.9, ['firing'])

    """

    __slots__ = (
        "_alerts",
        "_calm",
        "_feedback",
        "_kinds",
        "_now",
        "_peak",
        "_policy",
        "_source",
        "_stream",
        "_telling",
    )

    def __init__(self, stream: str, source: str, policy: Policy, feedback: Feedback | None = None) -> None:
        self._stream, self._source, self._policy = stream, source, policy
        self._feedback = feedback
        self._calm = policy.highest_fire_p
        self._telling = self._calm if feedback is None else max(self._calm, NOTEWORTHY_P)
        self._now = float("-inf")
        self._peak = 0.0
        self._kinds: dict[str, _Kind] = {}
        self._alerts: dict[str, Alert] = {}

    @property
    def active(self) -> tuple[Alert, ...]:
        """Alerts that are pending or firing."""
        return tuple(self._alerts.values())

    @property
    def tolerated_silence(self) -> float:
        """Seconds without an event that count as usual because somebody said so."""
        return self._feedback.tolerated_silence if self._feedback is not None else 0.0

    def step(self, t: float, score: Score, event_id: str | None = None) -> Step:
        """Take an event's score.

        Parameters
        ----------
        t
            Event time, epoch seconds.
        score
            The detector's verdict.
        event_id
            The event's id, by which it may be labelled later.

        """
        self._now = max(self._now, t)
        if not score.signals or score.signals[0].p_value > self._telling:
            onset = self._onset(score.p_value, score.anomaly_score)
            return self._follow(score, {}, onset) if self._alerts else Step((), False, onset)
        weighed = self._feedback.weigh(score) if self._feedback is not None else None
        if weighed is None:
            onset = self._onset(score.p_value, score.anomaly_score)
            step = self._follow(score, {}, onset)
        else:
            p_value = weighed.p_value(self._policy)
            onset = self._onset(p_value, anomaly_score(p_value))
            step = replace(self._follow(weighed.score, weighed.raised, onset), feedback=weighed.notes)
        if self._feedback is not None and score.signals[0].p_value <= NOTEWORTHY_P:
            self._feedback.saw(t, event_id, score, {kind: self._kinds[kind].began for kind in self._concerned(score)})
        return step

    def ids(self) -> Iterator[str]:
        """Return every id by which a label may find something here."""
        return iter(()) if self._feedback is None else self._feedback.ids()

    def judge(self, t: float, label: Label, near: float) -> tuple[Outcome, tuple[Alert, ...]]:
        """Take a label, and return what became of it and the alerts that it ends.

        Parameters
        ----------
        t
            Event time of the event before which it is taken, epoch seconds.
        label
            The truth about one of this source's alerts or events.
        near
            How many seconds from the label's ``at`` the event may be that is meant.

        """
        if self._feedback is None:
            return "label_unmatched", ()
        self._now = max(self._now, t)
        if SILENCE in self._alerts:  # which has lasted until now, and is judged as long as that
            self._look(of_silence(SILENCE, t - self._alerts[SILENCE].started_at))
        outcome, verdicts = self._feedback.judge(label, near)
        changes = []
        for kind, alert in sorted(self._alerts.items()):
            for verdict in verdicts:
                if verdict.subject == alert.alert_id:
                    note = verdict.note("retracted", kind, alert.name)
                    self._alerts[kind] = alert.model_copy(update={"feedback": (*alert.feedback, note)})
                    changes.append(self._end(kind, State.RETRACTED))
        return outcome, tuple(changes)

    def silent(self, last: float, allowed: float) -> tuple[Alert, ...]:
        """Say that the source has sent nothing since ``last`` for longer than ``allowed`` seconds.

        Saying so again changes nothing. The alert depends on these two numbers only, so it is the same
        whether the silence is noticed while it lasts or when it ends.
        """
        if SILENCE in self._alerts or not self._policy.of(SILENCE).enabled:
            return ()
        at = last + allowed
        kind = self._kinds.setdefault(SILENCE, _Kind())
        if at <= kind.began:
            return ()
        kind.began = at
        self._look(of_silence(SILENCE, allowed))
        thresholds = self._policy.of(SILENCE)
        self._alerts[SILENCE] = Alert(
            alert_id=alert_id(self._stream, self._source, SILENCE, at),
            stream=self._stream,
            source=self._source,
            kind=SILENCE,
            state=State.FIRING,
            severity=Severity.WARNING,
            started_at=last,
            fired_at=at,
            updated_at=at,
            anomaly_score=1.0 - thresholds.fire_p,
            p_value=thresholds.fire_p,
            summary=silence_sentence(self._source, last, allowed),
            history=(Transition(state=State.FIRING, at=at),),
        )
        return (self._alerts[SILENCE],)

    def heard(self, t: float, *, really: bool = True) -> tuple[Alert, ...]:
        """Say that the source has sent again, at event time ``t``: a silence ends.

        ``really`` is false when its events leave no gap after all, because they were only late to arrive: then
        the alert is retracted.
        """
        if SILENCE not in self._alerts:
            return ()
        self._now = max(self._now, t)
        self._look(of_silence(SILENCE, t - self._alerts[SILENCE].started_at))
        return (self._end(SILENCE, State.RESOLVED if really else State.RETRACTED),)

    def snapshot(self) -> list[object]:
        """Return the state as plain values."""
        for name, kind in self._kinds.items():
            # Not as JSON: that rounds times to milliseconds, and what follows must be exact.
            kind.alert = self._alerts[name].model_dump() if name in self._alerts else None
        kinds = {name: msgspec.to_builtins(kind) for name, kind in sorted(self._kinds.items())}
        feedback = [] if self._feedback is None else [self._feedback.snapshot()]
        return [self._now, self._peak, kinds, *feedback]

    def restore(self, state: list[object]) -> None:
        """Take up what ``snapshot`` gave."""
        self._now, self._peak, self._kinds = msgspec.convert(state[:3], tuple[float, float, dict[str, _Kind]])
        self._alerts = {name: Alert.model_validate(kind.alert) for name, kind in self._kinds.items() if kind.alert}
        for feedback in state[3:]:
            if self._feedback is not None:
                self._feedback.restore(msgspec.convert(feedback, list[object]))

    def _onset(self, p_value: float, anomaly_score: float) -> float:
        strength = -math.log10(max(p_value, 1e-300))
        new = strength > self._peak + ONSET_MARGIN
        self._peak = max(self._peak * _FADE, strength)
        return anomaly_score if new else 0.0

    def _follow(self, score: Score, raised: Mapping[str, tuple[SignalScore, Verdict]], onset: float) -> Step:
        """Let the score's signals begin, prolong and end alerts."""
        if not self._alerts and not raised and (not score.signals or score.signals[0].p_value > self._calm):
            return Step((), False, onset)
        changes: list[Alert] = []
        strongest = strongest_of_each_kind(score)
        for kind in sorted(strongest.keys() | self._alerts.keys()):
            if kind != SILENCE:
                self._step_kind(kind, strongest.get(kind), raised.get(kind), score, changes)
        firing = any(alert.state is State.FIRING for alert in (*self._alerts.values(), *changes))
        return Step(tuple(changes), firing, onset)

    def _step_kind(
        self,
        kind: str,
        signal: SignalScore | None,
        raised: tuple[SignalScore, Verdict] | None,
        score: Score,
        changes: list[Alert],
    ) -> None:
        thresholds = self._policy.of(kind)
        verdict = None
        if signal is not None and raised is not None and signal.p_value > thresholds.fire_p:
            signal, verdict = raised
        passes = signal is not None and thresholds.enabled and thresholds.gates.passes(score, signal)
        p_value = signal.p_value if signal is not None and passes else 1.0
        wanted = p_value <= thresholds.fire_p or (passes and verdict is not None)
        alert = self._alerts.get(kind)
        if alert is None:
            if signal is not None and wanted:
                self._begin(kind, signal, verdict, score, thresholds, changes)
            return
        memory = self._kinds[kind]
        if p_value > thresholds.clear_p and not wanted:
            memory.calm_events += 1
            memory.calm_since = self._now if memory.calm_since is None else memory.calm_since
            if self._calm_enough(memory, thresholds) or alert.state is State.PENDING:
                changes.append(self._end(kind))
            return
        memory.calm_events, memory.calm_since = 0, None
        self._go_on(kind, alert, signal, score, thresholds, changes)

    def _concerned(self, score: Score) -> set[str]:
        """Return the kinds of alerts that an event is part of."""
        return {signal.kind for signal in score.signals if signal.p_value <= NOTEWORTHY_P} & self._alerts.keys()

    def _look(self, signature: Signature) -> None:
        """Remember what the alert of a kind looks like."""
        if self._feedback is not None:
            self._feedback.alerted(self._kinds[signature.kind].began, signature)

    def _calm_enough(self, memory: _Kind, thresholds: Thresholds) -> bool:
        since = self._now if memory.calm_since is None else memory.calm_since
        return memory.calm_events >= thresholds.resolve_after_events and self._now - since >= thresholds.resolve_after

    def _begin(
        self,
        kind: str,
        signal: SignalScore,
        verdict: Verdict | None,
        score: Score,
        thresholds: Thresholds,
        changes: list[Alert],
    ) -> None:
        memory = self._kinds.setdefault(kind, _Kind())
        if self._now <= memory.began:
            return  # the one that began at this very time has just ended: an id is never used twice
        memory.began, memory.calm_events, memory.calm_since = self._now, 0, None
        state = State.PENDING if thresholds.fire_after > 0 else State.FIRING
        started = self._now if signal.started_at is None else min(signal.started_at, self._now)
        alert = Alert(
            alert_id=alert_id(self._stream, self._source, kind, self._now),
            stream=self._stream,
            source=self._source,
            kind=kind,
            state=state,
            severity=thresholds.severity(signal.p_value),
            started_at=started,
            fired_at=self._now if state is State.FIRING else None,
            updated_at=self._now,
            history=(Transition(state=state, at=self._now),),
            summary="",
            anomaly_score=score.anomaly_score,
            p_value=signal.p_value,
            feedback=() if verdict is None else (verdict.note("raised", kind, signal.name),),
        ).model_copy(update=evidence(signal, score))
        self._alerts[kind] = alert.model_copy(update={"summary": summarise(alert)})
        changes.append(self._alerts[kind])
        self._look(of_signal(signal, score))

    def _go_on(
        self,
        kind: str,
        alert: Alert,
        signal: SignalScore | None,
        score: Score,
        thresholds: Thresholds,
        changes: list[Alert],
    ) -> None:
        """Follow the peak; publish only what matters: that it fires, or that it has grown more severe."""
        changed = alert
        if signal is not None:
            self._look(of_signal(signal, score))
        if signal is not None and signal.p_value < alert.p_value:
            highest = max(alert.anomaly_score, score.anomaly_score)
            changed = alert.model_copy(update=evidence(signal, score) | {"anomaly_score": highest})
        severity = max(alert.severity, thresholds.severity(changed.p_value), key=lambda severity: severity.rank)
        fires = alert.state is State.PENDING and self._now - alert.history[0].at >= thresholds.fire_after
        if fires or severity is not alert.severity:
            changed = self._change(changed, State.FIRING if fires else alert.state, severity)
            changes.append(changed)
        self._alerts[kind] = changed

    def _end(self, kind: str, state: State = State.RESOLVED) -> Alert:
        alert = self._alerts.pop(kind)
        return self._change(alert, state, alert.severity)

    def _change(self, alert: Alert, state: State, severity: Severity) -> Alert:
        update: dict[str, object] = {
            "state": state,
            "severity": severity,
            "version": alert.version + 1,
            "updated_at": self._now,
        }
        if state is not alert.state:
            update["history"] = (*alert.history, Transition(state=state, at=self._now))
            if state is State.FIRING:
                update["fired_at"] = self._now
            elif state.over:
                update["resolved_at"] = self._now
        changed = alert.model_copy(update=update)
        return changed.model_copy(update={"summary": summarise(changed)})
