"""Who was told of an alert, and if nobody was, why."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from alerts.alert import Alert, State, Time, iso
from alerts.labels import labels_of
from alerts.notification import Delivery, Notification
from alerts.routing import Route, Router
from alerts.summary import duration
from alerts.suppression import Suppressor


class Telling(BaseModel):
    """One notification about an alert: that a receiver was told, or what kept it from being told."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    at: Time
    receiver: str
    route: str
    incident: str | None = Field(None, description="The incident that was told in its place")
    outcome: Literal["told", "suppressed"]
    state: State | None = Field(None, description="State of the alert as it was told")
    by: tuple[Suppressor, ...] = Field((), description="The silences and alerts that suppress it")
    deliveries: tuple[Delivery, ...] = ()

    @property
    def sentence(self) -> str:
        """The same in words."""
        of = "" if self.incident is None else f" of incident {self.incident}"
        if self.outcome == "suppressed":
            by = "; ".join(f"{_WORDS[one.kind]} {one.id} ({one.because})" for one in self.by)
            return f"{iso(self.at)} {self.receiver} is not told{of}: {by}"
        sinks = ", ".join(f"{one.sink} {one.state}{f' ({one.error})' if one.error else ''}" for one in self.deliveries)
        return f"{iso(self.at)} {self.receiver} is told{of} that it is {self.state}{f': {sinks}' if sinks else ''}"


_WORDS = {"silence": "silence", "inhibition": "inhibited by alert"}


class Telegraph(BaseModel):
    """All that is known of who was told of an alert."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tellings: tuple[Telling, ...]
    receivers: tuple[str, ...] = Field(description="To whom the routes lead")
    incidents: tuple[str, ...] = Field((), description="Ids of the incidents that it is part of")
    reason: str | None = Field(
        None, description="Why nobody was told: `silence`, `inhibition`, `pending`, `group_wait`, `undelivered`, …"
    )
    because: str | None = Field(None, description="The same in words")


def telegraph(
    alert: Alert,
    notifications: Iterable[Notification],
    route: Route,
    *,
    incidents: Collection[str] = (),
    alone: bool = True,
) -> Telegraph:
    """Return who was told of an alert, and why nobody was.

    Parameters
    ----------
    alert
        As it is now.
    notifications
        The values of topic ``notifications``, in its order; of one id the last counts.
    route
        The tree of routes, as it is configured now.
    incidents
        Ids of the incidents that it is part of.
    alone
        Whether alerts are told at all, and not only incidents.

    """
    newest = {one.notification_id: one for one in notifications}
    ids = (alert.alert_id, *incidents)
    found = [telling for one in newest.values() for id_ in ids for telling in _tellings(id_, one, id_ in incidents)]
    found.sort(key=lambda one: one.at)
    destinations = Router(route).destinations(labels_of(alert))
    receivers = tuple(dict.fromkeys(one.receiver for one in destinations))
    told = Telegraph(tellings=tuple(found), receivers=receivers, incidents=tuple(incidents))
    if any(_arrived(one) for one in found):
        return told
    wait = min(one.group_wait for one in destinations)
    reason, because = _untold(alert, found, wait, told.incidents, alone=alone)
    return told.model_copy(update={"reason": reason, "because": because})


def _tellings(alert_id: str, notification: Notification, is_incident: bool) -> Iterable[Telling]:
    said: dict[str, object] = {"at": notification.at, "receiver": notification.receiver, "route": notification.route}
    said["incident"] = alert_id if is_incident else None
    for one in notification.alerts:
        if one.alert_id == alert_id:
            yield Telling(outcome="told", state=one.state, deliveries=notification.deliveries, **said)
    for suppressed in notification.suppressed:
        if suppressed.alert_id == alert_id:
            yield Telling(outcome="suppressed", by=suppressed.by, **said)


def _arrived(telling: Telling) -> bool:
    """Say whether somebody was told; a receiver without sinks is told by the topic itself."""
    return telling.outcome == "told" and (
        not telling.deliveries or any(one.state == "delivered" for one in telling.deliveries)
    )


def _untold(
    alert: Alert, tellings: list[Telling], wait: float, incidents: tuple[str, ...], *, alone: bool
) -> tuple[str, str]:
    if tellings and tellings[-1].outcome == "told":
        return "undelivered", f"no sink has taken it yet: {tellings[-1].sentence}"
    if tellings:
        kinds = dict.fromkeys(one.kind for one in tellings[-1].by)
        return next(iter(kinds), "suppressed"), tellings[-1].sentence
    if alert.fired_at is None:
        return "pending", f"it {'is' if alert.state is State.PENDING else 'was'} pending: only what fires is told"
    if not alone and not incidents:
        return "incidents", "`notify.tell` says incidents only, and it is part of none that is said, yet"
    if alert.state.over:
        return "over", f"it was {alert.state} before anybody was told, or notifications of that time have expired"
    return "group_wait", f"none yet: a group waits {duration(wait)} for more; or no `tocsin notify` is running"
