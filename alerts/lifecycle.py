"""The life of a source's alerts: a pure state machine over event time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import msgspec

from alerts.alert import Alert, State
from alerts.attention import flaps, urged
from alerts.budget import Allowance
from alerts.calm import KindMemory
from alerts.changes import SILENCE, beginning, changed, followed, silence
from alerts.commands import Command, obeyed
from alerts.early_warning import BY_RULE, has_failed, over, refreshed
from alerts.evidence import strongest_of_each_kind
from alerts.feedback import Feedback, Outcome
from alerts.held import HeldBack
from alerts.onset import Onset
from alerts.policies import EARLY_WARNING, RANGE, Ruling
from alerts.policy import Policy, Thresholds
from alerts.second_look import LATE, corrected, peak_of
from alerts.signature import NOTEWORTHY_P, Signature, of_signal, of_silence
from alerts.step import NOTHING, Step
from alerts.trace import Trace, Witness
from alerts.verdict import Label, Verdict, Weighed
from detectors.score import Score, SignalScore

LASTING = (State.FIRING, State.ACKNOWLEDGED)
"""States of an alert whose anomaly goes on."""


class Lifecycle:
    """All alerts of one source: one at a time for each kind.

    An alert begins when a signal of its kind falls to ``fire_p`` and passes the gates. It is *pending* for
    ``fire_after`` seconds, then *firing*; it is *resolved* once its p-value has stayed above ``clear_p`` for
    ``resolve_after`` seconds and ``resolve_after_events`` events. *Acknowledged*, it goes on as one that fires, but is
    neither said again nor escalated. What begins after its end is a new alert with an id of its own. Time never goes
    back: an event older than the newest one counts as of its time.

    Feedback decides first: what people called normal is left out, what they missed is worth an alert. Before an alert
    fires, whether of itself or because of feedback, the source's budget is asked, then the stream's. What they hold
    back is not published as firing while it lasts, unless it becomes ten times as improbable and they then allow it.

    Parameters
    ----------
    stream, source
        What the alerts are about.
    policy
        Thresholds, gates and budgets; or with the documents that govern the source.
    feedback
        What people have said of this source; ``None`` if nobody is listened to.
    allowance
        What all sources may spend together.

    Examples
    --------
    >>> from detectors.score import Score, SignalScore
    >>> lifecycle = Lifecycle("telemetry", "pump-7", Policy())
    >>> lifecycle.step(0.0, Score(0.5, 0.2, (SignalScore("spike", 0.5),))).alert
    False
    >>> step = lifecycle.step(1.0, Score(1e-6, 0.97, (SignalScore("spike", 1e-6),)))
    >>> step.alert, step.alert_score, [alert.state.value for alert in step.changes]
    (True, 0.9, ['firing'])

    """

    __slots__ = (
        *("_alerts", "_calm", "_feedback", "_held", "_kinds", "_now"),
        *("_onset", "_policy", "_ruling", "_source", "_stream", "_telling", "_witness"),
    )

    def __init__(
        self,
        stream: str,
        source: str,
        policy: Policy | Ruling,
        feedback: Feedback | None = None,
        allowance: Allowance | None = None,
    ) -> None:
        self._stream, self._source = stream, source
        self._feedback = feedback
        self._now = float("-inf")
        self._kinds: dict[str, KindMemory] = {}
        self._alerts: dict[str, Alert] = {}
        ruling = policy if isinstance(policy, Ruling) else Ruling(policy)
        self._witness = None if allowance is None else Witness(allowance)
        self._held = HeldBack(ruling.policy.budget.per_source_a_day, self._witness)
        self._onset = Onset(ruling.policy.highest_fire_p)
        self.govern(ruling)

    def govern(self, ruling: Ruling) -> None:
        """Let another policy count from now on; alerts that are active go on under it."""
        self._ruling = ruling
        policy = self._policy = ruling.policy
        self._calm = policy.highest_fire_p
        self._telling = self._calm if self._feedback is None else max(self._calm, NOTEWORTHY_P)
        if ruling.values:  # any event may be outside of a valid range
            self._telling = 1.0
        self._held = self._held.under(policy.budget.per_source_a_day)
        self._onset = self._onset.under(self._calm)

    @property
    def active(self) -> tuple[Alert, ...]:
        """Alerts that are pending or firing."""
        return tuple(self._alerts.values())

    @property
    def ruling(self) -> Ruling:
        """What governs the source."""
        return self._ruling

    @property
    def held(self) -> HeldBack:
        """What is held back, and by what."""
        return self._held

    @property
    def is_silent(self) -> bool:
        """Whether the source counts as silent."""
        return SILENCE in self._alerts

    @property
    def tolerated_silence(self) -> float:
        """Seconds without an event that count as usual because somebody said so."""
        return self._feedback.tolerated_silence if self._feedback is not None else 0.0

    def step(
        self, t: float, score: Score, event_id: str | None = None, readings: Mapping[str, float] | None = None
    ) -> Step:
        """Take an event's score.

        Parameters
        ----------
        t
            Event time, epoch seconds.
        score
            The detector's verdict.
        event_id
            By which it may be labelled later.
        readings
            The event's values, for those that have a valid range.

        """
        self._now = max(self._now, t)
        p_value = score.signals[0].p_value if score.signals else 1.0
        if p_value > self._telling and not (self._alerts or self._held):
            begun = self._onset.of(score.signals)
            return Step((), False, begun) if begun else NOTHING
        weighed = (self._feedback.weigh(score) if self._feedback is not None else None) or Weighed(score)
        if self._ruling.values and readings:  # after feedback, which may not hold it back
            weighed = replace(weighed, score=self._ruling.with_outside(readings, weighed.score))
        step = self._follow(weighed, (t, event_id, readings or {}, score))
        if self._feedback is not None and p_value <= NOTEWORTHY_P:
            self._feedback.saw(t, event_id, score, {kind: self._kinds[kind].began for kind in self._concerned(score)})
        return step

    def reconsider(self, scores: Sequence[tuple[float, Score]]) -> tuple[Alert, ...]:
        """Look again at the alerts that began among events which were scored again, since some came late.

        Parameters
        ----------
        scores
            What is now said of the newest events, with their times, epoch seconds.

        Returns
        -------
        tuple of alerts.alert.Alert
            Alerts that have been corrected or retracted. Those that labels or valid ranges raised stay as they are.

        """
        changes: list[Alert] = []
        for kind, alert in sorted(self._alerts.items()):
            began = self._kinds[kind].began
            if kind in (SILENCE, *BY_RULE) or alert.feedback or not scores or scores[0][0] > began:
                continue
            since = min(began, alert.started_at)
            told = [score for time, score in scores if time >= since]
            if self._feedback is not None:
                told = [one.score if (one := self._feedback.weigh(score)) else score for score in told]
            peak = peak_of(kind, told, self._policy.of(kind))
            if peak is None:
                changes.append(self._end(kind, State.RETRACTED, LATE))
            elif peak[0].p_value != alert.p_value:
                severity = self._ruling.severity(kind, peak[0].p_value, peak[0].name)
                self._put(kind, corrected(alert, *peak, severity, self._now), changes)
        return tuple(changes)

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

    def command(self, command: Command) -> tuple[Alert, ...]:
        """Take a command, and return the alert that it has changed, if it has changed any."""
        changes: list[Alert] = []
        for kind, alert in tuple(self._alerts.items()):
            after = obeyed(alert, command, self._now) if alert.alert_id == command.alert_id else None
            if after is not None:
                self._put(kind, after, changes)
        return tuple(changes)

    def excused(self, last: float, allowed: float) -> float:
        """Return how many seconds the source may say nothing after ``last``, if it is usually ``allowed`` seconds.

        A silence does not begin while alerts are muted; afterwards the source has as long as usual.
        """
        until = self._ruling.muted_until(SILENCE, last + allowed)
        return allowed if until is None else until - last + allowed

    def silent(self, last: float, allowed: float) -> tuple[Alert, ...]:
        """Say that the source has sent nothing since ``last`` for longer than ``allowed`` seconds.

        Saying so again changes nothing. The alert depends on these two numbers only, so it is the same
        whether the silence is noticed while it lasts or when it ends.
        """
        thresholds = self._policy.of(SILENCE)
        if SILENCE in self._alerts or not thresholds.enabled:
            return ()
        memory = self._kinds.setdefault(SILENCE, KindMemory())
        if last + allowed <= memory.began:
            return ()
        memory.began = last + allowed
        self._look(of_silence(SILENCE, allowed))
        self._alerts[SILENCE] = silence(self._stream, self._source, self._ruling, last, allowed)
        return (self._alerts[SILENCE],)

    def heard(self, t: float, *, really: bool = True) -> tuple[Alert, ...]:
        """Say that the source has sent again, at event time ``t``: a silence ends.

        ``really`` is false when its events leave no gap after all, being only late: then the alert is retracted.
        """
        if SILENCE not in self._alerts:
            return ()
        self._now = max(self._now, t)
        self._look(of_silence(SILENCE, t - self._alerts[SILENCE].started_at))
        return (self._end(SILENCE, State.RESOLVED if really else State.RETRACTED),)

    def expire(self, after: float) -> tuple[Alert, ...]:
        """Say that the source is forgotten, having sent nothing for so many seconds: what is active ends as expired."""
        self._now += after
        self._alerts = {kind: alert.model_copy(update={"expired": True}) for kind, alert in self._alerts.items()}
        return tuple(self._end(kind) for kind in sorted(self._alerts))

    def snapshot(self) -> list[object]:
        """Return the state as plain values."""
        for name, memory in self._kinds.items():
            # Not as JSON: that rounds times to milliseconds, and what follows must be exact.
            memory.alert = self._alerts[name].model_dump() if name in self._alerts else None
        kinds = {name: msgspec.to_builtins(memory) for name, memory in sorted(self._kinds.items())}
        held, feedback = self._held.snapshot(), None if self._feedback is None else self._feedback.snapshot()
        more = () if held is None and feedback is None else (held, feedback)
        return [self._now, self._onset.snapshot(), kinds, *more]

    def restore(self, state: list[object]) -> None:
        """Take up what ``snapshot`` gave; before there were budgets and feedback, it gave three values only."""
        self._now, onset, self._kinds = msgspec.convert(state[:3], tuple[float, Any, dict[str, KindMemory]])
        if not isinstance(onset, float):  # it was one number once, of all signals together
            self._onset.restore(onset)
        self._alerts = {name: Alert.model_validate(kind.alert) for name, kind in self._kinds.items() if kind.alert}
        held, feedback = state[3:] or (None, None)
        if held is not None:
            self._held.restore(held)
        if feedback is not None and self._feedback is not None:
            self._feedback.restore(msgspec.convert(feedback, list[object]))

    def _follow(self, weighed: Weighed, told: tuple[float, str | None, Mapping[str, float], Score]) -> Step:
        """Let what is left of the signals begin, prolong and end alerts."""
        p_value = weighed.p_value(self._policy)
        normal = p_value > self._calm and not (self._alerts or self._held or weighed.notes)
        before = None if normal else self._as_it_is()
        onset = self._onset.of(weighed.score.signals, [signal for signal, _ in weighed.raised.values()])
        if before is None:
            return Step((), False, onset)
        changes: list[Alert] = []
        strongest = strongest_of_each_kind(weighed.score)
        held = self._held.reasons
        for kind in sorted(strongest.keys() | self._alerts.keys() | held.keys() | weighed.held.keys()):
            if kind != SILENCE:
                self._step_kind(kind, strongest.get(kind), weighed, changes)
        firing = any(alert.state in LASTING for alert in (*self._alerts.values(), *changes))
        newly_held = tuple(by for kind, by in self._held.reasons.items() if kind not in held)
        stopped = any(
            kind not in self._alerts and signal.p_value <= self._policy.of(kind).fire_p
            for kind, signal in strongest.items()
        )
        decided = changes or self._held or weighed.notes or stopped or not firing
        trace = self._trace(before, *told) if decided else None
        windows = self._held.windows
        return Step(tuple(changes), firing, onset, self._held.reason, newly_held, weighed.notes, windows, trace)

    def _trace(
        self, before: list[Any], t: float, event_id: str | None, readings: Mapping[str, float], score: Score
    ) -> Trace:
        asked = None if self._witness is None else self._witness.take()
        return Trace(self._stream, self._source, t, event_id, dict(readings), score, self._ruling, before, asked)

    def _as_it_is(self) -> list[Any]:
        """Return what ``snapshot`` does of all that a decision rests on, in values that change no more."""
        if self._witness is not None:
            self._witness.take()
        kinds = {
            kind: [one.began, one.calm_events, one.calm_since, self._alerts.get(kind), list(one.fired)]
            for kind, one in sorted(self._kinds.items())
        }
        judging = None if self._feedback is None else self._feedback.judging()
        return [self._now, self._onset.snapshot(), kinds, self._held.snapshot(), judging]

    def _step_kind(self, kind: str, signal: SignalScore | None, weighed: Weighed, changes: list[Alert]) -> None:
        thresholds, verdict = self._policy.of(kind), None
        if signal is not None and signal.p_value > thresholds.fire_p and kind in weighed.raised:
            signal, verdict = weighed.raised[kind]
        passes = signal is not None and (kind == RANGE or thresholds.stop(weighed.score, signal) is None)
        p_value = signal.p_value if signal is not None and passes else 1.0
        wanted = p_value <= thresholds.fire_p or (passes and verdict is not None)
        alert = self._alerts.get(kind)
        if alert is None:
            if signal is not None and wanted:
                self._begin(kind, signal, verdict, weighed.score, thresholds, changes)
            else:
                self._hold(kind, p_value, weighed, thresholds)
        elif p_value > thresholds.clear_p and not wanted:
            calm = self._kinds[kind].is_over(p_value, thresholds, self._now, flapping=alert.flapping)
            if calm or alert.state is State.PENDING or has_failed(signal):
                changes.append(self._ended(kind, over(alert, signal, self._now)))
        else:
            self._kinds[kind].disturb()
            self._go_on(kind, alert, signal, weighed.score, thresholds, changes)
        self._urge(kind, thresholds, changes)

    def _begin(
        self,
        kind: str,
        signal: SignalScore,
        verdict: Verdict | None,
        score: Score,
        thresholds: Thresholds,
        changes: list[Alert],
    ) -> None:
        memory = self._kinds.setdefault(kind, KindMemory())
        if self._now <= memory.began:
            return  # the one that began at this very time has just ended: an id is never used twice
        memory.disturb()
        at, since = self._now, self._held.since(kind, self._now)
        if thresholds.fire_after <= 0 and not self._may_fire(kind, signal.p_value, thresholds):
            return
        memory.began = at
        said = () if verdict is None else (verdict.note("raised", kind, signal.name),)
        alert = beginning(self._stream, self._source, signal, score, self._ruling, at=at, since=since, feedback=said)
        if alert.state is State.FIRING and flaps(memory, thresholds, at):
            alert = alert.model_copy(update={"flapping": True})
        self._put(kind, alert, changes)
        self._look(of_signal(signal, score))

    def _hold(self, kind: str, p_value: float, weighed: Weighed, thresholds: Thresholds) -> None:
        """Note what would begin but for feedback, and forget what is held back once it is over."""
        signal = weighed.held.get(kind)
        if signal is not None and thresholds.stop(weighed.score, signal) is None:
            p_value = min(p_value, signal.p_value)
            if p_value <= thresholds.fire_p:
                self._kinds.setdefault(kind, KindMemory()).disturb()
                self._held.because_of_feedback(kind, p_value, self._now)
                return
        if kind in self._held and self._kinds[kind].is_over(p_value, thresholds, self._now):
            self._held.release(kind)

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
        if signal is not None:
            self._look(of_signal(signal, score))
            alert = followed(alert, signal, score)
        grown = self._ruling.severity(kind, alert.p_value, alert.name if signal is None else signal.name)
        severity = max(alert.severity, grown, key=lambda severity: severity.rank)
        lasted = alert.state is State.PENDING and self._now - alert.history[0].at >= thresholds.fire_after
        fires = lasted and self._may_fire(kind, alert.p_value, thresholds)
        if fires and flaps(self._kinds[kind], thresholds, self._now):
            alert = alert.model_copy(update={"flapping": True})
        if kind == EARLY_WARNING and signal is not None:
            version, alert = alert.version, refreshed(alert, signal, self._now)
            if alert.version != version:
                self._put(kind, alert, changes)
        self._alerts[kind] = alert
        if fires or severity is not alert.severity:
            self._put(kind, changed(alert, State.FIRING if fires else alert.state, severity, self._now), changes)

    def _urge(self, kind: str, thresholds: Thresholds, changes: list[Alert]) -> None:
        """Say an alert again that nobody acknowledges, or escalate it, when that is due."""
        alert = self._alerts.get(kind) if self._ruling.muted_by(kind, self._now) is None else None
        again = None if alert is None else urged(alert, thresholds, self._now)
        if again is not None:
            self._put(kind, again, changes)

    def _put(self, kind: str, alert: Alert, changes: list[Alert]) -> None:
        """Publish the next version of an alert that goes on."""
        self._alerts[kind] = alert = self._ruling.stamped(alert)
        changes.append(alert)

    def _end(self, kind: str, state: State = State.RESOLVED, note: str | None = None) -> Alert:
        alert = self._alerts[kind]
        return self._ended(kind, changed(alert, state, alert.severity, self._now, note))

    def _ended(self, kind: str, alert: Alert) -> Alert:
        """Let go of an alert in its last version."""
        del self._alerts[kind]
        self._held.release(kind)
        return self._ruling.stamped(alert)

    def _may_fire(self, kind: str, p_value: float, thresholds: Thresholds) -> bool:
        """Ask the calendar, then the budgets, of which what a rule raises takes nothing."""
        window = self._ruling.muted_by(kind, self._now)
        if window is not None:
            self._held.because_of_calendar(kind, p_value, self._now, window)
            return False
        if kind in BY_RULE:
            self._held.release(kind)
            return True
        return self._held.lets_fire(kind, p_value, thresholds.fire_p, self._now)

    def _concerned(self, score: Score) -> set[str]:
        """Return the kinds of alerts that an event is part of."""
        return {signal.kind for signal in score.signals if signal.p_value <= NOTEWORTHY_P} & self._alerts.keys()

    def _look(self, signature: Signature) -> None:
        """Remember what the alert of a kind looks like."""
        if self._feedback is not None:
            self._feedback.alerted(self._kinds[signature.kind].began, signature)
