"""Which forecaster a value has, as the configuration says."""

from __future__ import annotations

import msgspec

from detectors.forecasts import Forecaster
from detectors.forecasts.registry import forecaster_factory
from streams.forecast_settings import ForecastSettings

DEFAULT = ("auto", None, False)


class Forecasters:
    """Makes the forecasters of values.

    Parameters
    ----------
    settings
        Which forecaster, and what may tell of the values to come.
    key
        Secret that signs the states of River's forecasters.

    Examples
    --------
    >>> forecasters = Forecasters(ForecastSettings(covariates={"level": ["inlet"]}))
    >>> type(forecasters.make("level")).__name__, type(forecasters.make("inlet")).__name__
    ('CovariateForecaster', 'AutoForecaster')

    """

    def __init__(self, settings: ForecastSettings, key: bytes | None = None) -> None:
        self._forecaster, self._covariates = settings.forecaster, settings.covariates
        self._make = {
            name: forecaster_factory(
                settings.forecaster.name, settings.forecaster.parameters, covariates=others, state_key=key
            )
            for name, others in ({"": ()} | settings.covariates).items()
        }

    def prepare(self) -> None:
        """Compile what forecasts, or load it if that was done before: no event has to wait for it."""
        for make in self._make.values():
            forecaster = make()
            for second in range(3):
                forecaster.learn_one(float(second), float(second))
            forecaster.forecast(2.0)

    def make(self, name: str) -> Forecaster:
        """Return a new forecaster for a value."""
        return self._make.get(name, self._make[""])()

    def kind(self, name: str) -> str | None:
        """Return which forecaster a value has, ``None`` for the default: the state of another is none of it."""
        said = self._forecaster.name, self._forecaster.parameters, name in self._covariates
        return None if said == DEFAULT else msgspec.json.encode(said, order="sorted").decode()
