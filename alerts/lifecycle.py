"""The life of a source's alerts: a pure state machine over event time."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import msgspec

from alerts.alert import Alert, Severity, State, Transition, alert_id
from alerts.budget import Allowance
from alerts.evidence import evidence, strongest_of_each_kind
from alerts.held import HeldBack
from alerts.policy import Policy, Thresholds
from alerts.summary import silence_sentence, summarise
from detectors.score import Score, SignalScore

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
    held
        Which budget holds back what goes on now: ``source_budget`` or ``stream_budget``; ``None`` if nothing is held.
    newly_held
        Those that hold something back from this event on.

    """

    changes: tuple[Alert, ...]
    alert: bool
    alert_score: float
    held: str | None = None
    newly_held: tuple[str, ...] = ()


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

    Before it fires, the source's budget is asked, then the stream's. What they hold back is not published as firing
    while it lasts, unless it becomes ten times as improbable and they then allow it.

    Parameters
    ----------
    stream, source
        What the alerts are about.
    policy
        Thresholds, gates and budgets.
    allowance
        What all sources may spend together.

    Examples
    --------
    >>> from detectors.score import Score, SignalScore
    >>> lifecycle = Lifecycle("telemetry", "pump-7", Policy())
    >>> lifecycle.step(0.0, Score(0.5, 0.2, (SignalScore("spike", 0.5),))).alert
    False
    >>> step = lifecycle.step(1.0, Score(1e-6, 0.9, (SignalScore("spike", 1e-6),)))
    >>> step.alert, step.alert_score, [alert.state.value for alert in step.changes]
    (True, 0.9, ['firing'])

    """

    __slots__ = ("_alerts", "_calm", "_held", "_kinds", "_now", "_peak", "_policy", "_source", "_stream")

    def __init__(self, stream: str, source: str, policy: Policy, allowance: Allowance | None = None) -> None:
        self._stream, self._source, self._policy = stream, source, policy
        self._held = HeldBack(policy.budget.per_source_a_day, allowance)
        self._calm = policy.highest_fire_p
        self._now = float("-inf")
        self._peak = 0.0
        self._kinds: dict[str, _Kind] = {}
        self._alerts: dict[str, Alert] = {}

    @property
    def active(self) -> tuple[Alert, ...]:
        """Alerts that are pending or firing."""
        return tuple(self._alerts.values())

    def step(self, t: float, score: Score) -> Step:
        """Take an event's score.

        Parameters
        ----------
        t
            Event time, epoch seconds.
        score
            The detector's verdict.

        """
        self._now = max(self._now, t)
        onset = self._onset(score)
        if not (self._alerts or self._held) and (not score.signals or score.signals[0].p_value > self._calm):
            return Step((), False, onset)
        changes: list[Alert] = []
        strongest = strongest_of_each_kind(score)
        before = self._held.reasons
        for kind in sorted(strongest.keys() | self._alerts.keys() | before.keys()):
            if kind != SILENCE:
                self._step_kind(kind, strongest.get(kind), score, changes)
        firing = any(alert.state is State.FIRING for alert in (*self._alerts.values(), *changes))
        held = self._held.reasons
        newly_held = tuple(by for kind, by in held.items() if kind not in before)
        return Step(tuple(changes), firing, onset, next(iter(held.values()), None), newly_held)

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
        return (self._end(SILENCE, State.RESOLVED if really else State.RETRACTED),)

    def snapshot(self) -> list[object]:
        """Return the state as plain values."""
        for name, kind in self._kinds.items():
            # Not as JSON: that rounds times to milliseconds, and what follows must be exact.
            kind.alert = self._alerts[name].model_dump() if name in self._alerts else None
        kinds = {name: msgspec.to_builtins(kind) for name, kind in sorted(self._kinds.items())}
        held = self._held.snapshot()
        return [self._now, self._peak, kinds, *([] if held is None else [held])]

    def restore(self, state: list[object]) -> None:
        """Take up what ``snapshot`` gave."""
        self._now, self._peak, self._kinds = msgspec.convert(state[:3], tuple[float, float, dict[str, _Kind]])
        if state[3:]:
            self._held.restore(state[3])
        self._alerts = {name: Alert.model_validate(kind.alert) for name, kind in self._kinds.items() if kind.alert}

    def _onset(self, score: Score) -> float:
        strength = -math.log10(max(score.p_value, 1e-300))
        new = strength > self._peak + ONSET_MARGIN
        self._peak = max(self._peak * _FADE, strength)
        return score.anomaly_score if new else 0.0

    def _step_kind(self, kind: str, signal: SignalScore | None, score: Score, changes: list[Alert]) -> None:
        thresholds = self._policy.of(kind)
        passes = signal is not None and thresholds.enabled and thresholds.gates.passes(score, signal)
        p_value = signal.p_value if signal is not None and passes else 1.0
        alert = self._alerts.get(kind)
        if alert is None:
            if signal is not None and p_value <= thresholds.fire_p:
                self._begin(kind, signal, score, thresholds, changes)
            elif kind in self._held and self._is_over(kind, p_value, thresholds):
                self._held.release(kind)
        elif p_value > thresholds.clear_p:
            if self._is_over(kind, p_value, thresholds) or alert.state is State.PENDING:
                changes.append(self._end(kind))
        else:
            self._kinds[kind].calm_events, self._kinds[kind].calm_since = 0, None
            self._go_on(kind, alert, signal, score, thresholds, changes)

    def _is_over(self, kind: str, p_value: float, thresholds: Thresholds) -> bool:
        memory = self._kinds[kind]
        if p_value <= thresholds.clear_p:
            memory.calm_events, memory.calm_since = 0, None
            return False
        memory.calm_events += 1
        memory.calm_since = self._now if memory.calm_since is None else memory.calm_since
        enough = memory.calm_events >= thresholds.resolve_after_events
        return enough and self._now - memory.calm_since >= thresholds.resolve_after

    def _begin(
        self, kind: str, signal: SignalScore, score: Score, thresholds: Thresholds, changes: list[Alert]
    ) -> None:
        memory = self._kinds.setdefault(kind, _Kind())
        if self._now <= memory.began:
            return  # the one that began at this very time has just ended: an id is never used twice
        memory.calm_events, memory.calm_since = 0, None
        since = self._held.since(kind, self._now)
        state = State.PENDING if thresholds.fire_after > 0 else State.FIRING
        if state is State.FIRING and not self._held.lets_fire(kind, signal.p_value, thresholds.fire_p, self._now):
            return
        memory.began = self._now
        started = since if signal.started_at is None else min(signal.started_at, since)
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
        ).model_copy(update=evidence(signal, score))
        self._alerts[kind] = alert.model_copy(update={"summary": summarise(alert)})
        changes.append(self._alerts[kind])

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
        if signal is not None and signal.p_value < alert.p_value:
            highest = max(alert.anomaly_score, score.anomaly_score)
            changed = alert.model_copy(update=evidence(signal, score) | {"anomaly_score": highest})
        severity = max(alert.severity, thresholds.severity(changed.p_value), key=lambda severity: severity.rank)
        lasted = alert.state is State.PENDING and self._now - alert.history[0].at >= thresholds.fire_after
        fires = lasted and self._held.lets_fire(kind, changed.p_value, thresholds.fire_p, self._now)
        if fires or severity is not alert.severity:
            changed = self._change(changed, State.FIRING if fires else alert.state, severity)
            changes.append(changed)
        self._alerts[kind] = changed

    def _end(self, kind: str, state: State = State.RESOLVED) -> Alert:
        alert = self._alerts.pop(kind)
        self._held.release(kind)
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
