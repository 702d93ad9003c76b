"""From when on what people say counts for events."""

from __future__ import annotations

import math

SETTLING = 2.0
"""Seconds by which the clocks of those who produce to different topics may differ, without a replay deciding anew.

What people say (a policy, a command) counts for what was produced so much later. The times are those of Kafka's
records, so it makes no difference when a worker reads it.
"""


def counts_after(said_at: float) -> float:
    """Return the time of production after which events are under what was said at a time; -inf for what always counts.

    Examples
    --------
    >>> counts_after(60.0), counts_after(-1.0)
    (62.0, -inf)

    """
    return said_at + SETTLING if said_at >= 0 else -math.inf
