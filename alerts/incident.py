"""An incident: alerts that belong together, what caused them, and what to do about it."""

from __future__ import annotations

import hashlib
from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from alerts.alert import Severity, State, Time


class IncidentState(StrEnum):
    """Where an incident is in its life."""

    OPEN = "open"
    ACKNOWLEDGED = "acknowledged"
    RESOLVED = "resolved"
    RETRACTED = "retracted"
    MERGED = "merged"

    @property
    def over(self) -> bool:
        """Whether nobody needs to do anything; only a resolved one may be opened again."""
        return self in {IncidentState.RESOLVED, IncidentState.RETRACTED, IncidentState.MERGED}


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class IncidentAlert(_Value):
    """One alert of an incident, in short; topic ``alerts`` has the rest."""

    alert_id: str
    source: str
    kind: str
    name: str | None = Field(None, description="The value that drove the alert")
    state: State
    severity: Severity
    started_at: Time
    p_value: float = Field(description="Lowest so far")


class Evidence(_Value):
    """Why a cause is thought to be one."""

    kind: Literal["position", "lag", "change", "contribution"]
    weight: float = Field(ge=0, le=1, description="How much it speaks for this cause, compared with the other kinds")
    detail: str = Field(description="The same in words, with its numbers")


class Cause(_Value):
    """Something that may have caused an incident."""

    source: str
    score: float = Field(ge=0, le=1, description="Share of what speaks for any cause; the shares sum to at most 1")
    observed: bool = Field(description="Whether it raised an alert itself; if not, only what depends on it did")
    change_id: str | None = Field(None, description="The change that may have done it")
    evidence: tuple[Evidence, ...] = Field((), description="Strongest first")


class PastIncident(_Value):
    """An earlier incident that looked alike."""

    incident_id: str
    similarity: float = Field(ge=0, le=1, description="1 if sources, kinds and cause are the same")
    cause: str | None = Field(None, description="What was thought its first cause when it ended")
    started_at: Time
    lasted: float = Field(ge=0, description="Seconds until it was resolved")
    resolved_by: str | None = Field(None, description="What resolved it, as far as is known")


class Advice(_Value):
    """Steps of a runbook that fit a cause."""

    runbook: str
    cause: str = Field(description="Source that the steps are about")
    steps: tuple[str, ...]
    url: str | None = None


class Happened(StrEnum):
    """What happened in an incident."""

    ALERT = "alert"
    CHANGE = "change"
    OPENED = "opened"
    REOPENED = "reopened"
    ACKNOWLEDGED = "acknowledged"
    CAUSE = "cause"
    OWNER = "owner"
    MERGED = "merged"
    SPLIT = "split"
    NOTE = "note"
    RESOLVED = "resolved"
    RETRACTED = "retracted"


class TimelineEntry(_Value):
    """One thing that happened in an incident."""

    at: Time
    what: Happened
    detail: str


class Incident(_Value):
    """The JSON value of topic ``incidents``: all there is to know of one incident now.

    Two values with the same ``incident_id`` and ``version`` are the same; the highest version is the present.

    Examples
    --------
    >>> incident = Incident(
    ...     incident_id="i1", state=IncidentState.OPEN, severity=Severity.WARNING, started_at=0.0, opened_at=5.0,
    ...     updated_at=5.0, alert_count=1, active_count=1, source_count=1, summary="…",
    ... )
    >>> Incident.model_validate_json(incident.encode()) == incident
    True

    """

    incident_id: str = Field(description="Derived from the alert that it began with")
    version: int = Field(1, ge=1, description="Counts the changes of this incident")
    state: IncidentState
    severity: Severity = Field(description="Highest of its alerts so far")
    owner: str | None = Field(None, description="Who takes care of it")
    started_at: Time = Field(description="Approximate start of what is wrong")
    opened_at: Time = Field(description="When it was first said")
    updated_at: Time
    resolved_at: Time | None = None
    merged_into: str | None = Field(None, description="The incident that goes on in its place")
    split_from: str | None = Field(None, description="The incident that it was part of")
    reopened: int = Field(0, ge=0, description="How often it came back after it was resolved")
    alert_count: int = Field(ge=0, description="Alerts so far, without those retracted")
    active_count: int = Field(ge=0, description="Of these, those not over")
    source_count: int = Field(ge=0, description="Sources of these alerts")
    alerts: tuple[IncidentAlert, ...] = Field((), description="Those of causes first, then the earliest; of many, some")
    causes: tuple[Cause, ...] = Field((), description="What may have caused it, likeliest first; never a symptom")
    advice: tuple[Advice, ...] = Field((), description="What to do, for the likeliest cause first")
    similar: tuple[PastIncident, ...] = Field((), description="Earlier incidents that looked alike, most alike first")
    timeline: tuple[TimelineEntry, ...] = Field((), description="What happened; of a long one, its beginning and end")
    summary: str = Field(description="What is wrong and why, in one sentence")

    def encode(self) -> bytes:
        """Return the JSON value; the same incident always gives the same bytes."""
        return self.model_dump_json().encode()


def incident_id(first: str, split_from: str = "") -> str:
    """Return the id of an incident, which depends only on the alert it began with and what it was split from.

    Examples
    --------
    >>> incident_id("1a3d819cb05b264e8214")
    '2b4561b296b4f525d4ef'

    """
    about = "\x1f".join(("incident", first, split_from))
    return hashlib.sha256(about.encode()).hexdigest()[:20]
