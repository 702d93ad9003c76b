"""From a record of topic `alerts` or `silences` to what it says, or to the reason why it says nothing."""

from __future__ import annotations

from typing import TypeVar

from pydantic import BaseModel, ValidationError

from alerts.alert import Alert
from alerts.silences import Silence
from streams.codec import Reason, Rejected, explain
from streams.processor import Record

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


def _decoded(model: type[M], value: bytes) -> M | Rejected:
    try:
        return model.model_validate_json(value)
    except ValidationError as error:
        return explain(error, value)
