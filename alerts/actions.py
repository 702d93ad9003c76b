"""All actions: proposed with their incidents, approved by people, verified by what becomes of the incident."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import msgspec

from alerts.action import Action, ActionSettings, ActionState, Call, proposed
from alerts.advice import Runbook
from alerts.incident import Incident

FORMAT, PREFIX = 1, "actions/"
REMEMBERED = 2000
"""Actions that are kept; beyond them the oldest that nothing is to become of any more go."""

AUTOMATIC_SCORE = 0.5
"""Score of the likeliest cause from which on what needs no approval is done."""


class ActionCommand(NamedTuple):
    """What a person says to an action: ``approve`` or ``deny``."""

    verb: str
    action_id: str
    by: str
    comment: str


class Run(NamedTuple):
    """Something that is now to be done, for an action in this version."""

    action: Action
    call: Call


class Actions:
    """Follows every action. It does nothing by itself: ``runs`` says what is to be done, ``ended`` what came of it.

    An action is approved, and thereby ``running``, before anything is done. Whoever runs it lets that be stored first.
    What was running when a process ended may have been done or not: it is ``interrupted``, and a person must say
    whether it is to be done again.

    Parameters
    ----------
    runbooks
        Whose steps can do something.
    states
        What was stored, by key.

    Raises
    ------
    ValueError
        If what was stored is of another format.

    Examples
    --------
    >>> from alerts.alert import Severity
    >>> from alerts.incident import Advice, IncidentState
    >>> step = {"text": "restart it", "action": {"command": ["restart-pump", "{cause}"]}}
    >>> actions = Actions([Runbook.model_validate({"name": "restart", "steps": ["look at it", step]})])
    >>> incident = Incident(
    ...     incident_id="i1", state=IncidentState.OPEN, severity=Severity.WARNING, started_at=0.0, opened_at=5.0,
    ...     updated_at=5.0, alert_count=1, active_count=1, source_count=1, summary="…",
    ...     advice=(Advice(runbook="restart", cause="pump-7", steps=("look at it", "restart it")),),
    ... )
    >>> (action,) = actions.see(incident, now=10.0)
    >>> [one.state.value for one in actions.obey(ActionCommand("approve", action.action_id, "ann", ""), now=20.0)]
    ['running']
    >>> [run.call.arguments(run.action) for run in actions.runs()]
    [['restart-pump', 'pump-7']]
    >>> [one.state.value for one in actions.ended(action.action_id, ok=True, detail="exit 0", now=21.0)]
    ['verifying']
    >>> over = incident.model_copy(update={"state": IncidentState.RESOLVED})
    >>> [one.state.value for one in actions.see(over, now=60.0)]
    ['verified']

    """

    def __init__(self, runbooks: Sequence[Runbook], states: Mapping[str, bytes] | None = None) -> None:
        self._steps = {
            (runbook.name, number): step
            for runbook in runbooks
            for number, step in enumerate(runbook.all_steps, 1)
            if step.action is not None
        }
        self._actions: dict[str, Action] = {}
        self._over: dict[str, None] = {}
        self._to_run: list[str] = []
        self._changed: dict[str, None] = {}
        for key, state in sorted((states or {}).items()):
            if key.startswith(PREFIX):
                self._restore(state)

    def __iter__(self) -> Iterator[Action]:
        return iter(self._actions.values())

    def see(self, incident: Incident, now: float) -> list[Action]:
        """Take in the present of an incident, and return the actions that it changes."""
        id_, ours = incident.incident_id, self._of(incident)
        if ours and incident.state.over != (id_ in self._over):
            self._changed.update(dict.fromkeys(one.action_id for one in ours))
        if incident.state.over:
            if ours:
                self._over[id_] = None
            return [self._with_the_incident(one, now) for one in ours if one.state.waits]
        self._over.pop(id_, None)
        changed: list[Action] = []
        for advice in incident.advice:
            for number in range(1, len(advice.steps) + 1):
                step = self._steps.get((advice.runbook, number))
                if step is None or step.action is None:
                    continue
                new = proposed(incident.incident_id, advice.runbook, number, step.text, advice.cause, now)
                if new.action_id not in self._actions:
                    changed.append(self._keep(new))
                    if step.action.approval == "automatic" and _is_likeliest(incident, advice.cause):
                        changed.append(self._run(new, now, None, "no approval is needed"))
        self._forget()
        return changed

    def obey(self, command: ActionCommand, now: float) -> list[Action]:
        """Do what a person says, and return the action that it changes; what cannot be is without effect."""
        action = self._actions.get(command.action_id)
        if action is None or self._call(action) is None:
            return []
        if command.verb == "approve" and action.state.may_be_approved and action.incident_id not in self._over:
            return [self._run(action, now, command.by, command.comment)]
        if command.verb == "deny" and action.state.may_be_approved and action.state is not ActionState.DENIED:
            return [self._keep(action.becomes(ActionState.DENIED, now, by=command.by, detail=command.comment))]
        return []

    def ended(self, action_id: str, *, ok: bool, detail: str, now: float) -> list[Action]:
        """Take in what came of something that was run."""
        action = self._actions.get(action_id)
        if action is None or not action.state.runs:
            return []
        if action.state is ActionState.UNDOING:
            return [self._keep(action.becomes(_UNDO[ok], now, detail=detail))]
        settings = self._settings(action)
        if not ok or settings is None or settings.verify is None:
            return [self._keep(action.becomes(ActionState.DONE if ok else ActionState.FAILED, now, detail=detail))]
        until = now + settings.verify
        changed = [self._keep(action.becomes(ActionState.VERIFYING, now, detail=detail, verify_until=until))]
        if action.incident_id in self._over:  # it was over before the action had ended
            changed.append(self._with_the_incident(changed[0], now))
        return changed

    def advance(self, now: float) -> list[Action]:
        """Return the actions of which it is now known that they did not help; those that can be undone are."""
        late = [one for one in self if one.state is ActionState.VERIFYING and now >= (one.verify_until or 0.0)]
        changed = []
        for action in late:
            failed = self._keep(action.becomes(ActionState.NOT_VERIFIED, now, detail="the incident goes on"))
            changed.append(failed)
            settings = self._settings(action)
            if settings is not None and settings.undo is not None:
                changed.append(self._keep(failed.becomes(ActionState.UNDOING, now)))
                self._to_run.append(action.action_id)
        return changed

    def runs(self) -> list[Run]:
        """Return what is to be done since the last call; let all that has changed be stored before it is."""
        wanted, self._to_run = self._to_run, []
        found = [(self._actions[id_], self._call(self._actions[id_])) for id_ in wanted if id_ in self._actions]
        return [Run(action, call) for action, call in found if call is not None and action.state.runs]

    def interrupt(self, now: float) -> list[Action]:
        """Say that the process which ran them is gone, and return the actions that were running."""
        running = [one for one in self if one.state.runs]
        detail = "the process ended meanwhile: look whether it was done"
        return [
            self._keep(
                one.becomes(
                    ActionState.UNDO_FAILED if one.state is ActionState.UNDOING else ActionState.INTERRUPTED,
                    now,
                    detail=detail,
                )
            )
            for one in running
        ]

    def changes(self) -> Iterator[tuple[str, bytes | None]]:
        """Yield the states that have changed since the last call, by key; ``None`` for one that is gone."""
        changed, self._changed = self._changed, {}
        for id_ in changed:
            action = self._actions.get(id_)
            if action is None:
                yield PREFIX + id_, None
            else:
                stored = (FORMAT, action.model_dump(), action.incident_id in self._over)
                yield PREFIX + id_, msgspec.msgpack.encode(stored)

    def _restore(self, state: bytes) -> None:
        found, said, over = msgspec.msgpack.decode(state)
        if found != FORMAT:
            raise ValueError(f"the state of an action has format {found}, this program reads {FORMAT}")
        action = Action.model_validate(said)
        self._actions[action.action_id] = action
        if over:
            self._over[action.incident_id] = None

    def _of(self, incident: Incident) -> list[Action]:
        return [one for one in self if one.incident_id == incident.incident_id]

    def _run(self, action: Action, now: float, by: str | None, detail: str) -> Action:
        self._to_run.append(action.action_id)
        return self._keep(action.becomes(ActionState.RUNNING, now, by=by, detail=detail))

    def _settings(self, action: Action) -> ActionSettings | None:
        """Return what an action can do, ``None`` if its runbook no longer says."""
        step = self._steps.get((action.runbook, action.step))
        return None if step is None else step.action

    def _call(self, action: Action) -> Call | None:
        """Return what an action does now, ``None`` if there is nothing."""
        settings = self._settings(action)
        return settings.undo if settings is not None and action.state is ActionState.UNDOING else settings

    def _with_the_incident(self, action: Action, now: float) -> Action:
        verified = action.state is ActionState.VERIFYING
        state = ActionState.VERIFIED if verified else ActionState.EXPIRED
        return self._keep(action.becomes(state, now, detail="the incident is over"))

    def _keep(self, action: Action) -> Action:
        self._actions[action.action_id] = action
        self._changed[action.action_id] = None
        return action

    def _forget(self) -> None:
        if len(self._actions) <= REMEMBERED:
            return
        idle = [one for one in self if not one.state.runs and not one.state.waits]
        for one in sorted(idle, key=lambda one: one.updated_at)[: len(self._actions) - REMEMBERED]:
            del self._actions[one.action_id]
            self._changed[one.action_id] = None
        known = {one.incident_id for one in self}
        self._over = {id_: None for id_ in self._over if id_ in known}


_UNDO = {True: ActionState.UNDONE, False: ActionState.UNDO_FAILED}


def _is_likeliest(incident: Incident, cause: str) -> bool:
    first = next(iter(incident.causes), None)
    return first is not None and first.source == cause and first.score >= AUTOMATIC_SCORE
