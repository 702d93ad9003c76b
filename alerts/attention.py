"""What an alert does while nobody acknowledges it, and what happens to one that comes and goes."""

from __future__ import annotations

from alerts.alert import Alert, State, Transition
from alerts.calm import KindMemory
from alerts.changes import stepped
from alerts.policy import Thresholds


def urged(alert: Alert, thresholds: Thresholds, now: float) -> Alert | None:
    """Return the alert said again, on a higher level, or both, if that is due; else ``None``.

    Parameters
    ----------
    alert
        An alert that goes on.
    thresholds
        Those of its kind.
    now
        Event time, epoch seconds.

    """
    since = alert.waiting_since
    if since is None or alert.state is not State.FIRING:
        return None
    steps: list[Transition] = []
    update: dict[str, object] = {}
    level = sum(now - since >= after for after in thresholds.escalate_after)
    if level > alert.escalation:
        steps.append(Transition(state=alert.state, at=now, what="escalation", note=str(level)))
        update["escalation"] = level
    last = max(since, since if alert.reminded_at is None else alert.reminded_at)
    if thresholds.remind_every is not None and now - last >= thresholds.remind_every:
        count = alert.reminders + 1
        steps.append(Transition(state=alert.state, at=now, what="reminder", note=str(count)))
        update |= {"reminders": count, "reminded_at": now}
    return stepped(alert, now, *steps, **update) if steps else None


def flaps(memory: KindMemory, thresholds: Thresholds, now: float) -> bool:
    """Note that an alert of a kind fires, and say whether it has done so too often of late.

    Examples
    --------
    >>> memory, thresholds = KindMemory(), Thresholds(flap_after=3, flap_window=60)
    >>> [flaps(memory, thresholds, t) for t in (0.0, 20.0, 40.0, 200.0)]
    [False, False, True, False]

    """
    if thresholds.flap_after is None:
        return False
    recent = [fired for fired in memory.fired if now - fired < thresholds.flap_window]
    memory.fired = [*recent, now][-thresholds.flap_after :]
    return len(memory.fired) >= thresholds.flap_after
