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
from typing import NamedTuple

import numpy as np

from detectors.rul.condition import Condition, Floats, Layout
from detectors.rul.directions import Directions
from detectors.rul.health import Healthy
from detectors.rul.rows import Integers, Rows

LIKENESS = 0.25
"""Width of the kernel, in units of how much machines with as much time left differ."""

PHASES = 0.3, 0.7
"""Shares of the horizon between which remaining life is near, middling or far; intervals are calibrated in each."""

MOMENTS = (0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.6, 0.8, 1.0, 1.25, 1.5)
"""Shares of the horizon within which the probability of failing is told."""

COVERAGE = 0.9
TAILS = (1 - COVERAGE) / 2, (1 + COVERAGE) / 2


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
