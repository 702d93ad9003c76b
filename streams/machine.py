"""One source as a machine that wears: its condition, what is foretold of it, and its life once it has failed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from alerts.alert import iso
from detectors.rul import Condition, Layout, Life
from detectors.rul.rows import POINTS_PER_UNIT
from detectors.score import Foreseen
from streams.fleet_book import Published
from streams.processor import Output, Record

FAILURE = "failure"
"""Attribute of the event at which a machine fails; its text says what failed."""

FAILURES = "failures"
FAILURE_TYPE = "tocsin.failure.v1"

STEPS = 256
"""A machine's life is foretold anew whenever so small a part of the horizon has passed."""


class FailureRecord(msgspec.Struct, frozen=True, kw_only=True):
    """The JSON value of topic ``failures``: how a machine came to fail, for models to learn; its key is the source.

    Parameters
    ----------
    source
        The machine.
    timestamp
        Time of the event at which it failed, ISO 8601.
    mode
        What failed; empty if nobody said so.
    model, version
        Which model watched it.
    columns, horizon
        What its conditions are made of.
    life
        How long it lasted, in the model's unit of time.
    ages
        How old it was at each condition, in the model's unit of time.
    conditions
        Its conditions through life, 32-bit floats in base64, one after the other.

    """

    source: str
    timestamp: str
    mode: str
    model: str
    version: int
    columns: tuple[str, ...]
    horizon: float
    life: float
    ages: list[float]
    conditions: bytes


class MachineState(msgspec.Struct, array_like=True):
    """A ``Machine`` as it is written."""

    columns: tuple[str, ...]
    horizon: float
    condition: bytes
    told_at: float
    life: Life | None
    stride: int
    skipped: int
    ages: list[float]
    rows: bytes


class Told(NamedTuple):
    """What is foretold of a machine; ``anew`` at this event."""

    life: Life
    anew: bool


class Machine:
    """One source as a machine.

    Parameters
    ----------
    layout
        What its condition is made of.

    """

    def __init__(self, layout: Layout) -> None:
        self.condition = Condition(layout)
        self._told_at = -math.inf
        self._life: Life | None = None
        self._stride, self._skipped = 1, 0
        self._ages: list[float] = []
        self._rows: list[bytes] = []

    def learn_one(self, values: Mapping[str, float], time: float, model: Published) -> Told | None:
        """Take in an event, and return what is foretold: anew if enough time has passed, else as before.

        Parameters
        ----------
        values
            The event's values.
        time
            Event time, epoch seconds.
        model
            The model for this source.

        """
        at = time if model.schema.seconds else values.get(model.schema.time)
        if at is None or not any(name in values for name in model.schema.columns):
            return None
        if self.condition.layout != model.fleet.layout:
            self._adapt(model.fleet.layout)
        self.condition.learn_one([values.get(name, math.nan) for name in model.schema.columns], at)
        self._note()
        if self._life is not None and self.condition.age - self._told_at < model.schema.horizon / STEPS:
            return Told(self._life, anew=False)
        self._life = model.fleet.predict_one(self.condition, model.warn_within)
        self._told_at = self.condition.age
        return Told(self._life, anew=True)

    def failed(self, source: str, mode: str, model: Published, record: Record, time: float) -> Output | None:
        """Return what models learn of the failure, for topic ``failures``; what comes then is another life."""
        layout, age = self.condition.layout, self.condition.age
        if not self._ages or not age > 0:
            return None
        told = FailureRecord(
            source=source,
            timestamp=iso(time),
            mode=mode,
            model=model.name,
            version=model.version,
            columns=layout.columns,
            horizon=layout.horizon,
            life=age,
            ages=[*self._ages, age],
            conditions=b"".join([*self._rows, self._row()]),
        )
        return Output(FAILURES, source.encode(), msgspec.json.encode(told), FAILURE_TYPE, record)

    def snapshot(self) -> MachineState:
        """Return the state."""
        layout = self.condition.layout
        counts = self._stride, self._skipped
        return MachineState(
            *(layout.columns, layout.horizon, self.condition.encode(), self._told_at, self._life, *counts),
            *(self._ages, b"".join(self._rows)),
        )

    @classmethod
    def restored(cls, state: MachineState) -> Machine:
        """Return what ``snapshot`` gave."""
        layout = Layout(state.columns, state.horizon)
        found = cls(layout)
        found.condition = Condition.decode(layout, state.condition)
        found._told_at, found._life = state.told_at, state.life
        found._stride, found._skipped, found._ages = state.stride, state.skipped, state.ages
        size = 4 * len(layout.features)
        found._rows = [state.rows[start : start + size] for start in range(0, len(state.rows), size)]
        return found

    def _adapt(self, layout: Layout) -> None:
        """Go on with another model, to which what was noted of its life so far is of no use."""
        self._ages, self._rows, self._stride, self._skipped = [], [], 1, 0
        self.condition = self.condition.adapted(layout)
        self._life = None

    def _note(self) -> None:
        """Keep the condition, evenly through life: of too many, every other one goes."""
        self._skipped += 1
        if self._skipped < self._stride:
            return
        self._skipped = 0
        if len(self._rows) >= POINTS_PER_UNIT:
            self._ages, self._rows, self._stride = self._ages[1::2], self._rows[1::2], self._stride * 2
        self._ages.append(self.condition.age)
        self._rows.append(self._row())

    def _row(self) -> bytes:
        return self.condition.features().astype("<f4").tobytes()


def foreseen(life: Life, model: Published) -> Foreseen:
    """Return what is to be warned of."""
    names = [f"{unit} had {left:.4g} left in this condition" for unit, left, share in life.like if share > 0.05]
    modes = [f"{mode} {share:.0%}" for mode, share in sorted(life.modes.items(), key=lambda item: -item[1])[:3]]
    reasons = (f"health {life.health:.2f}", *names, *([f"what failed then: {', '.join(modes)}"] if modes else []))
    return Foreseen(
        "failure", life.soon, model.warn_within, model.unit, life.lower, life.rul, life.upper, reasons=reasons
    )
