"""A fleet's model as an artefact, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np

from detectors.artefact import Artefact, ArtefactError
from detectors.rul.condition import Layout
from detectors.rul.fleet import Fleet, Widening
from detectors.rul.rows import Rows
from detectors.rul.validation import Metrics

KIND = "rul"


class Schema(msgspec.Struct, frozen=True, kw_only=True):
    """What a model of remaining useful life takes and gives.

    Parameters
    ----------
    unit, time
        Columns that name a machine, and that say when.
    columns
        Sensors.
    horizon
        How far ahead it tells, in the unit of time.
    seconds
        Whether times are seconds, of a column of dates, rather than cycles or hours as the column counts them.

    """

    unit: str
    time: str
    columns: tuple[str, ...]
    horizon: float
    seconds: bool = False


class _Learned(msgspec.Struct, frozen=True, array_like=True):
    units: tuple[str, ...]
    modes: tuple[str, ...]
    widening: Widening | None
    unit: bytes
    left: bytes
    features: bytes


def pack(
    fleet: Fleet, metrics: Metrics | None, schema: Schema, *, name: str, created_at: str, facts: Mapping[str, Any]
) -> Artefact:
    """Return the artefact of a model.

    Parameters
    ----------
    fleet
        The model.
    metrics
        How good it is on machines left out.
    schema
        What it takes and gives.
    name, created_at
        Which model it is, and of when.
    facts
        What else its card tells, such as what it was trained on.

    """
    rows = fleet.rows
    learned = _Learned(
        fleet.units,
        fleet.modes,
        fleet.widening,
        rows.unit.astype("<i4").tobytes(),
        rows.left.astype("<f8").tobytes(),
        rows.features.astype("<f4").tobytes(),
    )
    return Artefact.of(
        msgspec.to_builtins(learned, builtin_types=(bytes,)),
        kind=KIND,
        name=name,
        created_at=created_at,
        schema=msgspec.to_builtins(schema),
        metrics={**facts, **({} if metrics is None else metrics.as_json())},
    )


def unpack(artefact: Artefact) -> tuple[Fleet, Schema]:
    """Return the model and what it takes.

    Raises
    ------
    detectors.artefact.ArtefactError
        If it is of another kind, or its parts do not fit together.

    """
    if artefact.kind != KIND:
        raise ArtefactError(f"model {artefact.name} is for {artefact.kind}, not for remaining useful life")
    try:
        schema = msgspec.convert(artefact.schema, Schema)
        learned = msgspec.convert(artefact.learned(), _Learned)
        layout = Layout(schema.columns, schema.horizon)
        rows = Rows(
            np.frombuffer(learned.features, "<f4").reshape(-1, len(layout.features)).astype(np.float64),
            np.frombuffer(learned.left, "<f8").astype(np.float64),
            np.frombuffer(learned.unit, "<i4").astype(np.int64),
        )
        if not len(rows.features) == len(rows.left) == len(rows.unit) > 0:
            raise ValueError("its rows differ in number")  # noqa: TRY301
        if not 0 <= rows.unit.min() <= rows.unit.max() < len(learned.units) == len(learned.modes):
            raise ValueError("its rows are of machines that it does not name")  # noqa: TRY301
        return Fleet(layout, rows, learned.units, learned.modes, learned.widening), schema
    except (msgspec.ValidationError, ValueError) as error:
        if isinstance(error, ArtefactError):
            raise
        raise ArtefactError(f"model {artefact.name} has a wrong schema: {error}") from error
