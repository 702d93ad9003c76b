"""What one event does to the alerts of its source."""

from __future__ import annotations

import msgspec

from alerts.alert import Alert, AlertFeedback
from alerts.trace import Trace


class Step(msgspec.Struct, frozen=True):
    """What one event did to a source's alerts.

    Parameters
    ----------
    changes
        New values of the alerts that changed, in the order in which they changed.
    alert
        Whether an alert fires now.
    alert_score
        How strongly something new begins at this event, 0…1: the anomaly score of its strongest signal, at most that
        of the policy's highest ``fire_p``, if it stands out from the events before it, else 0. So it is 0 while an
        anomaly goes on, whether or not it was worth an alert.
    held
        What holds back an alert that would go on now: ``calendar``, ``feedback``, ``source_budget`` or
        ``stream_budget``, of several the first of these; ``None`` if nothing is held. What ``feedback`` says of the
        labels tells why.
    newly_held
        What holds something back from this event on, once for each alert.
    feedback
        What people's labels on like events did here, to signals that are worth an alert and to others.
    windows
        The calendar's windows that hold something back, as ``policy/window``.
    trace
        What the decision rested on, where something was to be decided: all was normal, or an alert just went on, where
        there is none.

    """

    changes: tuple[Alert, ...]
    alert: bool
    alert_score: float
    held: str | None = None
    newly_held: tuple[str, ...] = ()
    feedback: tuple[AlertFeedback, ...] = ()
    windows: tuple[str, ...] = ()
    trace: Trace | None = None


NOTHING = Step((), False, 0.0)
"""What most events do."""
