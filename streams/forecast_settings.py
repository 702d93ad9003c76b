"""What is foretold of sources, and when it is warned of."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from streams.settings import Settings


class ForecasterSettings(BaseModel):
    """Which forecaster, and its parameters.

    Examples
    --------
    >>> ForecasterSettings(name="river.HoltWinters", parameters={"alpha": 0.2}).name
    'river.HoltWinters'

    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field("auto", description="`auto`, `river.SNARIMAX` or `river.HoltWinters`.")
    parameters: dict[str, Any] | None = Field(None, description="Parameters of River's class, by name.")

    @model_validator(mode="after")
    def _can_be_made(self) -> Self:
        if self.model_fields_set:
            from detectors.forecasts.registry import forecaster_factory  # noqa: PLC0415 - start-up time

            forecaster_factory(self.name, self.parameters)
        return self


class ForecastSettings(Settings):
    """What is foretold of sources, and when it is warned of."""

    values: Literal["limited", "all", "none"] = Field(
        "limited", description="Which values are forecast: those that a policy gives a valid range, all, or none."
    )
    forecaster: ForecasterSettings = Field(
        ForecasterSettings(),
        description="Which forecaster; after a change values are learned anew. Those of River cost about a millisecond"
        " an event, and their states are pickles, which need `state.key`.",
    )
    covariates: dict[str, tuple[str, ...]] = Field(
        {},
        description="By name of a value, others of the same event that may tell of it in advance, at most 4; as in"
        " `{level: [inlet, rain]}`.",
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
    def _tell_of_others(self) -> Self:
        if self.covariates:
            from detectors.forecasts.registry import forecaster_factory  # noqa: PLC0415 - start-up time

            for name, others in self.covariates.items():
                if name in others:
                    raise ValueError(f"covariates: {name} cannot tell of itself: its own past is learned anyway")
                if not others:
                    raise ValueError(f"covariates: {name} has none: name 1 to 4 values, or leave it out")
                forecaster_factory(covariates=others)
        return self

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.withdraw_below >= self.warn_at:
            raise ValueError(f"withdraw_below ({self.withdraw_below}) must be below warn_at ({self.warn_at})")
        return self
