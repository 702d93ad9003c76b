"""Forecasts of public series, event by event: coverage of their bounds, and errors beside those of naive forecasts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from detectors.forecasts.base import Forecaster
from streams.replay import USUAL_COLUMNS, find_recordings
from streams.tables import Progress, TableError
from tocsin.evaluation.forecast_result import HORIZONS, ForecastResult, HorizonResult, SeriesResult
from tocsin.evaluation.replayed import Numbers, readings

TITLE = "Forecasts, each judged when its event came, before that was learned"
DAY = 86_400.0


def evaluate(data: Path, make_forecaster: Callable[[], Forecaster], progress: Progress | None = None) -> ForecastResult:
    """Return how forecasts do on every numeric column of every file.

    Parameters
    ----------
    data
        Folder of NAB, with its ``data``, or any folder with CSV or Parquet files; a folder in it is a category.
    make_forecaster
        Makes the forecaster of a series.
    progress
        Called now and then with the values done and in all.

    Raises
    ------
    streams.tables.TableError
        If there is no series, or a file cannot be read.

    """
    folder = data / "data" if (data / "data").is_dir() else data
    series: dict[str, tuple[Numbers, Numbers]] = {}
    for recording in find_recordings([folder], USUAL_COLUMNS):
        times, columns = readings(recording)
        name = recording.relative.as_posix()
        series |= {name if len(columns) == 1 else f"{name} {each}": (times, columns[each]) for each in columns}
    if not series:
        raise TableError(f"{data}: no file in it has a numeric column; name the folder with NAB's data")
    total, done = sum(len(times) for times, _ in series.values()), 0
    found: list[SeriesResult] = []
    for name, (times, values) in series.items():
        found.append(_judged(name, times, values, make_forecaster()))
        done += len(times)
        if progress is not None:
            progress(done, total)
    return ForecastResult(found)


def _judged(name: str, times: Numbers, values: Numbers, forecaster: Forecaster) -> SeriesResult:
    """Forecast a series event by event, and compare with what came."""
    known = np.isfinite(values) & np.isfinite(times)
    times, values = times[known], values[known]
    foretold = {steps: np.full((3, len(values)), np.nan) for steps in HORIZONS}
    for i, (value, time) in enumerate(zip(values.tolist(), times.tolist(), strict=True)):
        forecaster.learn_one(value, time)
        for steps, numbers in foretold.items():
            if i + steps < len(values):
                forecast = forecaster.forecast(steps)
                numbers[:, i + steps] = forecast.mean, forecast.lower, forecast.upper
    horizons = {steps: _compared(steps, times, values, numbers) for steps, numbers in foretold.items()}
    return SeriesResult(name, {steps: one for steps, one in horizons.items() if one is not None})


def _compared(steps: int, times: Numbers, values: Numbers, foretold: Numbers) -> HorizonResult | None:
    mean, lower, upper = foretold[:, steps:]
    came = values[steps:]
    if not len(came):
        return None
    seasonal = seasonal_naive(times, values, steps)
    return HorizonResult(
        judged=len(came),
        covered=int(((lower <= came) & (came <= upper)).sum()),
        mae=float(np.abs(came - mean).mean()),
        naive_mae=float(np.abs(came - values[:-steps]).mean()),
        seasonal_mae=None if seasonal is None else float(np.abs(came - seasonal[steps:]).mean()),
        width=float((upper - lower).mean()),
    )


def seasonal_naive(times: Numbers, values: Numbers, steps: int) -> Numbers | None:
    """Return what the value of a day ago foretells, or of as many days as it takes to be known so far ahead.

    Before there is such a value it is the last one, carried forward. A day has as many events as usual gaps fit in.

    Parameters
    ----------
    times, values
        The series.
    steps
        How far ahead.

    Returns
    -------
    Forecasts, not numbers for the first ``steps``; ``None`` for a series that has no two days.

    Examples
    --------
    >>> times, values = 43_200.0 * np.arange(6), np.array([1.0, 5.0, 2.0, 6.0, 3.0, 7.0])
    >>> seasonal_naive(times, values, 1).tolist()
    [nan, 1.0, 1.0, 5.0, 2.0, 6.0]

    """
    gap = float(np.median(np.diff(times))) if len(times) > 1 else 0.0
    if gap <= 0.0 or DAY / gap < 2.0 or len(values) * gap < 2.0 * DAY:
        return None
    season = round(DAY / gap)
    back = season * -(-steps // season)
    foretold = np.full(len(values), np.nan)
    foretold[steps:] = values[:-steps]
    if back < len(values):
        foretold[back:] = values[:-back]
    return foretold
