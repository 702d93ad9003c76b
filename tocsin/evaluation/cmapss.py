"""C-MAPSS FD001: how long turbofan engines will last, by engines the model has not seen.

Saxena, A., Goebel, K., Simon, D., Eklund, N. (2008). Damage propagation modeling for aircraft engine run-to-failure
simulation. PHM 2008.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from detectors.rul import Fleet, History
from detectors.rul.condition import Floats, conditions
from detectors.rul.validation import nasa_score, train
from streams.machine_tables import MachineColumns, read_machines
from streams.tables import Progress, TableError
from tocsin.evaluation.tables import Table, cell
from tocsin.plotting import plot_into

TITLE = "C-MAPSS FD001"
CAP = 125.0
"""Lives are capped here, as the field does."""

FOLDS = 5
CUTS = 10
"""At how many moments each engine is cut off."""

SHORTEST, LONGEST_LEFT, SEEN = 7, 145, 31
"""Least and most cycles left, and fewest seen, in the official test set."""

PUBLISHED = {"LSTM": 14.9, "deep LSTM (Zheng et al.)": 16.1, "1D CNN": 17.0}
"""RMSE on the official test set, from arXiv:2604.27234."""

RANGES = ((0, 25), (25, 50), (50, 75), (75, 100), (100, CAP), (CAP, math.inf))


@dataclass(frozen=True, slots=True)
class Foretold:
    """What was foretold of engines that were cut off, beside what came.

    Parameters
    ----------
    found
        Remaining life, bounds and health; shape (engines, 4).
    left
        Cycles that were left; shape (engines,).

    """

    found: Floats
    left: Floats

    def measured(self) -> dict[str, float]:
        """Return errors with lives capped, and coverage and width of the intervals of 90 %."""
        truth, capped = np.minimum(self.left, CAP), np.minimum(self.found, CAP)
        errors = capped[:, 0] - truth
        covered = (capped[:, 1] <= truth) & (truth <= capped[:, 2])
        return {
            "engines": len(truth),
            "rmse": math.sqrt(float((errors**2).mean())),
            "mae": float(np.abs(errors).mean()),
            "nasa_score": nasa_score(errors) * 100 / len(errors),
            "coverage": float(covered.mean()),
            "width": float((capped[:, 2] - capped[:, 1]).mean()),
            "health": float(self.found[:, 3].mean()),
        }

    def between(self, low: float, high: float) -> Foretold | None:
        """Return those with so many cycles left."""
        chosen = (low <= self.left) & (self.left < high)
        return Foretold(self.found[chosen], self.left[chosen]) if chosen.any() else None


@dataclass(frozen=True, slots=True)
class CmapssResult:
    """What came of it: cross-validated, and on the official test set where it is there."""

    cross_validated: Foretold
    official: Foretold | None

    def as_json(self) -> dict[str, Any]:
        """Return what programs read."""
        official = None if self.official is None else self.official.measured()
        return {
            "cross_validated": self.cross_validated.measured(),
            "official_test_set": official,
            "published_rmse": PUBLISHED,
        }

    def tables(self, title: str) -> list[Table]:
        """Return what people read."""
        columns = ("", "engines", "RMSE", "MAE", "NASA score of 100", "coverage of 90 %", "width", "health")
        rows = [_row("engines left out, cut off at random", self.cross_validated)]
        if self.official is not None:
            rows.append(_row("official test set", self.official))
        rows += [(f"published: {name}", "", cell(rmse), "", "", "", "", "") for name, rmse in PUBLISHED.items()]
        by_range = [
            _row(f"{low:g} to {high:g}" if math.isfinite(high) else f"{low:g} and more", part)
            for low, high in RANGES
            if (part := self.cross_validated.between(low, high)) is not None
        ]
        return [Table(title, columns, rows), Table("Left out, by cycles left", columns, by_range)]

    def plot(self, file: Path) -> None:
        """Draw what was foretold over what came."""
        shown = self.official or self.cross_validated
        order = np.argsort(shown.left, kind="stable")
        with plot_into(file, size=(6.0, 3.2)) as (_, (panel,)):
            at, found = shown.left[order], np.minimum(shown.found[order], CAP)
            panel.vlines(at, found[:, 1], found[:, 2], color="#88c0d0", linewidth=0.6, label="interval of 90 %")
            panel.plot(at, found[:, 0], ".", color="#c1440e", markersize=3, label="foretold")
            panel.plot(at, np.minimum(at, CAP), color="#4c566a", linewidth=0.8, label="true, capped")
            panel.set_xlabel("cycles left")
            panel.set_ylabel("cycles foretold")
            panel.legend(frameon=False)


def evaluate(data: Path, progress: Progress | None = None) -> CmapssResult:
    """Train on some engines, and foretell of the others at random moments.

    Parameters
    ----------
    data
        Folder with ``train_FD001.txt`` or ``.txt.gz``; if ``test_FD001`` and ``RUL_FD001`` are there, the official
        test set is foretold, too.
    progress
        Called with the models trained and in all.

    Raises
    ------
    streams.tables.TableError
        If the file is not there or cannot be read.

    """
    tell = progress or (lambda done, total: None)
    training = _file(data, "train_FD001")
    if training is None:
        raise TableError(f"{data}: there is no train_FD001.txt or train_FD001.txt.gz")
    table = read_machines(training, MachineColumns())
    engines, columns = table.histories(), table.columns
    draw = np.random.default_rng(0)
    folds = np.array_split(draw.permutation(len(engines)), FOLDS)
    parts = []
    for done, held_out in enumerate(folds, 1):
        model, _ = train([engine for i, engine in enumerate(engines) if i not in held_out], columns)
        for i in held_out.tolist():
            parts.append(_foretold(model, engines[i], _cuts(engines[i], draw)))
        tell(done, FOLDS + 1)
    official = _official(data, engines, columns)
    tell(FOLDS + 1, FOLDS + 1)
    return CmapssResult(_together(parts), official)


def _cuts(engine: History, draw: np.random.Generator) -> list[int]:
    """Return at how many cycles before its end an engine is cut off."""
    most = min(LONGEST_LEFT, len(engine.times) - SEEN)
    return draw.integers(SHORTEST, max(most, SHORTEST) + 1, CUTS).tolist()


def _foretold(model: Fleet, engine: History, left: Sequence[int]) -> Foretold:
    at = len(engine.times) - 1 - np.array(left)
    features = conditions(model.layout, engine.times, engine.values)[at]
    return Foretold(model.predict(features), np.array(left, dtype=float))


def _official(data: Path, engines: Sequence[History], columns: Sequence[str]) -> Foretold | None:
    test, truth = _file(data, "test_FD001"), _file(data, "RUL_FD001")
    if test is None or truth is None:
        return None
    model, _ = train(engines, columns)
    running = read_machines(test, MachineColumns()).histories()
    left = np.loadtxt(truth, ndmin=1)
    if len(left) != len(running):
        raise TableError(f"{truth}: has {len(left)} rows, {test.name} has {len(running)} engines")
    last = [conditions(model.layout, engine.times, engine.values)[-1] for engine in running]
    return Foretold(model.predict(np.array(last)), left)


def _file(data: Path, name: str) -> Path | None:
    return next((file for ending in (".txt", ".txt.gz") if (file := data / f"{name}{ending}").exists()), None)


def _together(parts: Sequence[Foretold]) -> Foretold:
    return Foretold(np.concatenate([part.found for part in parts]), np.concatenate([part.left for part in parts]))


def _row(name: str, foretold: Foretold) -> tuple[str, ...]:
    found = foretold.measured()
    errors = (cell(found[key]) for key in ("rmse", "mae", "nasa_score"))
    rest = cell(found["coverage"], ".0%"), cell(found["width"]), cell(found["health"], ".2f")
    return (name, f"{found['engines']:,.0f}", *errors, *rest)
