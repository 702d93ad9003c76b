"""Planned changes as policies: each mutes the alerts of its sources for a time."""

from __future__ import annotations

from alerts.calendars import Window
from alerts.happening import ChangeEvent
from alerts.policies import PolicyDocument, PolicyVersion
from alerts.versions import MOST_REASON

CHANGE = "change "
"""What the names of these policies begin with; the change's id follows."""


def planned(change: ChangeEvent) -> PolicyVersion:
    """Return the policy that a change is; if it mutes nothing, the withdrawal of what it was before.

    Examples
    --------
    >>> change = ChangeEvent(change_id="d42", kind="deploy", source="web-*", timestamp=0.0, lasts="10m")
    >>> version = planned(change)
    >>> version.name, version.policy.matches("web-1"), version.policy.calendar[0].end_of(60.0)
    ('change d42', True, 600.0)
    >>> planned(change.model_copy(update={"lasts": None})).policy is None
    True

    """
    name = f"{CHANGE}{change.change_id}"[:256]
    policy = None
    if change.lasts is not None and (change.mute or change.freeze):
        window = Window.model_validate(
            {
                "name": change.kind,
                "start": change.timestamp,
                "duration": change.lasts,
                "mute": change.mute,
                "freeze": change.freeze,
            }
        )
        policy = PolicyDocument(name=name, source=change.source, calendar=(window,))
    author, reason = change.by or "changes", change.summary[:MOST_REASON] or None
    return PolicyVersion(name=name, version=1, author=author, reason=reason, at=change.timestamp, policy=policy)
