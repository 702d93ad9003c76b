"""A breaker: when automatic declines run away, people look in place of the machine."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from detectors.transactions.windows import Row, TimeBuckets

PARTS = 12
"""Parts of the window: so exactly it moves on."""


class BreakerSettings(BaseModel):
    """When declines are too many to be right."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    share: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="Share of transactions above which none is declined any more; `null` is no breaker",
    )
    window: float = Field(3600.0, gt=0, description="Seconds of event time over which the share is taken")
    minimum: int = Field(200, ge=1, description="Transactions in the window below which the share says nothing")


class Breaker:
    """Counts what would be declined, in event time, and says whether that is too much.

    What would have been declined counts on, so the breaker closes when the model or the rules behave again, and not
    since nothing is declined any more.

    Parameters
    ----------
    settings
        When it opens.
    rows
        What was counted before.

    Examples
    --------
    >>> breaker = Breaker(BreakerSettings(share=0.5, window=600.0, minimum=4))
    >>> [breaker.count(float(t), declined=True) for t in range(5)]
    [False, False, False, True, True]
    >>> breaker.count(2000.0, declined=True)
    False

    """

    def __init__(self, settings: BreakerSettings, rows: list[Row] | None = None) -> None:
        self._settings = settings
        self._counts = TimeBuckets(settings.window / PARTS, PARTS, rows or [])

    def count(self, t: float, *, declined: bool) -> bool:
        """Count a transaction, and return whether its decline, and all others, are now for people to look at."""
        share = self._settings.share
        if share is None:
            return False
        self._counts.add(t, 1.0 if declined else 0.0)
        totals = self._counts.totals(t, PARTS)
        return totals.events >= self._settings.minimum and totals.sum > share * totals.events

    def snapshot(self) -> list[Row]:
        """Return what has been counted; empty without a breaker."""
        return self._counts.rows()
