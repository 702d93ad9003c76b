"""What operators decide about single incidents."""

from __future__ import annotations

from alerts.happening import IncidentCommand
from alerts.incident import Happened, IncidentState
from alerts.incident_record import Record


def carry_out(command: IncidentCommand, record: Record, t: float) -> None:
    """Do what an operator says of one incident alone, and put it into its timeline.

    Examples
    --------
    >>> record = Record("i1", "a1", 0.0, 0.0)
    >>> command = IncidentCommand(verb="assign", incident_id="i1", timestamp=9.0, by="ann", text="team-db")
    >>> carry_out(command, record, 9.0)
    >>> record.owner, record.beginning[-1].detail
    ('team-db', 'team-db, by ann')

    """
    said = f"{command.text}, by {command.by}" if command.text else f"by {command.by}"
    if command.verb == "acknowledge" and record.state is IncidentState.OPEN:
        record.state = IncidentState.ACKNOWLEDGED
        record.note(t, Happened.ACKNOWLEDGED, said)
    elif command.verb == "assign":
        record.owner = command.text or None
        record.note(t, Happened.OWNER, said if command.text else f"nobody, {said}")
    elif command.verb == "resolved_by":
        record.resolved_by = said
        record.note(t, Happened.NOTE, f"resolved by {said}")
    elif command.verb == "note":
        record.note(t, Happened.NOTE, said)
