"""Why an event raised an alert, or why it did not: decided again from its trace, and put into words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from alerts.alert import Alert, State, iso
from alerts.evidence import strongest_of_each_kind
from alerts.feedback import Feedback
from alerts.held import ASK_AGAIN, CALENDAR, FEEDBACK, SOURCE_BUDGET, Held
from alerts.lifecycle import Lifecycle
from alerts.policy import Thresholds
from alerts.step import Step
from alerts.summary import duration, number
from alerts.trace import Remembered, Trace
from detectors.score import Score, SignalScore, ValueExplanation

APPLY = "a policy (`tocsin policy apply`) or `telemetry.policy`"


class Finding(BaseModel):
    """What became of one kind of signal, why, and what would change that."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str
    name: str | None = Field(None, description="The value that it is about")
    p_value: float
    fire_p: float = Field(description="p-value at or below which an alert of this kind begins")
    value: float | None = None
    expected: float | None = None
    lower: float | None = None
    upper: float | None = None
    reason: str = Field(description="What decided, as `below_threshold`, `min_deviation`, `source_budget` or `alert`")
    because: str = Field(description="The same in words")
    change: str | None = Field(None, description="What to change, should that not be wanted")
    alert_id: str | None = Field(None, description="The alert that it begins, or is part of")


class Again(NamedTuple):
    """A decision that was made again: what the lifecycle is after it, and what it did."""

    lifecycle: Lifecycle
    step: Step
    score: Score


def decided_again(trace: Trace) -> Again:
    """Return what a trace's decision comes to: bit for bit what it came to then.

    Parameters
    ----------
    trace
        Of the decision.

    Examples
    --------
    >>> from alerts.policy import Gates, Policy
    >>> policy = Policy(default=Thresholds(gates=Gates(direction="below")))
    >>> score = Score(1e-6, 0.97, (SignalScore("spike", 1e-6, "x", 1),), {"x": ValueExplanation(9.0, 5.0, 4.0, 6.0, 1)})
    >>> step = Lifecycle("telemetry", "pump-7", policy).step(60.0, score)
    >>> decided_again(step.trace).step == step
    True
    >>> [(finding.kind, finding.reason) for finding in findings(step.trace)]
    [('spike', 'direction')]

    """
    trace = Trace.decode(trace.encode())
    feedback = None if trace.before[4] is None else Feedback(trace.stream, trace.source)
    allowance = None if trace.asked is None else Remembered(trace.asked)
    lifecycle = Lifecycle(trace.stream, trace.source, trace.ruling, feedback, allowance)
    lifecycle.restore(trace.before)
    weighed = None if feedback is None else feedback.weigh(trace.score)
    step = lifecycle.step(trace.time, trace.score, trace.event_id, trace.readings)
    score = trace.score if weighed is None else weighed.score
    return Again(lifecycle, step, trace.ruling.with_outside(trace.readings, score))


def findings(trace: Trace) -> list[Finding]:
    """Return what became of each kind of signal that spoke, the most improbable first."""
    again = decided_again(trace)
    heard = strongest_of_each_kind(trace.score) | strongest_of_each_kind(again.score)
    found = [_finding(trace, again, signal) for signal in heard.values()]
    return sorted(found, key=lambda one: (one.alert_id is None, one.p_value / one.fire_p, one.kind))


def unremarkable(score: Score, thresholds: Thresholds, signal: SignalScore) -> Finding:
    """Return what is to be said of a signal that is not improbable enough."""
    because = f"p {signal.p_value:.2g} is above fire_p {thresholds.fire_p:g}"
    return _made(score, signal, thresholds, "below_threshold", because, f"raise `fire_p` of {signal.kind} in {APPLY}")


def _finding(trace: Trace, again: Again, signal: SignalScore) -> Finding:
    kind, thresholds = signal.kind, trace.ruling.policy.of(signal.kind)
    alert = next((one for one in (*again.step.changes, *again.lifecycle.active) if one.kind == kind), None)
    held = again.lifecycle.held.of(kind)
    if alert is not None and (held is None or alert.state is not State.PENDING):
        return _of_alert(trace, again, signal, thresholds, alert)
    if held is not None:
        reason, because, change = _of_held(trace, again, kind, held)
        return _made(again.score, signal, thresholds, reason, because, change, alert)
    if signal.p_value > thresholds.fire_p:
        return unremarkable(again.score, thresholds, signal)
    stop = thresholds.stop(again.score, signal)
    if stop is not None:
        because = _of_gate(stop, thresholds, signal, again.score)
        return _made(again.score, signal, thresholds, stop, because, f"change `{stop}` of {kind} in {APPLY}")
    because = "an alert of this kind has begun and ended at this very time; the next event may begin another"
    return _made(again.score, signal, thresholds, "just_ended", because, None)


def _of_alert(trace: Trace, again: Again, signal: SignalScore, thresholds: Thresholds, alert: Alert) -> Finding:
    new = any(one.alert_id == alert.alert_id for one in again.step.changes)
    raised = next((one for one in again.step.feedback if one.kind == alert.kind and one.effect == "raised"), None)
    if alert.state is State.PENDING:
        begun = alert.history[0].at
        lasted = duration(max(trace.time - begun, 0.0))
        because = f"pending since {iso(begun)}: it must last for {duration(thresholds.fire_after)} and has for {lasted}"
        change = f"lower `fire_after` of {alert.kind} in {APPLY}"
        return _made(again.score, signal, thresholds, "pending", because, change, alert)
    said = f"alert {alert.alert_id} "
    if alert.state.over:
        because = f"{said}is {alert.state}: it has been calm for long enough"
    elif new and alert.fired_at == trace.time:
        because = f"{said}fires: p {signal.p_value:.2g} is at or below fire_p {thresholds.fire_p:g}"
        because = f"{said}fires: {raised.sentence}" if raised is not None else because
    else:
        because = f"{said}goes on, {alert.state} since {iso(alert.fired_at or alert.started_at)}"
    return _made(again.score, signal, thresholds, "alert", because, None, alert)


def _of_held(trace: Trace, again: Again, kind: str, held: Held) -> tuple[str, str, str]:
    """Return the reason, its sentence, and what would change it, for an alert that something holds back."""
    since = f", since {iso(held.since)}" if held.since < trace.time else ""
    if held.by == CALENDAR:
        change = "`tocsin policy history` of it tells by whom and why; change the window there, or take back the change"
        return held.by, f"window {held.window} mutes alerts{since}", change
    later = f"; asked again once it is {ASK_AGAIN:g} times as improbable" if since else ""
    budget = trace.ruling.policy.budget
    if held.by == FEEDBACK:
        notes = [one.sentence for one in again.step.feedback if one.kind == kind and one.effect == "held"]
        because = f"the like was called no anomaly{since}: {'; '.join(notes) or 'it goes on'}"
        return held.by, because, "say that it is one: `tocsin label ID --true` with the id of that label"
    if held.by == SOURCE_BUDGET:
        begun, most = again.lifecycle.held.spent or (0, 0)
        because = f"the source's budget: {begun} of {most} alerts within a day have begun, what is left is for rarer"
        return held.by, f"{because} ones{since}{later}", f"raise `per_source_a_day` ({budget.per_source_a_day:g})"
    left = f": it lets through what is at most {trace.asked[-1].level:.2g} times fire_p" if trace.asked else ""
    because = f"the budget that all sources share is nearly spent{left}"
    return held.by, f"{because}{since}{later}", "raise `telemetry.policy.budget.per_stream_a_day`"


def _of_gate(stop: str, thresholds: Thresholds, signal: SignalScore, score: Score) -> str:
    if stop == "enabled":
        return f"alerts of kind {signal.kind} are switched off"
    gates, value = thresholds.gates, score.values.get(signal.name or "")
    if stop == "direction" or value is None or value.expected is None:
        side = "above" if signal.direction > 0 else "below"
        return f"it is {side} what was expected, and only what is {gates.direction} matters"
    deviation = abs(value.value - value.expected)
    by = f"{signal.name} deviates by {number(deviation)} from the expected {number(value.expected)}"
    if stop == "min_deviation":
        return f"{by}, less than min_deviation {number(gates.min_deviation)}"
    return f"{by}, less than min_relative_deviation {gates.min_relative_deviation:.3g} of that"


def _made(
    score: Score,
    signal: SignalScore,
    thresholds: Thresholds,
    reason: str,
    because: str,
    change: str | None,
    alert: Alert | None = None,
) -> Finding:
    value = score.values.get(signal.name or "")
    own = dict(_compared(signal, value))
    return Finding(
        kind=signal.kind,
        name=signal.name,
        p_value=signal.p_value,
        fire_p=thresholds.fire_p,
        **own,
        reason=reason,
        because=because,
        change=change,
        alert_id=None if alert is None else alert.alert_id,
    )


def _compared(signal: SignalScore, value: ValueExplanation | None) -> Iterator[tuple[str, float | None]]:
    """Yield the value and what the signal compares it with: its own, where it has one."""
    if value is not None:
        own = signal if signal.expected is not None else value
        yield from (("value", value.value), ("expected", own.expected), ("lower", own.lower), ("upper", own.upper))
