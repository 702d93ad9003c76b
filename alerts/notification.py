"""A notification: what one receiver is told of one group of alerts at one time, and what became of it."""

from __future__ import annotations

import hashlib
from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from alerts.alert import Alert, Severity, State, Time
from alerts.incident import Incident
from alerts.labels import labels_of
from alerts.suppression import Suppressor

MOST_ALERTS = 100
"""Alerts that a notification for people holds; it says how many more there are."""

MOST_INCIDENTS = 10
"""Incidents that a notification tells with all that is known of them; of further ones it has the summary."""

LISTED_ALERTS, LISTED_STEPS = 5, 20
"""Alerts, and newest entries of the timeline, of an incident that is told."""


class News(StrEnum):
    """Why an alert is in a notification."""

    NEW = "new"
    WORSE = "worse"
    UNSUPPRESSED = "unsuppressed"
    OVER = "over"
    STILL = "still"


class NotifiedAlert(BaseModel):
    """What a notification says of an alert; topic ``alerts`` has all of it under the same id."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    alert_id: str
    version: int
    state: State
    severity: Severity
    stream: str
    source: str
    kind: str
    started_at: Time
    fired_at: Time | None = None
    resolved_at: Time | None = None
    updated_at: Time
    anomaly_score: float
    p_value: float
    name: str | None = Field(None, description="The value that drove the alert")
    value: float | None = Field(None, description="That value at the alert's peak")
    expected: float | None = None
    lower: float | None = None
    upper: float | None = None
    summary: str
    owner: str | None = Field(None, description="Whom it is for, as the policy says")
    assignee: str | None = Field(None, description="Who looks after it")
    runbook: str | None = Field(None, description="Where it says what to do, as the policy says")
    labels: dict[str, str] = Field(default_factory=dict, description="What routes and matchers see")
    news: News = Field(News.NEW, description="Why it is told")
    previous_severity: Severity | None = Field(None, description="If it was told before with another")
    incident: Incident | None = Field(
        None, description="The incident that is told as this alert, with causes, advice and timeline; its lists are cut"
    )

    @classmethod
    def of(cls, alert: Alert, incident: Incident | None = None) -> NotifiedAlert:
        """Return what is told of an alert, or of the incident that it stands for."""
        name = alert.name if alert.name in alert.values else next(iter(alert.values), None)
        peak = alert.values.get(name) if name is not None else None
        return cls(
            alert_id=alert.alert_id,
            version=alert.version,
            state=alert.state,
            severity=alert.severity,
            stream=alert.stream,
            source=alert.source,
            kind=alert.kind,
            started_at=alert.started_at,
            fired_at=alert.fired_at,
            resolved_at=alert.resolved_at,
            updated_at=alert.updated_at,
            anomaly_score=alert.anomaly_score,
            p_value=alert.p_value,
            name=name,
            value=None if peak is None else peak.value,
            expected=None if peak is None else peak.expected,
            lower=None if peak is None else peak.lower,
            upper=None if peak is None else peak.upper,
            summary=alert.summary,
            owner=alert.owner,
            assignee=alert.assignee,
            runbook=alert.runbook,
            labels=labels_of(alert),
            incident=None if incident is None else _cut(incident),
        )


class SuppressedAlert(BaseModel):
    """An alert of the group that is not told, and what keeps it from being told."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    alert_id: str
    source: str
    kind: str
    by: tuple[Suppressor, ...]


class Delivery(BaseModel):
    """How a notification fares at one sink of its receiver."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sink: str
    state: Literal["pending", "delivered", "failed", "dropped"] = Field(
        description="`failed`: the sink refused it or did not answer for too long; `dropped`: too many were waiting"
    )
    attempts: int = 0
    at: Time | None = Field(None, description="When it was delivered or given up")
    error: str | None = None


class Notification(BaseModel):
    """The JSON value of topic ``notifications``: what was told to whom, and what became of it.

    Its key is the id. A value with a later state of its deliveries follows under the same key.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    notification_id: str = Field(description="The same on every attempt: sinks may know by it what they have had")
    receiver: str
    route: str = Field(description="Path of the route, by its matchers")
    group: dict[str, str] = Field(description="Labels that the alerts of the group share")
    status: Literal["firing", "resolved", "suppressed"] = Field(
        description="`suppressed`: nothing is sent, only noted here"
    )
    at: Time
    firing: int = Field(0, description="Alerts of the group that go on and are told")
    resolved: int = Field(0, description="Alerts that are over")
    alerts: tuple[NotifiedAlert, ...] = Field((), description="What ended first, then the most severe; at most 100")
    truncated: int = Field(0, description="Alerts left out of the list")
    suppressed: tuple[SuppressedAlert, ...] = Field((), description="Alerts that are not told, and why; at most 100")
    suppressed_count: int = Field(0, description="How many those are")
    title: str = ""
    body: str = ""
    deliveries: tuple[Delivery, ...] = ()

    def encode(self) -> bytes:
        """Return the JSON value; the same notification always gives the same bytes."""
        return self.model_dump_json().encode()


def _cut(incident: Incident) -> Incident:
    lists = {"alerts": incident.alerts[:LISTED_ALERTS], "timeline": incident.timeline[-LISTED_STEPS:]}
    return incident.model_copy(update=lists)


def notification_id(route: str, group: dict[str, str], at: float, number: int) -> str:
    """Return the id of a notification.

    Examples
    --------
    >>> notification_id("/{}", {"site": "A"}, 1767225600.0, 7)
    'd062ee9adb346ccbeec6'

    """
    about = "\x1f".join(
        (route, *(f"{name}\x1e{value}" for name, value in sorted(group.items())), float(at).hex(), str(number))
    )
    return hashlib.sha256(about.encode()).hexdigest()[:20]
