"""What the input topics carry, as pydantic models that are decoded straight from bytes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictBool, WithJsonSchema, model_validator

from alerts.commands import Command, Order
from streams.settings import Settings

Name = Annotated[str, Field(strict=True, min_length=1, max_length=256, pattern=r"^[^\x00-\x1f\x7f]+$")]
"""An identifier: up to 256 characters, none of them a control character."""

Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
"""A finite number; a string or a truth value is not one."""

Timestamp = Annotated[
    datetime, WithJsonSchema({"anyOf": [{"type": "string", "format": "date-time"}, {"type": "number"}]})
]
"""ISO 8601, or a number: epoch seconds up to 2e10 (the year 2603), epoch milliseconds beyond. Without a zone: UTC."""


class Event(BaseModel):
    """What all input events have in common: a time, and fields that nobody asked for kept as attributes."""

    model_config = ConfigDict(extra="allow", ser_json_timedelta="float")

    timestamp: Timestamp = Field(description="Event time: ISO 8601, epoch seconds or epoch milliseconds")

    @property
    def time(self) -> float:
        """Event time, epoch seconds."""
        return _epoch(self.timestamp)


def _epoch(at: datetime) -> float:
    return at.timestamp() if at.tzinfo is not None else at.replace(tzinfo=UTC).timestamp()


class AttributedEvent(Event):
    """An event with attributes; unknown fields are kept among them."""

    attributes: dict[str, Any] = Field(default_factory=dict, description="Anything else worth keeping")

    @property
    def all_attributes(self) -> dict[str, Any]:
        """Declared attributes, and unknown fields."""
        return {**(self.model_extra or {}), **self.attributes}


class TelemetryEvent(AttributedEvent):
    """Readings of one source at one time; the record key is the source.

    Examples
    --------
    >>> event = TelemetryEvent.model_validate_json(
    ...     '{"source": "pump-7", "timestamp": "2026-01-02T03:04:05Z", "values": {"temperature": 71.2}, "site": "A"}'
    ... )
    >>> event.values, event.time, event.all_attributes
    ({'temperature': 71.2}, 1767323045.0, {'site': 'A'})

    """

    source: Name = Field(description="What the readings are of")
    values: dict[Name, Number | None] = Field(
        min_length=1, description="Finite numbers by name; null means that a value is missing"
    )
    event_id: Name | None = Field(None, description="Names the event, so that a repetition is recognised")

    @property
    def readings(self) -> dict[str, float]:
        """The values that are there."""
        return {name: value for name, value in self.values.items() if value is not None}


class TransactionEvent(AttributedEvent):
    """One transaction; the record key is the account.

    Examples
    --------
    >>> event = TransactionEvent.model_validate_json(
    ...     '{"transaction_id": "t1", "timestamp": 1767323045, "account": "a", "counterparty": "b", "amount": 9.5}'
    ... )
    >>> event.time, event.amount
    (1767323045.0, 9.5)

    """

    transaction_id: Name = Field(description="Names the transaction; labels refer to it")
    account: Name = Field(description="Who pays")
    counterparty: Name = Field(description="Who is paid: a merchant, terminal or account")
    amount: Annotated[Number, Field(ge=0)] = Field(description="Amount, in units of the currency")
    currency: Annotated[str, Field(strict=True, max_length=16)] | None = Field(None, description="ISO 4217 code")
    channel: Annotated[str, Field(strict=True, max_length=64)] | None = Field(None, description="How it was paid")


class LabelEvent(Event):
    """The truth about a transaction, an event or an alert, known later; the record key is the id.

    Telemetry that has no event ids is named by source and time; then the id may be any name for the label itself.
    """

    id: Name = Field(description="Transaction, event or alert id")
    label: StrictBool = Field(description="true: fraud, or a true anomaly; false: neither")
    by: Annotated[str, Field(strict=True, max_length=256)] | None = Field(None, description="Who says so")
    source: Name | None = Field(None, description="Source of a telemetry event that has no id")
    at: Timestamp | None = Field(None, description="Time of that event, as `timestamp`")

    @property
    def event_time(self) -> float | None:
        """Time of the event that is meant, epoch seconds."""
        return None if self.at is None else _epoch(self.at)


SAYS = (
    *(("comment", "comment"), ("resolved_by", "comment"), ("merge", "into")),
    *(("approve", "action_id"), ("deny", "action_id")),
)
"""Commands, and the field that each needs."""


class CommandEvent(Event):
    """What a person says to an alert, or to an incident; the record key is the id of either.

    Examples
    --------
    >>> command = CommandEvent.model_validate_json(
    ...     '{"alert_id": "1a3d", "source": "pump-7", "command": "acknowledge", "by": "ann", "timestamp": 1767323045}'
    ... )
    >>> command.command, command.by
    ('acknowledge', 'ann')

    """

    alert_id: Name | None = Field(None, description="The alert")
    source: Name | None = Field(None, description="Source of the alert")
    incident_id: Name | None = Field(None, description="Or the incident")
    command: Order = Field(
        description="What to do; the last five are for incidents: `merge` into another, `split` off the alerts of"
        " `sources`, `resolved_by` keeps what helped (`comment`) for the next time, `approve` or `deny` one of their"
        " actions"
    )
    by: Annotated[str, Field(strict=True, min_length=1, max_length=256)] = Field(description="Who says so")
    comment: Annotated[str, Field(strict=True, min_length=1, max_length=1000)] | None = Field(
        None, description="What they say with it; `comment` and `resolved_by` need it"
    )
    assignee: Annotated[str, Field(strict=True, min_length=1, max_length=256)] | None = Field(
        None, description="With `assign`: who shall look after it; null is nobody"
    )
    into: Name | None = Field(None, description="With `merge`: the incident that goes on")
    sources: tuple[Name, ...] = Field((), description="With `split`: sources whose alerts shall be one of their own")
    action_id: Name | None = Field(None, description="With `approve` and `deny`: the action of the incident")

    @property
    def to_alert(self) -> tuple[str, Command] | None:
        """The source of the alert that it is to, and the command; ``None`` if it is to an incident."""
        if self.alert_id is None or self.source is None:
            return None
        return self.source, Command(self.time, self.command, self.alert_id, self.by, self.comment, self.assignee)

    @model_validator(mode="after")
    def _is_about_something(self) -> CommandEvent:
        if self.incident_id is None:
            for name in ("alert_id", "source"):
                if getattr(self, name) is None:
                    raise ValueError(f"{name}: the field is missing: add it, or the incident_id of an incident")
            if self.command in ("merge", "split", "resolved_by", "approve", "deny"):
                raise ValueError(f"command: {self.command} is for incidents: name one by its incident_id")
        elif self.command == "unacknowledge":
            raise ValueError("command: unacknowledge is for alerts: name one by its alert_id and source")
        return self

    @model_validator(mode="after")
    def _says_something(self) -> CommandEvent:
        for command, name in SAYS:
            if self.command == command and getattr(self, name) is None:
                raise ValueError(f"{name}: the field is missing: {command} needs it")
        if self.command == "split" and not self.sources:
            raise ValueError("sources: the field is missing: split needs it")
        return self


class PromotionEvent(Event):
    """Which fraud model shall decide; the record key is any name for the event.

    Examples
    --------
    >>> event = PromotionEvent.model_validate_json(
    ...     '{"order": "promote", "model": "slow", "by": "ann", "timestamp": 1767323045}'
    ... )
    >>> event.order, event.model
    ('promote', 'slow')

    """

    order: Literal["promote", "rollback"] = Field(
        description="`promote` a model to champion, or go back to the champion before (`rollback`), in each partition"
    )
    model: Name | None = Field(None, description="With `promote`: the model")
    by: Annotated[str, Field(strict=True, min_length=1, max_length=256)] = Field(description="Who says so")
    reason: Annotated[str, Field(strict=True, min_length=1, max_length=1000)] | None = Field(None, description="Why")

    @model_validator(mode="after")
    def _names_a_model_to_promote(self) -> PromotionEvent:
        if self.order == "promote" and self.model is None:
            raise ValueError("model: the field is missing: promote needs it")
        if self.order == "rollback" and self.model is not None:
            raise ValueError("model: rollback goes back to the champion before: leave the field out")
        return self


class EventLimits(Settings):
    """What an event may be; one beyond them becomes a dead letter."""

    max_bytes: int = Field(65_536, ge=256, le=900_000, description="Largest event, in bytes.")
    max_values: int = Field(256, ge=1, description="Most values in a telemetry event.")
    max_late: float = Field(
        86_400.0,
        gt=0,
        description="Seconds that an event may be older than the newest of its source or account.",
    )
    max_ahead: float = Field(
        600.0, gt=0, description="Seconds that an event may be ahead of the time at which it was produced."
    )
