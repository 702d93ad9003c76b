"""Online forecasts of single values, with bounds that keep what they promise, and the time to a limit."""

from detectors.forecasts.auto import AutoForecaster
from detectors.forecasts.base import Forecast, Forecaster
from detectors.forecasts.breach import Breach, time_to_breach
from detectors.forecasts.tracking import HORIZONS

__all__ = ["HORIZONS", "AutoForecaster", "Breach", "Forecast", "Forecaster", "prepare", "time_to_breach"]


def prepare() -> None:
    """Compile what forecasts, or load it if that was done before: no event has to wait for it."""
    forecaster = AutoForecaster()
    for second in range(3):
        forecaster.learn_one(float(second), float(second))
    forecaster.forecast(2.0)
