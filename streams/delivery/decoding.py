"""From a record of a topic that the notifier reads to what it says, or to the reason why it says nothing."""

from __future__ import annotations

from typing import TypeVar

from pydantic import BaseModel, ValidationError

from alerts.actions import ActionCommand
from alerts.alert import Alert
from alerts.happening import ChangeEvent, IncidentCommand
from alerts.silences import Silence
from streams.codec import Reason, Rejected, explain
from streams.processor import Record
from streams.schemas import CommandEvent

M = TypeVar("M", bound=BaseModel)


def alert_in(record: Record) -> Alert | Rejected:
    """Return the alert that a record holds."""
    found = _decoded(Alert, record.value or b"")
    if isinstance(found, Alert) and record.key != found.alert_id.encode():
        return Rejected(Reason.KEY_MISMATCH, "the key is not the alert_id: produce with the alert_id as key")
    return found


def silence_in(record: Record) -> Silence | Rejected:
    """Return the silence that a record holds."""
    found = _decoded(Silence, record.value or b"")
    if isinstance(found, Silence) and record.key != found.silence_id.encode():
        return Rejected(Reason.KEY_MISMATCH, "the key is not the silence_id: produce with the silence_id as key")
    return found


def change_in(record: Record) -> ChangeEvent | None:
    """Return the change that a record holds; what cannot be read, the workers tell."""
    change = _decoded(ChangeEvent, record.value or b"")
    return None if isinstance(change, Rejected) else change


def incident_command_in(record: Record) -> IncidentCommand | ActionCommand | None:
    """Return the command to an incident, or to one of its actions; what cannot be read, the workers tell."""
    event = _decoded(CommandEvent, record.value or b"")
    if isinstance(event, Rejected) or event.incident_id is None:
        return None
    if event.command in ("approve", "deny") and event.action_id is not None:
        return ActionCommand(event.command, event.action_id, event.by, event.comment or "")
    verb = {"comment": "note"}.get(event.command, event.command)
    said = {"assign": event.assignee, "merge": event.into}.get(verb, event.comment)
    return IncidentCommand.model_validate(
        {
            "verb": verb,
            "incident_id": event.incident_id,
            "timestamp": event.time,
            "by": event.by,
            "text": said or "",
            "sources": event.sources,
        }
    )


def _decoded(model: type[M], value: bytes) -> M | Rejected:
    try:
        return model.model_validate_json(value)
    except ValidationError as error:
        return explain(error, value)
