"""What people say to an alert: that they look after it, who shall, and what they think of it."""

from __future__ import annotations

from typing import Literal, NamedTuple

from alerts.alert import Alert, State, Transition
from alerts.changes import stepped

Order = Literal["acknowledge", "unacknowledge", "comment", "assign", "merge", "split", "resolved_by", "approve", "deny"]
"""The last five are for incidents, two of them for their actions."""


class Command(NamedTuple):
    """One command to one alert.

    Parameters
    ----------
    at
        When it was said, epoch seconds.
    order
        What to do.
    alert_id
        To which alert.
    by
        Who says so.
    comment
        What they say with it.
    assignee
        Who shall look after it, with ``assign``; ``None`` is nobody.

    """

    at: float
    order: Order
    alert_id: str
    by: str
    comment: str | None = None
    assignee: str | None = None


def obeyed(alert: Alert, command: Command, now: float) -> Alert | None:
    """Return an alert after a command, ``None`` if it changes nothing.

    Only a firing alert can be acknowledged. To be unacknowledged, it fires again, and waits for somebody from then on.

    Parameters
    ----------
    alert
        An alert that is not over.
    command
        What is said.
    now
        Event time up to which the source has come, epoch seconds.

    """
    at, by, note = command.at, command.by, command.comment
    if command.order == "acknowledge" and alert.state is State.FIRING:
        step = Transition(state=State.ACKNOWLEDGED, at=at, by=by, note=note)
        return stepped(alert, at, step, state=State.ACKNOWLEDGED, acknowledged_by=by, waiting_since=None)
    if command.order == "unacknowledge" and alert.state is State.ACKNOWLEDGED:
        step = Transition(state=State.FIRING, at=at, by=by, note=note)
        waits = {"acknowledged_by": None, "waiting_since": now, "escalation": 0}
        return stepped(alert, at, step, state=State.FIRING, **waits)
    if command.order == "comment" and note is not None:
        return stepped(alert, at, Transition(state=alert.state, at=at, what="comment", by=by, note=note))
    if command.order == "assign" and command.assignee != alert.assignee:
        step = Transition(state=alert.state, at=at, what="assignee", by=by, note=command.assignee)
        return stepped(alert, at, step, assignee=command.assignee)
    return None
