"""An alert that somebody acknowledges, nobody acknowledges, or that comes and goes."""

from __future__ import annotations

import itertools

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from alerts.alert import Alert, Severity, State
from alerts.commands import Command
from alerts.feedback import Feedback
from alerts.lifecycle import Lifecycle
from alerts.policy import Policy, Thresholds
from alerts.verdict import Label
from detectors.score import Score, SignalScore

NORMAL = Score(1.0, 0.0)
WALL = 1_767_225_600.0


def odd(p_value: float = 1e-5, kind: str = "spike") -> Score:
    return Score(p_value, 0.9, (SignalScore(kind, p_value, "x", 1),))


def lifecycle(**thresholds: object) -> Lifecycle:
    return Lifecycle("telemetry", "pump-7", Policy(default=Thresholds.model_validate(thresholds)))


def play(life: Lifecycle, scores: list[Score], start: float = 0.0, every: float = 1.0) -> list[Alert]:
    return [alert for i, score in enumerate(scores) for alert in life.step(start + every * i, score).changes]


def say(life: Lifecycle, order: str, alert: Alert, **said: str) -> tuple[Alert, ...]:
    return life.command(Command(WALL, order, alert.alert_id, "ann", **said))  # type: ignore[arg-type]


def test_an_acknowledged_alert_goes_on_and_resolves():
    life = lifecycle()
    (firing,) = play(life, [odd()])
    (acknowledged,) = say(life, "acknowledge", firing, comment="I am on it")
    assert (acknowledged.state, acknowledged.acknowledged_by, acknowledged.version) == (State.ACKNOWLEDGED, "ann", 2)
    assert acknowledged.history[-1].sentence == "2026-01-01T00:00:00.000Z acknowledged by ann: I am on it"
    assert life.step(1.0, odd()).alert
    (resolved,) = play(life, [NORMAL] * 5, start=2.0)
    assert (resolved.state, resolved.acknowledged_by, resolved.version) == (State.RESOLVED, "ann", 3)


def test_an_acknowledgement_that_is_taken_back_lets_the_alert_fire_and_wait_again():
    life = lifecycle(remind_every=10)
    (firing,) = play(life, [odd()])
    say(life, "acknowledge", firing)
    assert play(life, [odd()] * 30, start=1.0) == []
    (again,) = say(life, "unacknowledge", firing)
    assert (again.state, again.acknowledged_by, again.waiting_since) == (State.FIRING, None, 30.0)
    assert [alert.reminded_at for alert in play(life, [odd()] * 11, start=31.0)] == [40.0]


def test_who_was_assigned_and_what_was_said_is_in_the_history():
    life = lifecycle()
    (firing,) = play(life, [odd()])
    say(life, "assign", firing, assignee="bob")
    (commented,) = say(life, "comment", firing, comment="as last week")
    assert commented.assignee == "bob"
    assert [(step.what, step.by, step.note) for step in commented.history[1:]] == [
        ("assignee", "ann", "bob"),
        ("comment", "ann", "as last week"),
    ]


def test_a_command_that_changes_nothing_makes_no_version():
    life = lifecycle(fire_after=5)
    (pending,) = play(life, [odd()])
    assert say(life, "acknowledge", pending) == ()
    (firing,) = play(life, [odd()] * 6, start=1.0)
    assert say(life, "unacknowledge", firing) == ()
    assert len(say(life, "acknowledge", firing)) == 1
    assert say(life, "acknowledge", firing) == ()
    assert say(life, "assign", firing) == ()
    play(life, [NORMAL] * 5, start=10.0)
    assert say(life, "comment", firing, comment="too late") == ()


def test_a_firing_alert_is_said_again_until_somebody_acknowledges_it():
    life = lifecycle(remind_every=10)
    said = play(life, [odd()] * 25)
    assert [(alert.version, alert.reminders, alert.reminded_at) for alert in said] == [
        (1, 0, None),
        (2, 1, 10.0),
        (3, 2, 20.0),
    ]
    say(life, "acknowledge", said[0])
    assert play(life, [odd()] * 25, start=25.0) == []


def test_an_alert_that_nobody_acknowledges_is_escalated_level_by_level():
    said = play(lifecycle(escalate_after=[5, 20]), [odd()] * 30)
    assert [(alert.escalation, alert.updated_at) for alert in said] == [(0, 0.0), (1, 5.0), (2, 20.0)]
    assert said[-1].history[-1].sentence == "1970-01-01T00:00:20.000Z escalation: 2"


def test_levels_must_rise():
    with pytest.raises(ValidationError, match="each level comes later"):
        Thresholds(escalate_after=(20, 10))


def test_one_that_comes_and_goes_becomes_one_alert_that_lasts():
    on_and_off = [odd(), *[NORMAL] * 5] * 20
    assert len([alert for alert in play(lifecycle(), on_and_off) if alert.state is State.FIRING]) == 20
    damped = play(lifecycle(flap_after=3, flap_window=60), [*on_and_off, *[NORMAL] * 60])
    assert [(alert.state.value, alert.flapping) for alert in damped] == [
        *[("firing", False), ("resolved", False)] * 2,
        *[("firing", True), ("resolved", True)],
    ]
    assert damped[-1].updated_at - damped[-2].updated_at > 60


def test_of_a_long_history_the_beginning_and_the_newest_are_kept():
    life = lifecycle()
    (firing,) = play(life, [odd()])
    for number in range(100):
        (last,) = say(life, "comment", firing, comment=str(number))
    assert (len(last.history), last.history[0], last.history[-1].note) == (64, firing.history[0], "99")


KINDS = ("spike", "level")
ORDERS = ("acknowledge", "unacknowledge", "comment", "assign")
SCORES = st.builds(odd, st.sampled_from((1e-9, 1e-5, 1e-3, 0.5)), st.sampled_from(KINDS))
EVENTS = st.tuples(st.just("event"), st.floats(-400, 400), SCORES | st.just(NORMAL))
COMMANDS = st.tuples(st.just("command"), st.sampled_from(ORDERS), st.integers(0, 30))
SILENCES = st.tuples(st.just("silence"), st.floats(0, 300), st.booleans())
LABELS = st.tuples(st.just("label"), st.booleans(), st.integers(0, 30))
STEPS = st.lists(EVENTS | COMMANDS | SILENCES | LABELS, max_size=40)
POLICIES = st.builds(
    Thresholds,
    fire_after=st.sampled_from((0.0, 50.0)),
    resolve_after=st.sampled_from((0.0, 100.0)),
    resolve_after_events=st.integers(1, 3),
    flap_after=st.sampled_from((None, 2)),
    remind_every=st.sampled_from((None, 60.0)),
    escalate_after=st.sampled_from(((), (30.0, 90.0))),
)


def labelled(policy: Policy) -> Lifecycle:
    return Lifecycle("telemetry", "pump-7", policy, Feedback("telemetry", "pump-7"))


def run(life: Lifecycle, steps: list[tuple], told: list[Alert], cut: int | None = None) -> Lifecycle:
    """Play events at times that may go back, commands to and labels of whatever has been told, and silences."""
    now = 0.0
    for number, step in enumerate(steps):
        if number == cut:
            again = labelled(life._policy)
            again.restore(msgspec.msgpack.decode(msgspec.msgpack.encode(life.snapshot())))
            life = again
        if step[0] == "event":
            now = max(0.0, now + step[1])
            told += life.step(now, step[2]).changes
        elif step[0] == "command" and told:
            alert = told[step[2] % len(told)]
            told += life.command(Command(WALL + number, step[1], alert.alert_id, "ann", "so", f"a{step[2] % 2}"))
        elif step[0] == "label" and told:
            about = told[step[2] % len(told)].alert_id
            told += life.judge(now, Label(now, about, 0, number, step[1], "ann"), 60.0)[1]
        elif step[0] == "silence":
            told += life.silent(now, 10.0)
            now += 10.0 + step[1]
            told += life.heard(now, really=step[2])
    return life


def told_by_history(alert: Alert) -> tuple[object, ...]:
    """Return what an alert is, from its history alone."""
    assignee, acknowledged = None, None
    for step in alert.history:
        if step.what == "assignee":
            assignee = step.note
        if step.what == "state" and step.state is State.ACKNOWLEDGED:
            acknowledged = step.by
        if step.what == "state" and step.state is State.FIRING:
            acknowledged = None
    return alert.history[-1].state, assignee, acknowledged


@settings(deadline=None, max_examples=60)
@given(policy=POLICIES, steps=STEPS)
def test_no_order_of_events_and_commands_leads_to_what_history_does_not_explain(policy, steps):
    told: list[Alert] = []
    life = run(labelled(Policy(default=policy)), steps, told)
    by_id = {
        key: list(found)
        for key, found in itertools.groupby(sorted(told, key=lambda a: a.alert_id), lambda a: a.alert_id)
    }
    allowed = {
        State.PENDING: {State.PENDING, State.FIRING, State.RESOLVED, State.RETRACTED},
        State.FIRING: {State.FIRING, State.ACKNOWLEDGED, State.RESOLVED, State.RETRACTED},
        State.ACKNOWLEDGED: {State.ACKNOWLEDGED, State.FIRING, State.RESOLVED, State.RETRACTED},
    }
    for versions in by_id.values():
        assert [alert.version for alert in versions] == list(range(1, len(versions) + 1))
        for before, after in itertools.pairwise(versions):
            assert after.state in allowed[before.state]
            assert after.history[: len(before.history)] == before.history
            assert len(after.history) > len(before.history)
            assert after.severity.rank >= before.severity.rank
        for alert in versions:
            assert told_by_history(alert) == (alert.state, alert.assignee, alert.acknowledged_by)
            grown = [step.note for step in alert.history if step.what == "severity"]
            assert not grown or alert.severity is Severity(grown[-1])
            assert (alert.waiting_since is not None) == (alert.state is State.FIRING)
    active = {alert.alert_id for alert in life.active}
    assert active == {key for key, versions in by_id.items() if not versions[-1].state.over}  # no resolution is lost
    assert len({alert.kind for alert in life.active}) == len(active)  # of each kind one


@settings(deadline=None, max_examples=60)
@given(policy=POLICIES, steps=STEPS, cut=st.integers(0, 40))
def test_a_state_taken_up_again_goes_on_as_if_nothing_had_been(policy, steps, cut):
    told: list[Alert] = []
    again: list[Alert] = []
    run(labelled(Policy(default=policy)), steps, told)
    run(labelled(Policy(default=policy)), steps, again, cut)
    assert again == told
