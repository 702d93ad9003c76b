"""The condition of one machine: what its sensors have shown of late and for long, and its age."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

OF_LATE, FOR_LONG = 1 / 16, 1 / 2
"""Half-lives of the two means, in shares of the horizon: the newest state without its noise, and where it comes from.

Chosen on C-MAPSS FD001 by cross-validation over engines, flat around it: half of each and twice each are 0.5 cycles
worse at most.
"""

YOUNG = 1 / 64
"""Added to an age before its logarithm, in shares of the horizon."""


@dataclass(frozen=True, slots=True)
class Layout:
    """What a condition is made of.

    Parameters
    ----------
    columns
        Names of the sensors, in order.
    horizon
        How far ahead remaining life is told, in the unit of time; means of readings fade in shares of it.

    Examples
    --------
    >>> Layout(("pressure",), horizon=160.0).features
    ('pressure of late', 'pressure for long', 'age', 'logarithm of age')

    """

    columns: tuple[str, ...]
    horizon: float

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the features, in order."""
        spans = [f"{name} {span}" for span in ("of late", "for long") for name in self.columns]
        return (*spans, "age", "logarithm of age")

    def fades(self, elapsed: float) -> tuple[float, float]:
        """Return what share of each mean's weight is left after a time."""
        return 0.5 ** (elapsed / (OF_LATE * self.horizon)), 0.5 ** (elapsed / (FOR_LONG * self.horizon))


class Condition:
    """The condition of one machine, reading by reading.

    Both means weigh a reading by how long ago it was, whatever the intervals, so that histories of machines that
    report at different rates compare. A sensor that is missing keeps its means.

    Parameters
    ----------
    layout
        What it is made of.

    Examples
    --------
    >>> condition = Condition(Layout(("pressure",), horizon=16.0))
    >>> condition.learn_one([10.0], time=0.0)
    >>> condition.learn_one([13.0], time=1.0)
    >>> condition.features().round(2).tolist()
    [12.0, 11.56, 1.0, -2.55]

    """

    __slots__ = ("_first", "_last", "_sums", "_weights", "layout")

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self._sums: Floats = np.zeros((2, len(layout.columns)))
        self._weights: Floats = np.zeros((2, len(layout.columns)))
        self._first = self._last = math.nan

    @property
    def age(self) -> float:
        """How long it has been known, in the unit of time."""
        return self._last - self._first

    def learn_one(self, values: Sequence[float] | Floats, time: float) -> None:
        """Take in a reading.

        Parameters
        ----------
        values
            One number per sensor; NaN where there is none.
        time
            When, in the unit of time; one that is earlier than the newest counts as of then.

        """
        reading = np.asarray(values, dtype=np.float64)
        if math.isnan(self._first):
            self._first = self._last = time
        elapsed = max(time - self._last, 0.0)
        self._last += elapsed
        fades = np.array(self.layout.fades(elapsed))[:, None]
        there = np.isfinite(reading)
        self._sums = np.where(there, self._sums * fades + np.where(there, reading, 0.0), self._sums)
        self._weights = np.where(there, self._weights * fades + 1.0, self._weights)

    def features(self) -> Floats:
        """Return the features, in the layout's order; NaN for those of a sensor that has never been read."""
        with np.errstate(invalid="ignore", divide="ignore"):
            means = self._sums / self._weights
        return np.concatenate([*means, [self.age, math.log(self.age / self.layout.horizon + YOUNG)]])

    def adapted(self, layout: Layout) -> Condition:
        """Return the condition as another model takes it: what is known of the sensors that both have, and the age."""
        if layout == self.layout:
            return self
        found = Condition(layout)
        found._first, found._last = self._first, self._last
        for place, name in enumerate(layout.columns):
            if name in self.layout.columns:
                before = self.layout.columns.index(name)
                found._sums[:, place], found._weights[:, place] = self._sums[:, before], self._weights[:, before]
        return found

    def encode(self) -> bytes:
        """Return the state, to the last bit."""
        return np.concatenate([[self._first, self._last], self._sums.ravel(), self._weights.ravel()]).tobytes()

    @classmethod
    def decode(cls, layout: Layout, state: bytes) -> Self:
        """Return the condition that ``encode`` wrote.

        Raises
        ------
        ValueError
            If the state is of another layout.

        """
        numbers = np.frombuffer(state, dtype=np.float64)
        if len(numbers) != 2 + 4 * len(layout.columns):
            raise ValueError(f"a state of {len(numbers)} numbers is not one of {len(layout.columns)} sensors")
        found = cls(layout)
        found._first, found._last = float(numbers[0]), float(numbers[1])
        found._sums, found._weights = (part.reshape(2, -1).copy() for part in np.split(numbers[2:], 2))
        return found


def conditions(layout: Layout, times: Floats, values: Floats) -> Floats:
    """Return the features of a machine's condition after each of its readings.

    Parameters
    ----------
    layout
        What a condition is made of.
    times
        When the readings were. Shape (rows,).
    values
        Shape (rows, sensors).

    Returns
    -------
    Floats
        Shape (rows, features).

    """
    condition, found = Condition(layout), np.empty((len(times), len(layout.features)))
    for row, time in enumerate(times.tolist()):
        condition.learn_one(values[row], time)
        found[row] = condition.features()
    return found
