"""Recorded lives of machines: one row a reading, with the machine and the time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from detectors.rul import History
from detectors.rul.condition import Floats
from streams.columns import are_numbers, epochs, find_column, names_in, numbers_in
from streams.tables import TableError, read_table

UNITS = ("unit", "unit_id", "engine", "machine", "machine_id", "asset", "asset_id", "device", "source")
TIMES = ("cycle", "cycles", "time", "timestamp", "hours", "t")

CMAPSS = ("unit", "cycle", *(f"setting_{i}" for i in (1, 2, 3)), *(f"sensor_{i}" for i in range(1, 22)))
"""Columns of NASA's C-MAPSS files, which have no header."""

HEADERLESS = (".txt", ".txt.gz")


@dataclass(frozen=True, slots=True)
class MachineColumns:
    """Which columns of a file are what; ``None`` and empty ones are found by their usual names and types.

    Parameters
    ----------
    unit, time
        Columns that name the machine and that say when: numbers of any unit, or dates.
    values
        Sensors.
    exclude
        Numeric columns that are no sensors.
    mode
        Column that names what failed in the end.

    """

    unit: str | None = None
    time: str | None = None
    values: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    mode: str | None = None


@dataclass(frozen=True, slots=True)
class MachineTable:
    """A file's rows.

    Parameters
    ----------
    unit_column, time_column
        What they are called.
    units
        The machine of each row.
    times
        Shape (rows,); of dates, in seconds.
    seconds
        Whether the times were dates.
    columns
        Names of the sensors.
    values
        Shape (rows, sensors); NaN where there is none.
    modes
        What failed in the end, by machine.

    """

    unit_column: str
    time_column: str
    units: list[str]
    times: Floats
    seconds: bool
    columns: tuple[str, ...]
    values: Floats
    modes: dict[str, str]

    def rows_of_units(self) -> dict[str, list[int]]:
        """Return the rows of each machine, in order of time."""
        found: dict[str, list[int]] = {}
        for row, unit in enumerate(self.units):
            found.setdefault(unit, []).append(row)
        return {unit: sorted(rows, key=self.times.__getitem__) for unit, rows in found.items()}

    def histories(self) -> list[History]:
        """Return the lives: each machine failed at its last row."""
        return [
            History(unit, self.times[rows], self.values[rows], self.modes.get(unit, ""))
            for unit, rows in self.rows_of_units().items()
        ]


def read_machines(path: Path, columns: MachineColumns) -> MachineTable:
    """Read a file of machines' readings.

    Parameters
    ----------
    path
        CSV or Parquet; or numbers separated by spaces without a header (``.txt``, ``.txt.gz``), whose columns have the
        names of C-MAPSS if there are 26 of them, else ``unit``, ``cycle``, ``column_3``, ...
    columns
        Which columns are what.

    Raises
    ------
    streams.tables.TableError
        If the file cannot be read, a column is not there, or a cell is no number.

    """
    table = _numbers_without_header(path) if path.name.lower().endswith(HEADERLESS) else read_table(path)
    names = table.column_names
    unit = find_column("unit", columns.unit, names, UNITS) or ""
    time = find_column("time", columns.time, [name for name in names if name != unit], TIMES) or ""
    mode = find_column("mode", columns.mode, names, (), needed=False)
    units = names_in(table[unit])
    if None in units:
        raise TableError(f"{path}: row {units.index(None) + 1} names no machine in column {unit}")
    times, seconds = _times(path, time, table[time])
    sensors = _sensors(path, table, columns, {unit, time, *([mode] if mode else ())})
    modes = {} if mode is None else dict(zip(units, (name or "" for name in names_in(table[mode])), strict=True))
    values = np.column_stack([_numbers(path, name, table[name]) for name in sensors])
    return MachineTable(unit, time, [str(name) for name in units], times, seconds, sensors, values, modes)  # type: ignore[arg-type]


def _numbers_without_header(path: Path) -> pa.Table:
    try:
        numbers = np.loadtxt(path, ndmin=2)
    except (OSError, ValueError) as error:
        raise TableError(f"{path}: cannot be read as numbers separated by spaces: {error}") from error
    width = numbers.shape[1]
    if not len(numbers) or width < 3:
        raise TableError(f"{path}: needs rows of a machine's number, a time and at least one sensor")
    names = CMAPSS if width == len(CMAPSS) else ("unit", "cycle", *(f"column_{i}" for i in range(3, width + 1)))
    arrays = [pa.array(numbers[:, 0].astype(np.int64)), *(pa.array(numbers[:, i]) for i in range(1, width))]
    return pa.table(arrays, names=list(names))


def _sensors(path: Path, table: pa.Table, columns: MachineColumns, taken: set[str]) -> tuple[str, ...]:
    for name in (*columns.values, *columns.exclude):
        if name not in table.column_names:
            raise TableError(f"{path}: there is no column {name!r}; there are: {', '.join(table.column_names)}")
    chosen = columns.values or [
        name for name in table.column_names if name not in {*taken, *columns.exclude} and are_numbers(table[name])
    ]
    if not chosen:
        raise TableError(f"{path}: there is no column of numbers besides {', '.join(sorted(taken))}")
    return tuple(chosen)


def _times(path: Path, name: str, column: pa.ChunkedArray) -> tuple[Floats, bool]:
    if not are_numbers(column):
        return np.array(epochs(column)), True
    times = _numbers(path, name, column)
    if np.isnan(times).any():
        raise TableError(f"{path}: row {int(np.isnan(times).argmax()) + 1} has no time in column {name}")
    return times, False


def _numbers(path: Path, name: str, column: pa.ChunkedArray) -> Floats:
    cells: Sequence[Any] = numbers_in(column)
    wrong = next((row for row, cell in enumerate(cells) if isinstance(cell, str)), None)
    if wrong is not None:
        raise TableError(f"{path}: row {wrong + 1}, column {name}: {cells[wrong]!r} is no number")
    found = np.array([np.nan if cell is None else cell for cell in cells], dtype=np.float64)
    if np.isinf(found).any():
        raise TableError(f"{path}: row {int(np.isinf(found).argmax()) + 1}, column {name}: infinite is no reading")
    return found
