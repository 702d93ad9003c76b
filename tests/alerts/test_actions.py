"""Actions on incidents: nothing is done that nobody approved, nothing twice, and history tells all of it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from pydantic import ValidationError

from alerts.action import Action, ActionState, Call
from alerts.actions import ActionCommand, Actions
from alerts.advice import Runbook
from alerts.alert import Severity
from alerts.incident import Advice, Cause, Incident, IncidentState
from tests.crashes import store

STEP = {
    "text": "restart it",
    "action": {"command": ["restart", "{cause}"], "verify": 60, "undo": {"command": ["stop", "{cause}"]}},
}
FOLLOWS: dict[ActionState, set[ActionState]] = {
    ActionState.PROPOSED: {ActionState.RUNNING, ActionState.DENIED, ActionState.EXPIRED},
    ActionState.DENIED: {ActionState.RUNNING},
    ActionState.EXPIRED: set(),
    ActionState.RUNNING: {ActionState.VERIFYING, ActionState.FAILED, ActionState.INTERRUPTED},
    ActionState.INTERRUPTED: {ActionState.RUNNING, ActionState.DENIED, ActionState.EXPIRED},
    ActionState.FAILED: {ActionState.RUNNING, ActionState.DENIED},
    ActionState.DONE: set(),
    ActionState.VERIFYING: {ActionState.VERIFIED, ActionState.NOT_VERIFIED},
    ActionState.VERIFIED: set(),
    ActionState.NOT_VERIFIED: {ActionState.UNDOING},
    ActionState.UNDOING: {ActionState.UNDONE, ActionState.UNDO_FAILED},
    ActionState.UNDONE: {ActionState.RUNNING, ActionState.DENIED},
    ActionState.UNDO_FAILED: set(),
}


def runbook(**action: Any) -> Runbook:
    step = STEP | {"action": STEP["action"] | action}  # type: ignore[operator]
    return Runbook.model_validate({"name": "restart", "steps": ["look at it", step]})


def incident(state: IncidentState = IncidentState.OPEN, cause: str = "pump-7", score: float = 0.9) -> Incident:
    return Incident(
        incident_id="i1",
        state=state,
        severity=Severity.WARNING,
        started_at=0.0,
        opened_at=5.0,
        updated_at=5.0,
        alert_count=1,
        active_count=1,
        source_count=1,
        summary="…",
        causes=(Cause(source=cause, score=score, observed=True),),
        advice=(Advice(runbook="restart", cause=cause, steps=("look at it", "restart it")),),
    )


def approve(action: Action, by: str = "ann") -> ActionCommand:
    return ActionCommand("approve", action.action_id, by, "")


def states(actions: list[Action]) -> list[str]:
    return [one.state.value for one in actions]


def test_without_runbooks_nothing_is_proposed():
    assert Actions([]).see(incident(), 0.0) == []


def test_nothing_is_done_before_somebody_approves_it_and_history_says_who():
    actions = Actions([runbook()])
    (action,) = actions.see(incident(), 10.0)
    assert actions.runs() == []
    (running,) = actions.obey(approve(action), 20.0)
    assert [(step.state, step.at, step.by) for step in running.history] == [
        ("proposed", 10.0, None),
        ("running", 20.0, "ann"),
    ]
    (run,) = actions.runs()
    assert run.call.arguments(run.action) == ["restart", "pump-7"]
    assert actions.runs() == []


def test_approved_twice_it_is_done_once():
    actions = Actions([runbook()])
    (action,) = actions.see(incident(), 10.0)
    actions.obey(approve(action), 20.0)
    assert actions.obey(approve(action, "bob"), 21.0) == []
    assert len(actions.runs()) == 1


def test_what_did_not_help_is_undone():
    actions = Actions([runbook()])
    (action,) = actions.see(incident(), 10.0)
    actions.obey(approve(action), 20.0)
    actions.runs()
    actions.ended(action.action_id, ok=True, detail="exit 0", now=22.0)
    assert actions.advance(81.9) == []
    assert states(actions.advance(82.0)) == ["not_verified", "undoing"]
    (run,) = actions.runs()
    assert run.call.arguments(run.action) == ["stop", "pump-7"]
    assert states(actions.ended(action.action_id, ok=True, detail="exit 0", now=83.0)) == ["undone"]


def test_an_incident_that_ends_while_the_action_runs_verifies_it():
    actions = Actions([runbook()])
    (action,) = actions.see(incident(), 10.0)
    actions.obey(approve(action), 20.0)
    actions.see(incident(IncidentState.RESOLVED), 21.0)
    assert states(actions.ended(action.action_id, ok=True, detail="exit 0", now=22.0)) == ["verifying", "verified"]


def test_the_proposals_of_an_incident_that_is_over_expire():
    actions = Actions([runbook()])
    (action,) = actions.see(incident(), 10.0)
    assert states(actions.see(incident(IncidentState.RESOLVED), 20.0)) == ["expired"]
    assert actions.obey(approve(action), 21.0) == []


@pytest.mark.parametrize(("score", "expected"), [(0.9, ["proposed", "running"]), (0.3, ["proposed"])])
def test_what_needs_no_approval_is_done_for_a_likely_cause_only(score: float, expected: list[str]):
    actions = Actions([runbook(approval="automatic")])
    assert states(actions.see(incident(score=score), 10.0)) == expected


def test_what_ran_when_the_process_ended_is_not_done_again_by_itself():
    stored: dict[str, bytes] = {}
    actions = Actions([runbook()])
    (action,) = actions.see(incident(), 10.0)
    actions.obey(approve(action), 20.0)
    store(stored, actions.changes())
    again = Actions([runbook()], stored)
    assert states(again.interrupt(30.0)) == ["interrupted"]
    assert again.runs() == []
    assert states(again.obey(approve(action), 40.0)) == ["running"]


def test_a_source_whose_name_begins_as_an_option_does_is_never_given_to_a_command():
    actions = Actions([runbook()])
    (action,) = actions.see(incident(cause="--force"), 10.0)
    with pytest.raises(ValueError, match=r"{cause} is '--force': it begins as an option does"):
        STEP_CALL.arguments(action)


STEP_CALL = Call.model_validate({"command": ["restart", "{cause}"]})


@pytest.mark.parametrize(
    ("action", "said"),
    [
        ({"webhook": "http://x/y", "command": ["a"]}, "name either a webhook or a command"),
        ({}, "name either a webhook or a command"),
        ({"command": ["a", "--of={cause}"]}, "make the field an argument of its own"),
        ({"command": ["a"], "verify": None, "undo": {"command": ["b"]}}, "undo: needs `verify`"),
    ],
)
def test_an_action_that_cannot_be_done_is_refused_with_the_reason(action: dict[str, Any], said: str):
    with pytest.raises(ValidationError, match=said):
        Runbook.model_validate({"name": "r", "steps": [{"text": "t", "action": action}]})


class AnyOrder(RuleBasedStateMachine):
    """People, incidents, processes and time do what they like, also crash between two steps."""

    @initialize()
    def begin(self) -> None:
        self.now, self.stored = 0.0, {}
        self.actions = Actions([runbook()])
        self.said: dict[int, Action] = {}
        self.approved = self.done = 0

    def note(self, changed: list[Action]) -> None:
        for action in changed:
            assert action.version == len(self.said) + 1
            if self.said:
                before = self.said[action.version - 1]
                assert action.state in FOLLOWS[before.state]
                assert action.history[: len(before.history)] == before.history or len(action.history) == 32
            assert action.history[-1].state is action.state
            self.said[action.version] = action
        store(self.stored, self.actions.changes())
        for run in self.actions.runs():
            self.done += run.action.state is ActionState.RUNNING

    @rule(over=st.booleans())
    def see(self, over: bool) -> None:
        self.note(self.actions.see(incident(IncidentState.RESOLVED if over else IncidentState.OPEN), self.now))

    @rule(verb=st.sampled_from(["approve", "deny", "dance"]))
    def say(self, verb: str) -> None:
        for action in list(self.actions):
            changed = self.actions.obey(ActionCommand(verb, action.action_id, "ann", ""), self.now)
            self.approved += verb == "approve" and bool(changed)
            self.note(changed)

    @rule(ok=st.booleans())
    def end(self, ok: bool) -> None:
        for action in list(self.actions):
            self.note(self.actions.ended(action.action_id, ok=ok, detail="", now=self.now))

    @rule(seconds=st.floats(0.1, 100))
    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.note(self.actions.advance(self.now))

    @rule()
    def crash(self) -> None:
        self.actions = Actions([runbook()], self.stored)
        self.note(self.actions.interrupt(self.now))

    @invariant()
    def is_done_as_often_as_it_was_approved(self) -> None:
        assert getattr(self, "done", 0) == getattr(self, "approved", 0)


AnyOrder.TestCase.settings = settings(max_examples=60, deadline=None)
test_in_any_order_nothing_is_done_that_was_not_approved_and_history_tells_all = AnyOrder.TestCase
