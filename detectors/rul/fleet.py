"""The fleet's model of remaining useful life: a running machine is compared with those that have failed.

Each failed machine leaves a row of its conditions through life, each with the time that was left. What a running
machine has left is what was left to the conditions most like its own, weighted by likeness, as in

    Wang, Yu, Siegel, Lee: A similarity-based prognostics approach for remaining useful life estimation of engineered
    systems. PHM 2008.

Likeness is measured along three directions in which conditions tell most about the time left, found by ridge
regression, and in units of how much machines with as much time left differ there. A failure adds rows; the directions
follow from all rows, so each failure makes both better.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from detectors.rul.condition import Condition, Floats, Layout
from detectors.rul.directions import Directions
from detectors.rul.health import Healthy

Integers = NDArray[np.int64]

POINTS_PER_UNIT = 64
"""Rows kept of one machine."""

MOST_NUMBERS = 160_000
"""Features of rows kept in all, so that a model fits into a record of Kafka; a larger fleet keeps fewer of each."""

LIKENESS = 0.25
"""Width of the kernel, in units of how much machines with as much time left differ."""

SHARE_OF_LIFE = 5 / 8
"""The default horizon, in shares of the median life. Of C-MAPSS FD001 that is 124 cycles, where the field caps at 125:
before, machines are as good as new and nothing tells how long they will last."""

PHASES = 0.3, 0.7
"""Shares of the horizon between which remaining life is near, middling or far; intervals are calibrated in each."""

MOMENTS = (0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.6, 0.8, 1.0, 1.25, 1.5)
"""Shares of the horizon within which the probability of failing is told."""

COVERAGE = 0.9
TAILS = (1 - COVERAGE) / 2, (1 + COVERAGE) / 2


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


class Life(NamedTuple):
    """What is foretold of a machine.

    Parameters
    ----------
    rul
        Remaining useful life in the unit of time, at most the horizon: that or longer.
    lower, upper
        Between them the true one lies in 90 of 100 cases; the upper may be beyond the horizon.
    health
        From 1, as healthy as machines are when they are young, to 0, as far from it as the worst of the fleet.
    soon
        Probability that it fails within the time that was asked about.
    failing
        Probability that it fails within each of the shares ``MOMENTS`` of the horizon.
    age
        How old it is, in the unit of time.
    like
        The failed machines whose conditions are most alike: name, time that was left to it then, share of likeness.
    modes
        Share of likeness by what failed, of those whose failure has a name.

    """

    rul: float
    lower: float
    upper: float
    health: float
    soon: float = 0.0
    failing: tuple[float, ...] = ()
    age: float = 0.0
    like: tuple[tuple[str, float, float], ...] = ()
    modes: dict[str, float] = {}  # noqa: RUF012 - a NamedTuple's default


Widening = tuple[tuple[float, float], ...]
"""What is added below and above an interval in each phase, in shares of its width."""


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
        chosen = set(np.linspace(0, len(history.times) - 1, kept).round().astype(int).tolist())
        condition = Condition(layout)
        for row, (time, values) in enumerate(zip(history.times.tolist(), history.values, strict=True)):
            condition.learn_one(values, time)
            if row in chosen:
                features.append(condition.features())
                left.append(float(history.times[-1]) - time)
                unit.append(number)
    # As an artefact holds them, so that a model read back is the same to the last bit.
    rounded = np.array(features).astype(np.float32).astype(np.float64)
    return Rows(rounded, np.array(left), np.array(unit, dtype=np.int64))


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


class Fleet:
    """What failed machines teach about those that run.

    Parameters
    ----------
    layout
        What conditions are made of.
    rows
        Conditions of failed machines.
    units
        Their names.
    modes
        What failed of each; empty where nobody knows.
    widening
        How intervals are widened, from cross-validation (`detectors.rul.validation`); without it they are as wide as
        lives are long.

    """

    def __init__(
        self,
        layout: Layout,
        rows: Rows,
        units: Sequence[str],
        modes: Sequence[str],
        widening: Widening | None = None,
    ) -> None:
        self.layout, self.rows, self.units, self.modes, self.widening = (
            layout,
            rows,
            tuple(units),
            tuple(modes),
            widening,
        )
        self._capped = np.minimum(rows.left, layout.horizon)
        failed = [self.modes[unit] for unit in rows.unit.tolist()]
        self._directions = Directions.fitted(rows.features, self._capped, layout.horizon, failed)
        self._points = self._directions.project(rows.features)
        self._order = np.argsort(rows.left, kind="stable")
        self._ascending = rows.left[self._order]
        self.healthy = Healthy.fitted(rows.features, layout)

    def outlook(self, features: Floats) -> Floats:
        """Return what is foretold of machines with these conditions, before intervals are widened.

        Parameters
        ----------
        features
            Shape (machines, features).

        Returns
        -------
        Floats
            Shape (machines, 3): remaining life, and the quantiles of 5 and 95 %.

        """
        # Row by row, so that no sum depends on how many machines are asked for at once: live and replayed are the same.
        return np.array([self._outlook(row) for row in features]).reshape(-1, 3)

    def predict(self, features: Floats) -> Floats:
        """Return remaining life, its lower and upper bound and health of machines.

        Parameters
        ----------
        features
            Shape (machines, features).

        Returns
        -------
        Floats
            Shape (machines, 4).

        """
        found = self.outlook(features)
        if self.widening is None:
            bounds = np.zeros_like(found[:, 0]), np.full_like(found[:, 0], self.rows.left.max())
        else:
            bounds = widened(found, self.layout, self.widening)
        health = [self.healthy.health(row[None])[0] for row in features]
        return np.column_stack([found[:, 0], *bounds, health])

    def predict_one(self, condition: Condition, within: float = 0.0, most_alike: int = 3) -> Life:
        """Return what is foretold of one machine, how likely it fails within a time, and whom it is like."""
        features = condition.features()
        rul, lower, upper, health = self.predict(features[None])[0].tolist()
        likeness = self._likeness(features)
        soon = self._failing(likeness, within)
        failing = tuple(self._failing(likeness, share * self.layout.horizon) for share in MOMENTS)
        shares = np.bincount(self.rows.unit, likeness, minlength=len(self.units))
        like = []
        for unit in np.argsort(-shares, kind="stable")[:most_alike].tolist():
            own = self.rows.unit == unit
            like.append((self.units[unit], float(self.rows.left[own][likeness[own].argmax()]), float(shares[unit])))
        modes: defaultdict[str, float] = defaultdict(float)
        for mode, share in zip(self.modes, shares.tolist(), strict=True):
            if mode:
                modes[mode] += share
        return Life(rul, lower, upper, health, soon, failing, condition.age, tuple(like), dict(modes))

    def _failing(self, likeness: Floats, within: float) -> float:
        return min(float(likeness[self.rows.left <= within].sum()), 1.0)

    def _outlook(self, features: Floats) -> tuple[float, float, float]:
        likeness = self._likeness(features)
        rul = float((likeness * self._capped).sum())
        cumulated = np.cumsum(likeness[self._order])
        lower, upper = (float(self._ascending[np.argmax(cumulated >= tail)]) for tail in TAILS)
        return rul, lower, upper

    def _likeness(self, features: Floats) -> Floats:
        """Return how alike a machine is to each row; sums to 1 over the rows."""
        apart = ((self._directions.project(features[None])[0] - self._points) ** 2).sum(axis=1)
        # The nearest row has weight 1 before the sum, so that one far from all is still like those it is nearest to.
        weights = np.exp((apart.min() - apart) / (2 * LIKENESS**2))
        found: Floats = weights / weights.sum()
        return found


def spread(outlook: Floats, layout: Layout) -> Floats:
    """Return how wide intervals are before they are widened, at least a sixtieth of the horizon."""
    width: Floats = outlook[:, 2] - outlook[:, 1] + layout.horizon / 60
    return width


def phases(outlook: Floats, layout: Layout) -> Integers:
    """Return in which phase of its life each machine is, by what is foretold of it."""
    found: Integers = np.digitize(outlook[:, 0] / layout.horizon, PHASES).astype(np.int64)
    return found


def widened(outlook: Floats, layout: Layout, widening: Widening) -> tuple[Floats, Floats]:
    """Return both bounds, moved out by shares of the width; remaining life itself stays within."""
    rul, lower, upper = outlook.T
    below, above = spread(outlook, layout) * np.array(widening)[phases(outlook, layout)].T
    return np.clip(lower - below, 0.0, rul), np.maximum(upper + above, rul)
