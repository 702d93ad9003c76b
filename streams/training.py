"""Trains models from files of history."""

from __future__ import annotations

import hashlib
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from detectors.artefact import Artefact
from detectors.rul.packed import Schema, pack
from detectors.rul.validation import train
from streams.machine_tables import MachineColumns, MachineTable, read_machines
from streams.tables import TableError


def train_rul(file: Path, columns: MachineColumns, name: str, horizon: float | None = None) -> Artefact:
    """Learn how long machines last from those that have failed.

    Parameters
    ----------
    file
        As `streams.machine_tables.read_machines` takes it; each machine failed at its last row.
    columns
        Which columns are what.
    name
        The model's name.
    horizon
        How far ahead it tells, in the unit of time; by default five eighths of the median life.

    Raises
    ------
    streams.tables.TableError
        If the file cannot be read, or nothing can be learned from it.

    """
    table = read_machines(file, columns)
    moves = np.nanmin(table.values, axis=0) < np.nanmax(table.values, axis=0)
    if not moves.any():
        raise TableError(f"{file}: no sensor ever changes: there is nothing to tell the time by")
    histories = [
        type(history)(history.unit, history.times, history.values[:, moves], history.mode)
        for history in table.histories()
    ]
    sensors = tuple(name for name, moving in zip(table.columns, moves, strict=True) if moving)
    try:
        fleet, metrics = train(histories, sensors, horizon)
    except ValueError as error:
        raise TableError(f"{file}: {error}") from error
    lives = [history.life for history in histories]
    facts = {
        "file": file.name,
        "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
        "units": len(histories),
        "rows": len(table.units),
        "shortest": min(lives),
        "median": float(np.median(lives)),
        "longest": max(lives),
        "modes": dict(Counter(history.mode for history in histories if history.mode)),
        "constant": [name for name, moving in zip(table.columns, moves, strict=True) if not moving],
    }
    return pack(
        fleet,
        metrics,
        _schema(table, sensors, fleet.layout.horizon),
        name=name,
        created_at=datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        facts={"trained_on": facts},
    )


def _schema(table: MachineTable, sensors: tuple[str, ...], horizon: float) -> Schema:
    return Schema(
        unit=table.unit_column, time=table.time_column, columns=sensors, horizon=horizon, seconds=table.seconds
    )
