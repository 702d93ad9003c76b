"""Recorded files as the default pipeline scored them: what every evaluation measures."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from alerts.alert import Alert, State
from detectors.base import Detector
from streams.backtest import backtest_telemetry
from streams.columns import are_numbers, epochs, numbers_in
from streams.replay import USUAL_COLUMNS, Recording, TelemetryColumns, find_recordings
from streams.tables import Progress, read_table
from streams.telemetry_settings import TelemetrySettings

Numbers = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Replayed:
    """A file and what ``tocsin backtest telemetry`` writes of it, row by row.

    Parameters
    ----------
    path, name
        Where it is, and its path below the folder that was asked for.
    times
        Event times, epoch seconds.
    values
        Readings by name; missing ones are not a number.
    anomaly_score, alert_score, expected
        Columns of the result; a row that could not be scored has scores of 0.
    alert
        Where an alert fires.
    fired
        The alerts that fired, each as it was when it did.

    """

    path: Path
    name: str
    times: Numbers
    values: dict[str, Numbers]
    anomaly_score: Numbers
    alert_score: Numbers
    expected: Numbers
    alert: Flags
    fired: tuple[Alert, ...] = field(default=())

    def __len__(self) -> int:
        return len(self.times)


def replay(
    data: Path,
    settings: TelemetrySettings,
    make_detector: Callable[[], Detector],
    *,
    columns: TelemetryColumns = USUAL_COLUMNS,
    progress: Progress | None = None,
) -> list[Replayed]:
    """Score all files in a folder as a live run would have.

    Parameters
    ----------
    data
        A folder with CSV or Parquet files in it or below it, or one file.
    settings, make_detector
        How to score and when to alert.
    columns
        Which columns are what.
    progress
        Called now and then with the rows done and in all.

    Raises
    ------
    streams.tables.TableError
        If a file cannot be read or lacks a column.

    """
    recordings = find_recordings([data], columns)
    with tempfile.TemporaryDirectory() as folder:
        results, changes = Path(folder) / "scored", Path(folder) / "alerts.jsonl"
        results.mkdir()
        backtest_telemetry([data], results, settings, make_detector, columns=columns, alerts=changes, progress=progress)
        fired = _fired(changes)
        return [_replayed(one, read_table(results / one.relative, text=["source"]), fired) for one in recordings]


def _fired(changes: Path) -> dict[str, list[Alert]]:
    """Return each alert as it was when it fired, by its source."""
    found: dict[str, Alert] = {}
    with changes.open("rb") as lines:
        for line in lines:
            alert = Alert.model_validate_json(line)
            if alert.state is State.FIRING:
                found.setdefault(alert.alert_id, alert)
    by_source: dict[str, list[Alert]] = {}
    for alert in found.values():
        by_source.setdefault(alert.source, []).append(alert)
    return by_source


def readings(recording: Recording) -> tuple[Numbers, dict[str, Numbers]]:
    """Return a recording's event times, epoch seconds, and its readings by name; missing ones are not a number.

    Raises
    ------
    streams.tables.TableError
        If the file cannot be read.

    """
    raw = read_table(recording.path)
    no_readings = {recording.columns.time, recording.columns.source, *recording.columns.exclude}
    values = {
        name: _numbers(raw.column(name), np.nan)
        for name in raw.column_names
        if name not in no_readings and are_numbers(raw.column(name))
    }
    return np.array(epochs(raw.column(recording.columns.time))), values


def _replayed(recording: Recording, scored: pa.Table, fired: dict[str, list[Alert]]) -> Replayed:
    times, values = readings(recording)
    sources = dict.fromkeys(scored["source"].drop_null().to_pylist())
    return Replayed(
        recording.path,
        recording.relative.as_posix(),
        times,
        values,
        _numbers(scored["anomaly_score"], 0.0),
        _numbers(scored["alert_score"], 0.0),
        _numbers(scored["expected"], np.nan),
        _numbers(scored["alert"], 0.0) == 1.0,
        tuple(alert for source in sources for alert in fired.get(source, ())),
    )


def _numbers(column: pa.ChunkedArray, missing: float) -> Numbers:
    """Return a column's numbers, with something else for what is none."""
    return np.array([cell if isinstance(cell, float) else missing for cell in numbers_in(column)], float)
