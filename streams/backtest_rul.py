"""What would have been foretold of machines, reading by reading, on recorded data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa

from detectors.rul import Fleet
from detectors.rul.condition import Floats, conditions
from detectors.rul.packed import Schema
from streams.machine_tables import MachineColumns, MachineTable, read_machines
from streams.tables import Progress, ending_of, must_not_replace, write_table

AT_ONCE = 500
"""Conditions that are compared with the fleet in one go."""


def backtest_rul(source: Path, target: Path, fleet: Fleet, schema: Schema, progress: Progress | None = None) -> int:
    """Foretell the remaining life of recorded machines at each row, from the rows before it and itself.

    Parameters
    ----------
    source
        A file as `streams.machine_tables.read_machines` takes it, with the columns of the model.
    target
        A CSV or Parquet file, a row for each: the machine, the time, ``rul``, ``rul_lower``, ``rul_upper``, ``health``.
    fleet, schema
        The model, and what it takes.
    progress
        Called now and then with the rows done and in all.

    Returns
    -------
    int
        Rows.

    Raises
    ------
    streams.tables.TableError
        If the file cannot be read or lacks a column.

    """
    must_not_replace(source, target)
    ending_of(target)
    table = read_machines(source, MachineColumns(schema.unit, schema.time, schema.columns))
    found = foretold(table, fleet, progress)
    named = {
        schema.unit: table.units,
        schema.time: table.times.astype("datetime64[s]") if schema.seconds else _as_written(table.times),
        **dict(zip(("rul", "rul_lower", "rul_upper", "health"), found.round(6).T, strict=True)),
    }
    write_table(target, pa.table(named))
    return len(found)


def foretold(table: MachineTable, fleet: Fleet, progress: Progress | None = None) -> Floats:
    """Return remaining life, its bounds and health for each row, in the order of the file: shape (rows, 4)."""
    features = np.empty((len(table.units), len(fleet.layout.features)))
    for rows in table.rows_of_units().values():
        features[rows] = conditions(fleet.layout, table.times[rows], table.values[rows])
    found = np.empty((len(features), 4))
    for start in range(0, len(features), AT_ONCE):
        found[start : start + AT_ONCE] = fleet.predict(features[start : start + AT_ONCE])
        if progress is not None:
            progress(min(start + AT_ONCE, len(features)), len(features))
    return found


def _as_written(times: Floats) -> Floats | np.ndarray[tuple[int], np.dtype[np.int64]]:
    whole = times.astype(np.int64)
    return whole if (whole == times).all() else times
