"""An action on an incident: what a step of a runbook can do by itself, and what has become of it."""

from __future__ import annotations

import hashlib
from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from alerts.alert import Time
from alerts.durations import Duration

FIELDS = ("{action_id}", "{incident_id}", "{cause}", "{runbook}")
"""Words of a command that stand for something of the incident, each as a whole."""


class Call(BaseModel):
    """Something that can be done: an HTTP address that is posted to, or a command."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    webhook: Annotated[str, StringConstraints(pattern=r"^https?://[^\s/]+")] | None = Field(
        None, description="Where to post to; what is posted says what the action is about"
    )
    command: tuple[str, ...] | None = Field(
        None,
        min_length=1,
        description="Program and arguments; no shell reads them. `{cause}`, `{incident_id}`, `{action_id}` and"
        " `{runbook}` stand for themselves, each as a whole argument",
    )
    timeout: Duration = Field(30.0, gt=0, le=3600, description="Time it may take")

    @model_validator(mode="after")
    def _does_one_thing(self) -> Self:
        if (self.webhook is None) == (self.command is None):
            raise ValueError("name either a webhook or a command")
        for word in self.command or ():
            if word not in FIELDS and any(one in word for one in FIELDS):
                raise ValueError(f"command: {word!r} holds a field; make the field an argument of its own")
        return self

    def arguments(self, action: Action) -> list[str]:
        """Return program and arguments for an action.

        Raises
        ------
        ValueError
            If a field would be taken for an option: names of sources come from events.

        """
        said = dict(zip(FIELDS, (action.action_id, action.incident_id, action.cause, action.runbook), strict=True))
        for word in self.command or ():
            if said.get(word, "").startswith("-"):
                raise ValueError(f"{word} is {said[word]!r}: it begins as an option does")
        return [said.get(word, word) for word in self.command or ()]


class ActionSettings(Call):
    """What a step of a runbook can do by itself, who must approve it, and how to know whether it helped."""

    approval: Literal["required", "automatic"] = Field(
        "required", description="`automatic` does it without a person if the cause is the likeliest one"
    )
    verify: Duration | None = Field(
        600.0, gt=0, description="Time within which the incident must be over, or it did not help; `null` asks nothing"
    )
    undo: Call | None = Field(None, description="What is done if it did not help")

    @model_validator(mode="after")
    def _is_verified_before_it_is_undone(self) -> Self:
        if self.undo is not None and self.verify is None:
            raise ValueError("undo: needs `verify`: without it nobody knows that it did not help")
        return self


class ActionState(StrEnum):
    """Where an action is in its life."""

    PROPOSED = "proposed"
    DENIED = "denied"
    EXPIRED = "expired"
    RUNNING = "running"
    INTERRUPTED = "interrupted"
    FAILED = "failed"
    DONE = "done"
    VERIFYING = "verifying"
    VERIFIED = "verified"
    NOT_VERIFIED = "not_verified"
    UNDOING = "undoing"
    UNDONE = "undone"
    UNDO_FAILED = "undo_failed"

    @property
    def runs(self) -> bool:
        """Whether something is being done."""
        return self in {ActionState.RUNNING, ActionState.UNDOING}

    @property
    def may_be_approved(self) -> bool:
        """Whether a person may say that it shall be done, for the first time or again."""
        return self in {
            *(ActionState.PROPOSED, ActionState.DENIED, ActionState.INTERRUPTED, ActionState.FAILED),
            *(ActionState.NOT_VERIFIED, ActionState.UNDONE),
        }

    @property
    def waits(self) -> bool:
        """Whether it waits for a person, or to know whether it helped: with the incident, that ends."""
        return self in {ActionState.PROPOSED, ActionState.INTERRUPTED, ActionState.VERIFYING}


class ActionStep(BaseModel):
    """One change of an action."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    at: Time
    state: ActionState
    by: str | None = Field(None, description="Who said so; null if nobody did")
    detail: str = ""


class Action(BaseModel):
    """The JSON value of topic ``actions``: all that has become of one action.

    Examples
    --------
    >>> action = proposed("i1", "restart", 2, "restart the pump", "pump-7", at=0.0)
    >>> action.state.value, Action.model_validate_json(action.encode()) == action
    ('proposed', True)

    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    action_id: str = Field(description="Derived from the incident, the step and the cause")
    version: int = Field(1, ge=1, description="Counts its changes")
    incident_id: str
    runbook: str
    step: int = Field(ge=1, description="Number of the step in its runbook")
    text: str = Field(description="The step, for people")
    cause: str = Field(description="Source that it is about")
    state: ActionState
    updated_at: Time
    verify_until: Time | None = Field(None, description="While it is not known whether it helped: until when it can be")
    history: tuple[ActionStep, ...]

    def encode(self) -> bytes:
        """Return the JSON value; the same action always gives the same bytes."""
        return self.model_dump_json().encode()

    @property
    def sentence(self) -> str:
        """Say what has become of it, for the timeline of its incident."""
        last = self.history[-1]
        by = f" by {last.by}" if last.by else ""
        detail = f": {last.detail}" if last.detail else ""
        what = f"{self.runbook} {self.step} on {self.cause}, action {self.action_id[:8]}"
        return f"{what}: {self.state.value.replace('_', ' ')}{by}{detail}"[:1000]

    def becomes(
        self,
        state: ActionState,
        at: float,
        *,
        by: str | None = None,
        detail: str = "",
        verify_until: float | None = None,
    ) -> Action:
        """Return the action after a change; of a long history, the first and the last steps are kept."""
        history = (*self.history, ActionStep(at=at, state=state, by=by, detail=detail))
        if len(history) > MOST_STEPS:
            history = (history[0], *history[2:])
        return self.model_copy(
            update={
                "version": self.version + 1,
                "state": state,
                "updated_at": at,
                "verify_until": verify_until,
                "history": history,
            }
        )


MOST_STEPS = 32


def proposed(incident_id: str, runbook: str, step: int, text: str, cause: str, at: float) -> Action:
    """Return a new action that waits for approval."""
    about = "\x1f".join(("action", incident_id, runbook, str(step), cause))
    return Action(
        action_id=hashlib.sha256(about.encode()).hexdigest()[:20],
        incident_id=incident_id,
        runbook=runbook,
        step=step,
        text=text,
        cause=cause,
        state=ActionState.PROPOSED,
        updated_at=at,
        history=(ActionStep(at=at, state=ActionState.PROPOSED),),
    )
