"""An alert: what is wrong, since when, how sure, and in which state its life is."""

from __future__ import annotations

import hashlib
import math
from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache
from typing import Annotated, Any, Literal

import msgspec
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, WithJsonSchema

from detectors.score import Foreseen


@lru_cache(maxsize=4096)
def iso(time: float) -> str:
    """Return epoch seconds as ISO 8601 in UTC with milliseconds.

    Examples
    --------
    >>> iso(1767225600.5)
    '2026-01-01T00:00:00.500Z'

    """
    return datetime.fromtimestamp(time, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _epoch_seconds(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    found = datetime.fromisoformat(value)
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


Time = Annotated[
    float,
    BeforeValidator(_epoch_seconds),
    PlainSerializer(iso, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]


class State(StrEnum):
    """Where an alert is in its life."""

    PENDING = "pending"
    FIRING = "firing"
    ACKNOWLEDGED = "acknowledged"
    RESOLVED = "resolved"
    RETRACTED = "retracted"

    @property
    def over(self) -> bool:
        """Whether nothing can follow."""
        return self in {State.RESOLVED, State.RETRACTED}


class Severity(StrEnum):
    """How much an alert matters, least first: its rank is 0 for info, 2 for critical."""

    rank: int

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"

    def __init__(self, _: str) -> None:
        self.rank = len(type(self).__members__)


class AlertValue(BaseModel):
    """One value of the event at the alert's peak, beside what was expected."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    value: float
    expected: float | None = None
    lower: float | None = None
    upper: float | None = None
    contribution: float = Field(description="Share of this value in the anomaly; the shares sum to 1")


class AlertSignal(BaseModel):
    """A signal that spoke when the alert was at its peak."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str
    p_value: float
    name: str | None = None
    started_at: Time | None = Field(None, description="Approximate start of what it sees; null means this event")


class AlertForeseen(BaseModel):
    """What an early warning foretells; times count from the alert's last change, in ``unit``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    event: Literal["limit", "failure"] = Field(description="A value crosses its limit, or a machine fails")
    probability: float = Field(ge=0, le=1, description="That it comes within the horizon")
    within: float = Field(description="The horizon")
    unit: str = Field(description="`s`, or what the machine's life is counted in")
    soonest: float | None = Field(None, description="Time until it comes in the soonest of cases")
    median: float | None = Field(None, description="In the middle of cases; null beyond the horizon")
    latest: float | None = Field(None, description="In the latest of cases; null beyond the horizon")
    limit: float | None = Field(None, description="The value's limit")
    per_hour: float | None = Field(None, description="By how much the value is foretold to move in an hour")
    reasons: tuple[str, ...] = Field((), description="What it rests on, in words")
    told: float | None = Field(None, description="The median that the alert was last changed for")

    @classmethod
    def of(cls, foreseen: Foreseen) -> AlertForeseen:
        """Return what an alert tells of what a signal foresees."""
        told = msgspec.to_builtins(foreseen)
        times = {name: _unless_beyond(told[name]) for name in ("soonest", "median", "latest")}
        return cls.model_validate({**told, **times, "told": times["median"]})


def _unless_beyond(time: float) -> float | None:
    return time if math.isfinite(time) else None


class AlertFeedback(BaseModel):
    """What a person's label did.

    Examples
    --------
    >>> AlertFeedback(effect="held", label="a1", by="ann", at=1767323045.0, kind="spike").sentence
    'held: feedback of ann, 2026-01-02, label a1'

    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    effect: Literal["held", "raised", "retracted"] = Field(
        description="`held`: looks like what was judged no anomaly, so it raises nothing; `raised`: looks like what was"
        " missed; `retracted`: the alert itself was judged"
    )
    label: str = Field(description="Id of the label")
    by: str | None = Field(None, description="Who said so")
    at: Time = Field(description="Time of the label")
    kind: str = Field(description="Kind of the signal")
    name: str | None = Field(None, description="The value that the signal is about")

    @property
    def sentence(self) -> str:
        """The same in words."""
        of = f" of {self.by}" if self.by else ""
        return f"{self.effect}: feedback{of}, {iso(self.at)[:10]}, label {self.label}"


class PolicyReference(BaseModel):
    """A version of a document of topic ``policies``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    version: int

    def __str__(self) -> str:
        return f"{self.name}@{self.version}"


What = Literal["state", "severity", "correction", "forecast", "comment", "assignee", "reminder", "escalation"]


class Transition(BaseModel):
    """One step in the life of an alert.

    Examples
    --------
    >>> Transition(state=State.ACKNOWLEDGED, at=1767323045.0, by="ann", note="I am on it").sentence
    '2026-01-02T03:04:05.000Z acknowledged by ann: I am on it'

    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    state: State = Field(description="State from then on")
    at: Time = Field(description="Event time; of what a person did, the time at which it was said")
    what: What = Field("state", description="What has changed")
    by: str | None = Field(None, description="Who did it; null if it follows from the events")
    note: str | None = Field(
        None,
        description="The new severity, assignee, number of reminders or level; a comment; why, if it was corrected or"
        " ended early; of a forecast the median time until it comes",
    )

    @property
    def sentence(self) -> str:
        """The same in words."""
        what = self.state.value if self.what == "state" else self.what
        return f"{iso(self.at)} {what}{f' by {self.by}' if self.by else ''}{f': {self.note}' if self.note else ''}"


class Alert(BaseModel):
    """The JSON value of topic ``alerts``: all there is to know of one alert now.

    Two values with the same ``alert_id`` and ``version`` are the same; the highest version is the present.

    Examples
    --------
    >>> alert = Alert(
    ...     alert_id="a1", stream="telemetry", source="pump-7", kind="spike", state=State.FIRING,
    ...     severity=Severity.WARNING, started_at=0.0, fired_at=0.0, updated_at=0.0, anomaly_score=0.7,
    ...     p_value=1e-6, summary="…",
    ... )
    >>> Alert.model_validate_json(alert.model_dump_json()) == alert
    True

    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    alert_id: str = Field(description="Derived from stream, source, kind and the time the alert began")
    stream: str = Field(description="Input topic that the alert is about")
    source: str = Field(description="Source or account")
    kind: str = Field(description="What kind of anomaly: spike, level, flatline, silence, fraud, …")
    state: State
    severity: Severity
    version: int = Field(1, ge=1, description="Counts the changes of this alert")
    started_at: Time = Field(description="Approximate start of what is wrong")
    fired_at: Time | None = None
    resolved_at: Time | None = None
    updated_at: Time
    anomaly_score: float = Field(ge=0, le=1, description="Highest so far")
    p_value: float = Field(ge=0, le=1, description="Lowest so far")
    direction: int = Field(0, ge=-1, le=1, description="1 above what was expected, -1 below, 0 neither")
    name: str | None = Field(None, description="The value that drove the alert")
    values: dict[str, AlertValue] = Field(default_factory=dict, description="Values at the alert's peak, by name")
    signals: tuple[AlertSignal, ...] = Field((), description="Signals that spoke at the alert's peak")
    feedback: tuple[AlertFeedback, ...] = Field((), description="Labels because of which it was raised or retracted")
    foreseen: AlertForeseen | None = Field(None, description="What an early warning foretells")
    expired: bool = Field(False, description="Resolved because nothing was heard of the source for so long")
    waiting_since: Time | None = Field(None, description="Since when it fires and nobody has acknowledged it")
    acknowledged_by: str | None = Field(None, description="Who has acknowledged it; null if nobody has")
    assignee: str | None = Field(None, description="Who is to look after it")
    reminders: int = Field(0, ge=0, description="How often it has been said again while nobody acknowledged it")
    reminded_at: Time | None = Field(None, description="When it was said again last")
    escalation: int = Field(0, ge=0, description="Level that it has reached while nobody acknowledged it")
    flapping: bool = Field(False, description="Begins so often that it only ends after a long calm")
    policies: tuple[PolicyReference, ...] = Field(
        (), description="Applied policies that governed it at its last change"
    )
    owner: str | None = Field(None, description="Whom it is for, as the policy says")
    runbook: str | None = Field(None, description="Where it says what to do, as the policy says")
    summary: str = Field(description="What happened, in one sentence")
    history: tuple[Transition, ...] = Field((), description="What has changed since it began; of many steps the newest")

    def encode(self) -> bytes:
        """Return the JSON value; the same alert always gives the same bytes."""
        return self.model_dump_json().encode()


def alert_id(stream: str, source: str, kind: str, began: float) -> str:
    """Return the id of an alert, which depends only on what it is about.

    Examples
    --------
    >>> alert_id("telemetry", "pump-7", "spike", 1767225600.0)
    '1a3d819cb05b264e8214'

    """
    about = "\x1f".join((stream, source, kind, began.hex()))
    return hashlib.sha256(about.encode()).hexdigest()[:20]
