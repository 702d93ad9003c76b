"""Online forecasts of single values, with bounds that keep what they promise, and the time to a limit."""

from detectors.forecasts.auto import AutoForecaster
from detectors.forecasts.base import Forecast, Forecaster
from detectors.forecasts.breach import Breach, time_to_breach
from detectors.forecasts.tracking import HORIZONS

__all__ = ["HORIZONS", "AutoForecaster", "Breach", "Forecast", "Forecaster", "time_to_breach"]
