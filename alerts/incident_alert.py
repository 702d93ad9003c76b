"""An incident put as an alert, so that people are told of it by the same routes, silences and words."""

from __future__ import annotations

from alerts.alert import Alert, State
from alerts.incident import Incident, IncidentState

KIND = STREAM = "incident"

_STATES = {
    IncidentState.OPEN: State.FIRING,
    IncidentState.ACKNOWLEDGED: State.ACKNOWLEDGED,
    IncidentState.RESOLVED: State.RESOLVED,
    IncidentState.RETRACTED: State.RETRACTED,
    IncidentState.MERGED: State.RESOLVED,
}


def as_alert(incident: Incident) -> Alert:
    """Return an incident as an alert of stream and kind ``incident``, about its likeliest cause, with the same id.

    Examples
    --------
    >>> from alerts.alert import Severity
    >>> incident = Incident(
    ...     incident_id="i1", state=IncidentState.OPEN, severity=Severity.WARNING, started_at=0.0, opened_at=5.0,
    ...     updated_at=5.0, alert_count=1, active_count=1, source_count=1, summary="…",
    ... )
    >>> as_alert(incident).alert_id, as_alert(incident).state.value, as_alert(incident).summary
    ('i1', 'firing', '…')

    """
    about = [*(cause.source for cause in incident.causes), *(alert.source for alert in incident.alerts)]
    p_value = min((alert.p_value for alert in incident.alerts), default=1.0)
    return Alert(
        alert_id=incident.incident_id,
        stream=STREAM,
        source=about[0] if about else incident.incident_id,
        kind=KIND,
        state=_STATES[incident.state],
        severity=incident.severity,
        version=incident.version,
        started_at=incident.started_at,
        fired_at=incident.opened_at,
        resolved_at=incident.resolved_at,
        updated_at=incident.updated_at,
        anomaly_score=1.0 - p_value,
        p_value=p_value,
        owner=incident.owner,
        runbook=next((one.url for one in incident.advice if one.url), None),
        summary=incident.summary,
    )
