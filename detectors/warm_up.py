"""How far a new source has got, and which signals it does not have yet."""

from __future__ import annotations

WARM_UP = 100
SPEAK_AFTER = (
    (20, "level: after 20 events"),
    (30, "pattern: after 30 events"),
    (40, "variance: after 40 events"),
    (100, "trend and rare: after 100 events"),
)
NO_SEASON = "season: after 2 days"
NO_JOINT = "joint: after 60 events of several values"
TWO_DAYS = 2 * 86_400.0


def warm_up(events: int, seconds: float, *, joint: bool) -> tuple[float, tuple[str, ...]]:
    """Return how far the default detector has got, 0 to 1, and what is still to come.

    Parameters
    ----------
    events
        How many of the value with the fewest there have been.
    seconds
        Event time since the first.
    joint
        Whether values together are watched by now, where there are several.

    Examples
    --------
    >>> warm_up(35, 7 * 86_400.0, joint=True)
    (0.35, ('variance: after 40 events', 'trend and rare: after 100 events'))

    """
    missing = [said for after, said in SPEAK_AFTER if events < after] if events < WARM_UP else []
    if not joint:
        missing.append(NO_JOINT)
    if seconds < TWO_DAYS:
        missing.append(NO_SEASON)
    return min(1.0, events / WARM_UP), tuple(missing)
