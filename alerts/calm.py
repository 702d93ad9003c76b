"""What is remembered of one kind of alert: when it last began, and how calm it has been since."""

from __future__ import annotations

from typing import Any

import msgspec

from alerts.policy import Thresholds


class KindMemory(msgspec.Struct, array_like=True):
    """One kind of one source.

    Parameters
    ----------
    began
        Event time at which its last alert began.
    calm_events, calm_since
        Normal events in a row, and the time of the first of them.
    alert
        As it is stored: the alert that goes on, if any.
    fired
        Event times at which it fired of late, if flapping matters.

    """

    began: float = float("-inf")
    calm_events: int = 0
    calm_since: float | None = None
    alert: dict[str, Any] | None = None
    fired: list[float] = []

    def disturb(self) -> None:
        """Note that it is not over."""
        self.calm_events, self.calm_since = 0, None

    def is_over(self, p_value: float, thresholds: Thresholds, now: float, *, flapping: bool = False) -> bool:
        """Take an event's p-value, and say whether it has been calm for long enough; for one that flaps, far longer.

        Examples
        --------
        >>> memory, thresholds = KindMemory(), Thresholds(resolve_after_events=2, resolve_after=60.0)
        >>> [memory.is_over(p, thresholds, t) for t, p in ((0.0, 1.0), (30.0, 1e-3), (60.0, 1.0), (120.0, 0.5))]
        [False, False, False, True]

        """
        if p_value <= thresholds.clear_p:
            self.disturb()
            return False
        self.calm_events += 1
        self.calm_since = now if self.calm_since is None else self.calm_since
        after = max(thresholds.resolve_after, thresholds.flap_window if flapping else 0.0)
        return self.calm_events >= thresholds.resolve_after_events and now - self.calm_since >= after
