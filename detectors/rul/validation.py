"""Validates a fleet's model on machines it has not seen, and widens its intervals until they cover what they say."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from detectors.rul.condition import Floats, Layout
from detectors.rul.fleet import PHASES, TAILS, Fleet, Widening, phases, spread, widened
from detectors.rul.rows import History, Rows, default_horizon, rows_of

FOLDS = 10
HARD = 1.25
"""Intervals are calibrated where at most this many horizons are left: earlier ones cover too easily."""

FEWEST = 5
"""Failed machines below which an interval says nothing but that nobody knows."""


@dataclass(frozen=True, slots=True)
class Metrics:
    """How good a model is on machines it was not trained on.

    Parameters
    ----------
    units
        Failed machines.
    rows
        Conditions that were foretold.
    rmse
        Root mean square error, in the unit of time, of lives capped at the horizon.
    mae
        Mean absolute error.
    nasa_score
        Mean over conditions of exp(-e/13) - 1 where it is told too early and exp(e/10) - 1 where too late, e in
        125ths of the horizon (Saxena et al., PHM 2008, who sum it over engines).
    coverage
        Share of conditions, of those with at most 1.25 horizons left, whose true remaining life lies within the
        interval of 90 %; None with too few machines.
    width
        Mean width of the intervals, capped at the horizon.

    """

    units: int
    rows: int
    rmse: float
    mae: float
    nasa_score: float
    coverage: float | None
    width: float | None

    def as_json(self) -> dict[str, Any]:
        """Return what programs read."""
        return asdict(self)


def train(
    histories: Sequence[History], columns: Sequence[str], horizon: float | None = None
) -> tuple[Fleet, Metrics | None]:
    """Learn from the lives of failed machines.

    Parameters
    ----------
    histories
        At least one.
    columns
        Names of the sensors.
    horizon
        How far ahead remaining life is told, in the unit of time; by default five eighths of the median life.

    Returns
    -------
    tuple
        The model, and how good it is on machines left out in turn; ``None`` of one machine.

    Raises
    ------
    ValueError
        If there is no history, or none lasted.

    """
    if not histories:
        raise ValueError("there is no machine that has failed: a model learns from those that have")
    span = default_horizon(histories) if horizon is None else horizon
    if not span > 0:
        raise ValueError("the machines lasted no time at all: is the time column right?")
    layout = Layout(tuple(columns), span)
    rows = rows_of(histories, layout)
    return fitted(layout, rows, [history.unit for history in histories], [history.mode for history in histories])


def fitted(layout: Layout, rows: Rows, units: Sequence[str], modes: Sequence[str]) -> tuple[Fleet, Metrics | None]:
    """Return the model that rows of failed machines make, its intervals widened by cross-validation over machines."""
    if len(units) < 2:
        return Fleet(layout, rows, units, modes), None
    outlook = cross_validated(layout, rows, modes)
    widening = _widening(outlook, rows, layout) if len(units) >= FEWEST else None
    return Fleet(layout, rows, units, modes, widening), measured(outlook, rows, layout, widening)


def cross_validated(layout: Layout, rows: Rows, modes: Sequence[str]) -> Floats:
    """Return what is foretold of each row by a model that has not seen its machine: shape (rows, 3)."""
    units = len(modes)
    found = np.empty((len(rows.left), 3))
    # Which machines are together is drawn once and for all: neighbours in a file may be alike.
    fold_of = np.random.default_rng(0).permutation(units) % min(FOLDS, units)
    folds = fold_of[rows.unit]
    for fold in range(min(FOLDS, units)):
        held_out = folds == fold
        model = Fleet(layout, rows.of(~held_out), modes, modes)
        found[held_out] = model.outlook(rows.features[held_out])
    return found


def measured(outlook: Floats, rows: Rows, layout: Layout, widening: Widening | None) -> Metrics:
    """Compare what was foretold with what came."""
    truth = np.minimum(rows.left, layout.horizon)
    error = outlook[:, 0] - truth
    coverage = width = None
    if widening is not None:
        lower, upper = widened(outlook, layout, widening)
        hard = rows.left <= HARD * layout.horizon
        coverage = float(((lower <= rows.left) & (rows.left <= upper))[hard].mean())
        width = float((np.minimum(upper, layout.horizon) - np.minimum(lower, layout.horizon))[hard].mean())
    return Metrics(
        int(rows.unit.max()) + 1,
        len(truth),
        math.sqrt(float((error**2).mean())),
        float(np.abs(error).mean()),
        nasa_score(error * 125 / layout.horizon) / len(truth),
        coverage,
        width,
    )


def nasa_score(errors: Floats) -> float:
    """Return the score of Saxena et al. (PHM 2008), which punishes lateness more.

    Parameters
    ----------
    errors
        Foretold minus true remaining life, in cycles.

    Examples
    --------
    >>> round(nasa_score(np.array([-13.0, 10.0])), 3)
    3.437

    """
    return float(np.where(errors < 0, np.expm1(-errors / 13), np.expm1(errors / 10)).sum())


def _widening(outlook: Floats, rows: Rows, layout: Layout) -> Widening:
    """Return by how much both sides of an interval move out in each phase (conformalised quantiles).

    Romano, Patterson, Candès: Conformalized quantile regression. NeurIPS 2019, with the two sides apart, in shares of
    the width, and by phase of life (Mondrian).
    """
    left = rows.left
    width = spread(outlook, layout)
    below, above = (outlook[:, 1] - left) / width, (left - outlook[:, 2]) / width
    phase = phases(outlook, layout)
    found = []
    hard = left <= HARD * layout.horizon
    for number in range(len(PHASES) + 1):
        chosen = hard & (phase == number) if (hard & (phase == number)).any() else hard
        found.append((float(np.quantile(below[chosen], TAILS[1])), float(np.quantile(above[chosen], TAILS[1]))))
    return tuple(found)
