"""What is foretold of sources, and when it is warned of."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from streams.settings import Settings


class ForecastSettings(Settings):
    """What is foretold of sources, and when it is warned of."""

    values: Literal["limited", "all", "none"] = Field(
        "limited", description="Which values are forecast: those that a policy gives a valid range, all, or none."
    )
    within: float | None = Field(
        None,
        gt=0,
        description="Seconds within which a value that is to cross a limit is warned of; `null` is 256 times the usual"
        " time between events.",
    )
    warn_at: float = Field(0.75, gt=0, le=1, description="Probability at which an early warning begins.")
    withdraw_below: float = Field(0.2, ge=0, lt=1, description="Probability below which it is withdrawn.")
    publish_every: float | None = Field(
        300.0, ge=0, description="Seconds of event time between forecasts of a source; `null` publishes none."
    )

    @model_validator(mode="after")
    def _in_order(self) -> ForecastSettings:
        if self.withdraw_below >= self.warn_at:
            raise ValueError(f"withdraw_below ({self.withdraw_below}) must be below warn_at ({self.warn_at})")
        return self
