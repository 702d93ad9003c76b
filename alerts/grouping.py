"""A group of alerts that share notifications: when it is told, and of what."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from alerts.alert import Severity
from alerts.notification import (
    MOST_ALERTS,
    MOST_INCIDENTS,
    News,
    Notification,
    NotifiedAlert,
    SuppressedAlert,
    notification_id,
)
from alerts.routing import Destination
from alerts.suppression import Suppressor


class Told(msgspec.Struct, array_like=True):
    """What a group's receiver knows of one of its alerts.

    Parameters
    ----------
    severity
        Severity last told; ``None`` if it has not been told yet.
    lapsed
        Whether it has been suppressed since it was told.
    suppressors
        Ids of what suppressed it when that was last noted.

    """

    severity: Severity | None = None
    lapsed: bool = False
    suppressors: tuple[str, ...] = ()


class Group(msgspec.Struct, array_like=True):
    """The timers of a group.

    Parameters
    ----------
    route, labels
        Which group it is.
    next_flush
        When it is looked at next, epoch seconds.
    told_at
        When it was last told, epoch seconds; ``None`` if never.

    """

    route: str
    labels: dict[str, str]
    next_flush: float
    told_at: float | None = None


class Member(NamedTuple):
    """An alert of a group as it is now, what its receiver knows, and what suppresses it."""

    alert: NotifiedAlert
    told: Told
    suppressors: tuple[Suppressor, ...]


class Flush(NamedTuple):
    """What a look at a group leads to: alerts to tell, and those that are suppressed."""

    alerts: list[NotifiedAlert]
    suppressed: list[SuppressedAlert]
    news: bool
    newly_suppressed: bool


def flush(group: Group, members: Sequence[Member], destination: Destination, now: float) -> Flush:
    """Look at a group whose time has come, and change what is told of its alerts.

    Told are: what is new, what has grown more severe, what is no longer suppressed, what is over. The rest of what
    goes on comes along. Without any such news a group is told again after ``repeat_interval``, if something in it is
    not acknowledged. What was told and is over is told whatever silences it now: who was called may go home.
    """
    ended: list[NotifiedAlert] = []
    going_on: list[NotifiedAlert] = []
    suppressed: list[SuppressedAlert] = []
    newly_suppressed = False
    for alert, told, suppressors in members:
        if alert.state.over:
            if told.severity is not None:
                ended.append(_with_news(alert, News.OVER, told))
        elif suppressors:
            suppressed.append(_suppressed(alert, suppressors))
            ids = tuple(one.id for one in suppressors)
            newly_suppressed |= ids != told.suppressors
            told.lapsed, told.suppressors = told.severity is not None, ids
        else:
            going_on.append(_with_news(alert, _news(alert, told), told))
    unacknowledged = any(alert.state != "acknowledged" for alert in going_on)
    repeats = group.told_at is not None and unacknowledged and now - group.told_at >= destination.repeat_interval
    news = bool(ended) or repeats or any(alert.news is not News.STILL for alert in going_on)
    group.next_flush = now + destination.group_interval
    if news:
        group.told_at = now
        for alert, told, suppressors in members:
            if not alert.state.over and not suppressors:
                told.severity, told.lapsed, told.suppressors = alert.severity, False, ()
    going_on.sort(key=lambda alert: (-alert.severity.rank, alert.fired_at or alert.started_at, alert.alert_id))
    ended.sort(key=lambda alert: (-alert.severity.rank, alert.alert_id))
    return Flush([*ended, *going_on], suppressed, news, newly_suppressed)


def notifications(
    found: Flush, group: Group, destination: Destination, now: float, number: int, *, whole: bool
) -> list[Notification]:
    """Put into words for a receiver what a look at a group has led to.

    Parameters
    ----------
    found
        What it has led to.
    group, destination
        Which group it is, and where it goes.
    now
        Epoch seconds.
    number
        How many notifications there have been before.
    whole
        Whether all alerts are to be told, in several notifications if need be, rather than the first hundred.

    """
    alerts = found.alerts if found.news else []
    size = MOST_ALERTS if whole else max(len(alerts), 1)
    parts = [alerts[start : start + size] for start in range(0, len(alerts), size)] or [[]]
    made = []
    for offset, part in enumerate(parts):
        over = sum(alert.state.over for alert in part)
        made.append(
            Notification(
                notification_id=notification_id(group.route, group.labels, now, number + offset),
                receiver=destination.receiver,
                route=group.route,
                group=group.labels,
                status="suppressed" if not part else "firing" if over < len(part) else "resolved",
                at=now,
                firing=len(part) - over,
                resolved=over,
                alerts=_listed(part),
                truncated=max(len(part) - MOST_ALERTS, 0),
                suppressed=tuple(found.suppressed[:MOST_ALERTS]),
                suppressed_count=len(found.suppressed),
            )
        )
    return made


def _listed(alerts: Sequence[NotifiedAlert]) -> tuple[NotifiedAlert, ...]:
    """Return those that a notification lists, so that it is no larger than Kafka takes."""
    short = (alert.model_copy(update={"incident": None}) for alert in alerts[MOST_INCIDENTS:MOST_ALERTS])
    return (*alerts[:MOST_INCIDENTS], *short)


def _news(alert: NotifiedAlert, told: Told) -> News:
    if told.severity is None:
        return News.UNSUPPRESSED if told.suppressors else News.NEW
    if told.lapsed:
        return News.UNSUPPRESSED
    return News.WORSE if alert.severity.rank > told.severity.rank else News.STILL


def _with_news(alert: NotifiedAlert, news: News, told: Told) -> NotifiedAlert:
    previous = told.severity if told.severity is not alert.severity else None
    return alert.model_copy(update={"news": news, "previous_severity": previous})


def _suppressed(alert: NotifiedAlert, by: tuple[Suppressor, ...]) -> SuppressedAlert:
    return SuppressedAlert(alert_id=alert.alert_id, source=alert.source, kind=alert.kind, by=by)
