"""Alertmanager as a sink: its v2 API takes each alert's start, updates and end."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import aiohttp

from alerts.alert import iso
from alerts.notification import Notification, NotifiedAlert
from alerts.summary import number
from streams.delivery.settings import AlertmanagerSettings
from streams.delivery.sink import post

AT_ONCE = 500
"""Alerts in one request."""


class AlertmanagerSink:
    """Posts alerts to an Alertmanager.

    Alertmanager ends an alert that it has not heard of until its ``endsAt``, and after a restart knows none. So what
    fires is told with an end that lies ``resolve_timeout`` ahead, and told again every ``resend_interval``. Alerts are
    told by their labels: to repeat them does no harm. An alert whose severity has changed is another one to it, so the
    one with the former severity ends.

    Parameters
    ----------
    settings
        Where it is.
    session
        HTTP connections.
    link
        Gives an alert's ``generatorURL``; empty for none.

    """

    def __init__(
        self, settings: AlertmanagerSettings, session: aiohttp.ClientSession, link: Callable[[NotifiedAlert], str]
    ) -> None:
        self._settings, self._session, self._link = settings, session, link
        self.resend_interval = settings.resend_interval
        # What is told again must not overtake an end: Alertmanager would take it for a new beginning.
        self._turn = asyncio.Lock()
        token = settings.token
        self._headers = {} if token is None else {"Authorization": f"Bearer {token.get_secret_value()}"}

    async def deliver(self, notification: Notification, now: float) -> None:
        """Tell of what has begun, changed or ended."""
        async with self._turn:
            await self._post([one for alert in notification.alerts for one in self._told(alert, now)])

    async def resend(self, alerts: Callable[[], Sequence[NotifiedAlert]], now: float) -> None:
        """Tell of all that fires again."""
        async with self._turn:
            firing = alerts()
            for start in range(0, len(firing), AT_ONCE):
                await self._post([self._postable(alert, now) for alert in firing[start : start + AT_ONCE]])

    async def _post(self, alerts: list[dict[str, Any]]) -> None:
        url = f"{self._settings.url.rstrip('/')}/api/v2/alerts"
        body = json.dumps(alerts, ensure_ascii=False).encode()
        await post(self._session, url, body, self._headers, self._settings.timeout)

    def _told(self, alert: NotifiedAlert, now: float) -> Iterator[dict[str, Any]]:
        if alert.previous_severity is not None:
            before = {**alert.labels, "severity": alert.previous_severity.value}
            yield {**self._postable(alert, now), "labels": before, "endsAt": iso(now)}
        yield self._postable(alert, now)

    def _postable(self, alert: NotifiedAlert, now: float) -> dict[str, Any]:
        """Return an alert as the API takes it. Ends are told by this clock: events may be from another time."""
        annotations = {"summary": alert.summary, "alert_id": alert.alert_id, "state": alert.state.value}
        for name in ("value", "expected", "lower", "upper"):
            found = getattr(alert, name)
            if found is not None:
                annotations[name] = number(found)
        steps = (
            []
            if alert.incident is None
            else [f"{one.runbook}: {'; '.join(one.steps)}" for one in alert.incident.advice]
        )
        told = {"runbook_url": alert.runbook, "assignee": alert.assignee, "advice": "\n".join(steps)}
        annotations |= {name: value for name, value in told.items() if value}
        said = {
            "labels": alert.labels,
            "annotations": annotations,
            "startsAt": iso(min(alert.started_at, now)),
            "endsAt": iso(now if alert.state.over else now + self._settings.resolve_timeout),
        }
        link = self._link(alert)
        return said | ({"generatorURL": link} if link else {})
