"""The record of topic ``forecasts``: what is foretold of a source now."""

from __future__ import annotations

import math

import msgspec

from alerts.alert import AlertForeseen
from detectors.forecasts import HORIZONS, Forecaster
from detectors.rul import Life
from detectors.rul.fleet import MOMENTS
from detectors.score import Foreseen
from streams.fleet_book import Published

TOPIC = "forecasts"
TYPE = "tocsin.forecast.v1"


class BoundsRecord(msgspec.Struct, frozen=True):
    """What a value will be so many seconds after the event; 95 of 100 values lie within the bounds."""

    seconds: float
    mean: float
    lower: float
    upper: float


class BreachRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """How likely a value crosses its limit within a horizon, and after how many seconds; null beyond the horizon."""

    limit: float
    probability: float
    within: float
    soonest: float | None
    median: float | None
    latest: float | None
    per_hour: float


class ValueForecast(msgspec.Struct, frozen=True):
    """What is foretold of one value.

    ``mase`` is the mean absolute error of the next event's forecast in units of that of the last value carried forward,
    ``seasonal`` in units of that of the value a day ago; null while unknown.
    """

    horizons: list[BoundsRecord]
    mase: float | None
    seasonal: float | None
    breach: BreachRecord | None

    @classmethod
    def of(cls, forecaster: Forecaster, seen: Foreseen | None) -> ValueForecast:
        """Return what is published of a forecaster that knows how long a step is."""
        horizons = []
        for steps in map(float, HORIZONS):
            told = forecaster.forecast(steps)
            horizons.append(BoundsRecord(steps * forecaster.gap, told.mean, told.lower, told.upper))
        errors = forecaster.errors()
        return cls(horizons, _known(errors.mase), _known(errors.seasonal), _breach(seen))


class FailingRecord(msgspec.Struct, frozen=True):
    """Probability that a machine fails within a time from now on, in the model's unit."""

    within: float
    probability: float


class LikeRecord(msgspec.Struct, frozen=True):
    """A failed machine that was alike: what it had left in this condition, and its share in what is foretold."""

    unit: str
    left: float
    share: float


class MachineForecast(msgspec.Struct, frozen=True):
    """How long a machine will last, in the model's unit of time, and whom it is like.

    ``soon`` is the probability that it fails within ``within``; ``modes`` is the share by
    what failed of machines that were alike.
    """

    model: str
    version: int
    unit: str
    rul: float
    rul_lower: float
    rul_upper: float
    health: float
    age: float
    failing: list[FailingRecord]
    soon: float
    within: float
    like: list[LikeRecord]
    modes: dict[str, float]

    @classmethod
    def of(cls, life: Life, model: Published) -> MachineForecast:
        """Return what is published of a machine."""
        bounds = life.rul, life.lower, life.upper, life.health
        horizon = model.fleet.layout.horizon
        failing = [FailingRecord(share * horizon, one) for share, one in zip(MOMENTS, life.failing, strict=True)]
        return cls(
            *(model.name, model.version, model.unit, *bounds, life.age, failing),
            *(life.soon, model.warn_within, [LikeRecord(*one) for one in life.like], life.modes),
        )


class ForecastRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """The JSON value of topic ``forecasts``: what is foretold of a source; the record key is the source.

    Parameters
    ----------
    source
        Of whom.
    timestamp
        Time of the event after which it was foretold, ISO 8601.
    values
        By name of the value.
    machine
        How long the machine will last; left out if there is no model for it.

    """

    source: str
    timestamp: str
    values: dict[str, ValueForecast]
    machine: MachineForecast | None = None


def _known(number: float) -> float | None:
    return float(number) if math.isfinite(number) else None


def _breach(seen: Foreseen | None) -> BreachRecord | None:
    if seen is None or seen.limit is None:
        return None
    told = AlertForeseen.of(seen)
    return BreachRecord(
        *(seen.limit, seen.probability, seen.within, told.soonest, told.median, told.latest), seen.per_hour or 0.0
    )
