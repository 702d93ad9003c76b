"""Recorded telemetry, row by row, as the events that a producer would send."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa

from streams.columns import are_names, are_numbers, as_times, find_column, names_in, numbers_in
from streams.tables import ENDINGS, RaggedRow, TableError, column_names, read_table

USUAL_TIMES = ("timestamp", "time", "datetime", "date_time", "date", "ts")
USUAL_SOURCES = (
    "source",
    *("device", "device_id", "sensor", "sensor_id", "host", "hostname"),
    *("machine", "machine_id", "asset", "asset_id", "instance", "node"),
)
EVENT_ID = "event_id"
ROWS = 5_000


@dataclass(frozen=True, slots=True)
class TelemetryColumns:
    """Which columns of the files are what.

    Parameters
    ----------
    time
        Column of the event time; ``None`` finds it by its usual names.
    source
        Column that names the source; ``None`` finds it by its usual names. A file that has none is one source.
    values
        Columns of the readings; empty takes every numeric column.
    exclude
        Columns that are no readings although they are numeric, such as labels.
    attributes
        Columns of texts that go with an event as its attributes, where there are any.

    """

    time: str | None = None
    source: str | None = None
    values: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    attributes: tuple[str, ...] = ()


USUAL_COLUMNS = TelemetryColumns()
"""Every column is found by its name and type."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Some rows of a file, in their order.

    Parameters
    ----------
    times
        The time column as it is in the file.
    sources
        The source of each row.
    events
        The JSON of each row's event; a row that cannot be one stands there as it was written.
    wrong
        What is wrong with rows that cannot be events, by their place among these rows.

    """

    times: pa.ChunkedArray
    sources: list[str | None]
    events: list[bytes]
    wrong: dict[int, str]

    def __len__(self) -> int:
        return len(self.events)


@dataclass(frozen=True, slots=True)
class Recording:
    """One file of recorded telemetry.

    Parameters
    ----------
    path
        Where it is.
    relative
        Its path below the folder that was asked for; without its ending it names the source.
    columns
        Which columns are what.
    names
        All the columns that there are.
    guessed
        Whether the column of the source was found by its name only.

    """

    path: Path
    relative: Path
    columns: TelemetryColumns
    names: list[str]
    guessed: bool = False

    @property
    def name(self) -> str:
        """The source that the whole file is, if no column says so."""
        return self.relative.with_suffix("").as_posix()

    def rows(self, size: int = ROWS) -> Iterator[Rows]:
        """Read the file and yield its rows, ``size`` at a time.

        Raises
        ------
        streams.tables.TableError
            If the file cannot be read or has no readings.

        """
        table, ragged = self._read()
        source, values, attributes = self._roles(table)
        times = as_times(table.column(self.columns.time))
        for start in range(0, len(table), size):
            part = table.slice(start, size)
            sources: list[str | None] = [self.name] * len(part) if source is None else names_in(part.column(source))
            events = _events(part, sources, times.slice(start, size).to_pylist(), values, attributes)
            wrong = {}
            for row in ragged.keys() & range(start, start + len(part)):
                events[row - start] = ragged[row].text.encode()
                wrong[row - start] = ragged[row].wrong
            yield Rows(part.column(self.columns.time), sources, events, wrong)

    def _read(self) -> tuple[pa.Table, dict[int, RaggedRow]]:
        """Return the table, with empty rows where the file has ragged ones."""
        ragged: dict[int, RaggedRow] = {}
        columns = [name for name in self.names if name not in self.columns.exclude or name == self.columns.time]
        others = (self.columns.time, self.columns.source, EVENT_ID, *self.columns.attributes)
        if self.columns.values:
            columns = [name for name in columns if name in self.columns.values or name in others]
        text = [name for name in others if name in columns]
        table = read_table(self.path, columns, text=text, ragged=ragged)
        if ragged:
            rows = iter(range(len(table)))
            place = [None if row in ragged else next(rows) for row in range(len(table) + len(ragged))]
            table = table.take(pa.array(place, pa.int64()))
        return table, ragged

    def _roles(self, table: pa.Table) -> tuple[str | None, list[str], list[str]]:
        """Return the column of the source, those of the readings, and those of attributes."""
        source = self.columns.source
        if source is not None and self.guessed and not are_names(table.column(source)):
            source = None  # it has the name of one, but measures something
        taken = (self.columns.time, source, EVENT_ID, *self.columns.values)
        attributes = [
            name
            for name in self.columns.attributes
            if name in table.column_names and name not in taken and not are_numbers(table.column(name))
        ]
        if self.columns.values:
            return source, list(self.columns.values), attributes
        values = [n for n in table.column_names if n not in taken and are_numbers(table.column(n))]
        if not values and len(table):
            raise TableError(f"{self.path}: no column holds numbers; there are: {', '.join(self.names)}")
        return source, values, attributes


def find_recordings(
    inputs: Sequence[Path], columns: TelemetryColumns = USUAL_COLUMNS, *, outside: Path | None = None
) -> list[Recording]:
    """Return the files of recorded telemetry and what their columns are.

    Parameters
    ----------
    inputs
        Files, and folders that are searched with all below them, in the order of their paths.
    columns
        Which columns are what.
    outside
        A folder that is left out: a result that stands among the inputs.

    Raises
    ------
    streams.tables.TableError
        If there is nothing to read, or a file lacks a column.

    """
    found = [one for given in inputs for one in _files(given, outside)]
    if not found:
        raise TableError(f"{', '.join(map(str, inputs))}: no .csv or .parquet file there")
    recordings = [_located(path, relative, columns) for path, relative in found]
    seen: dict[str, Path] = {}
    for recording in recordings:
        if (other := seen.setdefault(recording.name, recording.path)) != recording.path:
            raise TableError(
                f"{other} and {recording.path} would both be {recording.name!r};"
                " rename one, or give the folder above both"
            )
    for name in columns.exclude:
        if not any(name in recording.names for recording in recordings):
            raise TableError(f"no file has the column {name!r} to exclude")
    return recordings


def _files(given: Path, outside: Path | None) -> list[tuple[Path, Path]]:
    if not given.is_dir():
        return [(given, Path(given.name))]
    left_out = outside.resolve() if outside is not None else None
    return sorted(
        (path, path.relative_to(given))
        for path in given.rglob("*")
        if path.suffix.lower() in ENDINGS
        and path.is_file()
        and (left_out is None or left_out == given.resolve() or left_out not in path.resolve().parents)
    )


def _located(path: Path, relative: Path, columns: TelemetryColumns) -> Recording:
    names = column_names(path)
    try:
        time = find_column("time", columns.time, names, USUAL_TIMES)
        source = find_column("source", columns.source, names, USUAL_SOURCES, needed=False)
        for name in columns.values:
            find_column("values", name, names, ())
    except TableError as error:
        raise TableError(f"{path}: {error}") from error
    if columns.source is None and source in (*columns.values, *columns.exclude):
        source = None
    found = replace(columns, time=time, source=source)
    return Recording(path, relative, found, names, guessed=columns.source is None)


def _events(
    table: pa.Table, sources: list[str | None], times: list[Any], values: list[str], attributes: list[str]
) -> list[bytes]:
    """Return the JSON of each row's event; values that are missing are left out."""
    ids = names_in(table.column(EVENT_ID)) if EVENT_ID in table.column_names else None
    columns = [numbers_in(table.column(name)) for name in values]
    readings = [
        {name: cell for name, cell in zip(values, row, strict=True) if cell is not None}
        for row in (zip(*columns, strict=True) if columns else ((),) * len(table))
    ]
    events = [
        {"source": source, "timestamp": time, "values": row}
        for source, time, row in zip(sources, times, readings, strict=True)
    ]
    if ids is not None:
        events = [{**event, EVENT_ID: id_} if id_ else event for event, id_ in zip(events, ids, strict=True)]
    for name in attributes:
        for event, cell in zip(events, names_in(table.column(name)), strict=True):
            if cell:
                event.setdefault("attributes", {})[name] = cell
    if any(math.inf in column or -math.inf in column for column in columns):
        # Strictly there is no infinity in JSON; as other producers do, say it all the same: the event is refused.
        return [json.dumps(event).encode() for event in events]
    return [_ENCODE(event) for event in events]


_ENCODE = msgspec.json.Encoder().encode
