"""The lives of machines that have failed, and what is kept of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detectors.rul.condition import Floats, Layout, conditions

Integers = NDArray[np.int64]

POINTS_PER_UNIT = 64
"""Rows kept of one machine."""

MOST_NUMBERS = 160_000
"""Features of rows kept in all, so that a model fits into a record of Kafka; a larger fleet keeps fewer of each."""

SHARE_OF_LIFE = 5 / 8
"""The default horizon, in shares of the median life. Of C-MAPSS FD001 that is 124 cycles, where the field caps at 125:
before, machines are as good as new and nothing tells how long they will last."""


@dataclass(frozen=True, slots=True)
class History:
    """The life of a machine that has failed.

    Parameters
    ----------
    unit
        Its name.
    times
        When its readings were, ascending; the last is that of the failure. Shape (rows,).
    values
        Shape (rows, sensors); NaN where a sensor was not read.
    mode
        What failed, if that is known.

    """

    unit: str
    times: Floats
    values: Floats
    mode: str = ""

    @property
    def life(self) -> float:
        """How long it lasted, in the unit of time."""
        return float(self.times[-1] - self.times[0])


@dataclass(frozen=True, slots=True)
class Rows:
    """Conditions of failed machines.

    Parameters
    ----------
    features
        Shape (rows, features).
    left
        Time that was left, in the unit of time. Shape (rows,).
    unit
        Which of the machines, by its number. Shape (rows,).

    """

    features: Floats
    left: Floats
    unit: Integers

    def of(self, chosen: NDArray[np.bool_]) -> Rows:
        """Return some of the rows."""
        return Rows(self.features[chosen], self.left[chosen], self.unit[chosen])


def default_horizon(histories: Sequence[History]) -> float:
    """Return how far ahead remaining life is told if nobody says it."""
    return SHARE_OF_LIFE * float(np.median([history.life for history in histories]))


def rows_of(histories: Sequence[History], layout: Layout) -> Rows:
    """Return the conditions that a library keeps: evenly through each life, and always the last."""
    most = MOST_NUMBERS // (len(layout.features) * len(histories))
    kept = max(min(POINTS_PER_UNIT, most), 2)
    features, left, unit = [], [], []
    for number, history in enumerate(histories):
        chosen = np.unique(np.linspace(0, len(history.times) - 1, kept).round().astype(np.int64))
        features.append(conditions(layout, history.times, history.values)[chosen])
        left.append(history.times[-1] - history.times[chosen])
        unit.append(np.full(len(chosen), number, dtype=np.int64))
    # As an artefact holds them, so that a model read back is the same to the last bit.
    rounded = np.concatenate(features).astype(np.float32).astype(np.float64)
    return Rows(rounded, np.concatenate(left), np.concatenate(unit))


def together(known: Rows, more: Rows) -> Rows:
    """Return rows with those of further machines, numbered after them; while there are too many, every other goes."""
    units = int(known.unit.max()) + 1
    found = Rows(
        np.concatenate([known.features, more.features]),
        np.concatenate([known.left, more.left]),
        np.concatenate([known.unit, more.unit + units]),
    )
    while found.features.size > MOST_NUMBERS:
        # Counted within each machine from its end, whose last moment always stays.
        from_end = np.zeros(len(found.unit), dtype=np.int64)
        for unit in np.unique(found.unit):
            own = found.unit == unit
            from_end[own] = np.argsort(np.argsort(found.left[own], kind="stable"), kind="stable")
        kept = from_end % 2 == 0
        if kept.all():
            break
        found = found.of(kept)
    return found
