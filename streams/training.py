"""Trains models from files of history."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from detectors.artefact import Artefact
from detectors.rul import Layout
from detectors.rul.packed import Schema, pack, unpack
from detectors.rul.rows import Rows, together
from detectors.rul.validation import fitted, train
from streams.machine import FailureRecord
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
        created_at=_now(),
        facts={"trained_on": facts},
    )


def learned(artefact: Artefact, failures: Iterable[FailureRecord]) -> Artefact | None:
    """Return the next version of a model, which has learned how further machines came to fail.

    Parameters
    ----------
    artefact
        The model.
    failures
        What topic ``failures`` tells; those of other sensors or another horizon, and those it knows, are left out.

    Returns
    -------
    Artefact or None
        ``None`` if there is nothing to learn.

    """
    fleet, schema = unpack(artefact)
    layout = fleet.layout
    new = {f"{one.source}@{one.timestamp}": one for one in failures if _fits(one, layout)}
    for unit in fleet.units:
        new.pop(unit, None)
    if not new:
        return None
    rows = together(fleet.rows, _rows(list(new.values()), layout))
    units, modes = (*fleet.units, *new), (*fleet.modes, *(one.mode for one in new.values()))
    after, metrics = fitted(layout, rows, units, modes)
    before = artefact.metrics["trained_on"]
    facts = {
        **before,
        "units": len(units),
        "learned_since": before.get("learned_since", 0) + len(new),
        "modes": dict(Counter(mode for mode in modes if mode)),
        "shortest": min(before["shortest"], *(one.life for one in new.values())),
        "longest": max(before["longest"], *(one.life for one in new.values())),
    }
    return pack(after, metrics, schema, name=artefact.name, created_at=_now(), facts={"trained_on": facts})


def _fits(failure: FailureRecord, layout: Layout) -> bool:
    size = len(failure.conditions) == 4 * len(layout.features) * len(failure.ages)
    return failure.columns == layout.columns and failure.horizon == layout.horizon and size


def _rows(failures: Sequence[FailureRecord], layout: Layout) -> Rows:
    features = [np.frombuffer(one.conditions, "<f4").reshape(-1, len(layout.features)) for one in failures]
    return Rows(
        np.concatenate(features).astype(np.float64),
        np.concatenate([one.life - np.array(one.ages) for one in failures]),
        np.repeat(np.arange(len(failures)), [len(one.ages) for one in failures]),
    )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _schema(table: MachineTable, sensors: tuple[str, ...], horizon: float) -> Schema:
    return Schema(
        unit=table.unit_column, time=table.time_column, columns=sensors, horizon=horizon, seconds=table.seconds
    )
