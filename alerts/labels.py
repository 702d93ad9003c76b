"""The labels of an alert, by which it is routed, grouped, silenced and inhibited."""

from __future__ import annotations

import re

from alerts.alert import Alert


def labels_of(alert: Alert) -> dict[str, str]:
    """Return the labels of an alert: what matchers and Alertmanager see of it.

    Examples
    --------
    >>> from alerts.alert import Severity, State
    >>> alert = Alert(
    ...     alert_id="a1", stream="telemetry", source="pump-7", kind="spike", state=State.FIRING,
    ...     severity=Severity.WARNING, started_at=0.0, updated_at=0.0, anomaly_score=0.7, p_value=1e-6, summary="…",
    ... )
    >>> labels_of(alert)["alertname"], labels_of(alert)["source"], labels_of(alert)["severity"]
    ('TocsinSpike', 'pump-7', 'warning')

    """
    found = {
        "alertname": "Tocsin" + "".join(part[:1].upper() + part[1:] for part in re.findall(r"[^\W_]+", alert.kind)),
        "alert_id": alert.alert_id,
        "stream": alert.stream,
        "source": alert.source,
        "kind": alert.kind,
        "severity": alert.severity.value,
        "name": alert.name or "",
        "owner": alert.owner or "",
        "escalation": str(alert.escalation or ""),
    }
    return {name: value for name, value in found.items() if value}
