"""Alerts and a dispatcher to tell of them."""

from __future__ import annotations

from typing import Any

from alerts.alert import Alert, Severity, State
from alerts.dispatch import Dispatcher
from alerts.notification import Notification
from alerts.silences import Silence
from tests.crashes import store


def alert(name: str = "a", state: str = "firing", version: int = 1, **said: Any) -> Alert:
    defaults: dict[str, Any] = {
        "stream": "telemetry",
        "source": name,
        "kind": "spike",
        "severity": Severity.WARNING,
        "started_at": 0.0,
        "updated_at": 0.0,
        "anomaly_score": 0.9,
        "p_value": 1e-5,
        "summary": f"{name} is odd",
    }
    return Alert(alert_id=name, state=State(state), version=version, **(defaults | said))


def silence(name: str, *matchers: str, start: float = 0.0, end: float = 1e6, **said: Any) -> Silence:
    return Silence(
        silence_id=name, matchers=matchers, starts_at=start, ends_at=end, created_by="ann", comment="works", **said
    )


def told(notifications: list[Notification]) -> list[tuple[str, str, list[str]]]:
    """Receiver, status and alerts of each."""
    return [(one.receiver, one.status, [alert.alert_id for alert in one.alerts]) for one in notifications]


def tick(dispatcher: Dispatcher, now: float) -> list[tuple[str, str, list[str]]]:
    return told(dispatcher.tick(now).notifications)


def stored(dispatcher: Dispatcher, states: dict[str, bytes]) -> dict[str, bytes]:
    """Lay what has changed over what is stored."""
    store(states, dispatcher.changes())
    return states
