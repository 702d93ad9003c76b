"""What an evaluation of forecasts found, for people and for programs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tocsin.evaluation.tables import Table, cell
from tocsin.plotting import plot_into

HORIZONS = (1, 12, 64)
"""Steps ahead that are looked at."""

CHOSEN_ON = ("artificialNoAnomaly", "artificialWithAnomaly", "realAWSCloudwatch", "realAdExchange")
"""Categories of NAB on which the default forecaster's design was chosen; the others were only reported on."""

REAL = "real"
"""How the names of NAB's categories of real series begin."""


@dataclass(frozen=True, slots=True)
class HorizonResult:
    """One series at one horizon.

    Parameters
    ----------
    judged, covered
        Number of forecasts, and how many of them had the value within their bounds.
    mae, naive_mae, seasonal_mae
        Mean absolute error, that of the last value, and that of the value a day ago, in the value's unit.
    width
        Mean distance between the bounds, in the value's unit.

    """

    judged: int
    covered: int
    mae: float
    naive_mae: float
    seasonal_mae: float | None
    width: float

    @property
    def coverage(self) -> float:
        """Share of values within the bounds."""
        return self.covered / self.judged

    @property
    def mase(self) -> float:
        """Error in units of the last value's; not a number where that has none."""
        return self.mae / self.naive_mae if self.naive_mae > 0.0 else math.nan


@dataclass(frozen=True, slots=True)
class SeriesResult:
    """One series: its name, which begins with the folder it is in, and its results by horizon."""

    name: str
    horizons: dict[int, HorizonResult]

    @property
    def category(self) -> str:
        """The folder it is in."""
        return self.name.split("/")[0] if "/" in self.name else ""


@dataclass(frozen=True, slots=True)
class Summary:
    """Several series at one horizon.

    Parameters
    ----------
    coverage
        Share of all values within their bounds.
    below_naive, below_seasonal
        Share of the series with a smaller error than the last value, and the value a day ago; only series whose values
        change, and that last two days, count.
    mase
        Geometric mean of the series' errors in units of the last value's.

    """

    coverage: float
    below_naive: float
    below_seasonal: float
    mase: float


@dataclass(frozen=True, slots=True)
class ForecastResult:
    """What came of it, series by series."""

    series: Sequence[SeriesResult]

    def groups(self) -> dict[str, list[SeriesResult]]:
        """Return the series by category, then those of all real ones, and of those of them held out."""
        found: dict[str, list[SeriesResult]] = {}
        for one in self.series:
            found.setdefault(one.category, []).append(one)
        real = [one for one in self.series if one.category.startswith(REAL)]
        if real:
            found["all real"] = real
            held_out = [one for one in real if one.category not in CHOSEN_ON]
            if held_out:
                found["real, held out"] = held_out
        return found

    def as_json(self) -> dict[str, Any]:
        """Return what programs read."""
        return {
            "categories": {
                name: {str(steps): _no_nan(asdict(summary(series, steps))) for steps in HORIZONS}
                for name, series in self.groups().items()
            },
            "series": {
                one.name: {
                    str(steps): _no_nan(asdict(result) | {"coverage": result.coverage, "mase": result.mase})
                    for steps, result in one.horizons.items()
                }
                for one in self.series
            },
        }

    def tables(self, title: str) -> list[Table]:
        """Return what people read: tables of categories, then of series, by horizon."""
        columns = ("category", "series", "coverage", "below seasonal-naive", "below naive", "MASE")
        return [
            *(Table(_titled(title, steps), columns, self._categories(steps)) for steps in HORIZONS),
            *(self._one_by_one(steps) for steps in HORIZONS),
        ]

    def plot(self, file: Path) -> None:
        """Draw each series' coverage, and its error in units of the naive forecast's, by horizon."""
        with plot_into(file, rows=2, size=(8.0, 4.0)) as (_, (above, below)):
            order = sorted(self.series, key=lambda one: one.name)
            for steps, color in zip(HORIZONS, ("#4c566a", "#2e9e6b", "#c1440e"), strict=True):
                there = [(i, one.horizons[steps]) for i, one in enumerate(order) if steps in one.horizons]
                places = [i for i, _ in there]
                above.plot(
                    places, [100 * result.coverage for _, result in there], ".", color=color, label=f"{steps} ahead"
                )
                below.plot(places, [result.mase for _, result in there], ".", color=color)
            above.axhline(95, color="#4c566a", linewidth=0.6)
            above.set_ylabel("% within bounds")
            above.legend(frameon=False, ncols=3)
            below.axhline(1, color="#4c566a", linewidth=0.6)
            below.set_ylabel("MASE")
            below.set_xlabel("series, by name")

    def _categories(self, steps: int) -> list[tuple[str, ...]]:
        rows: list[tuple[str, ...]] = []
        for name, series in self.groups().items():
            found = summary(series, steps)
            shares = (cell(found.coverage, ".1%"), cell(found.below_seasonal, ".0%"), cell(found.below_naive, ".0%"))
            rows.append((name or "all", str(len(series)), *shares, cell(found.mase, ".2f")))
        return rows

    def _one_by_one(self, steps: int) -> Table:
        columns = ("series", "coverage", "MAE", "naive", "seasonal-naive")
        rows: list[tuple[str, ...]] = [
            (
                one.name,
                cell(found.coverage, ".1%"),
                *(cell(error, ".3g") for error in (found.mae, found.naive_mae, found.seasonal_mae)),
            )
            for one in self.series
            if (found := one.horizons.get(steps)) is not None
        ]
        return Table(_titled("Mean absolute errors by series, in the values' own units", steps), columns, rows)


def summary(series: Sequence[SeriesResult], steps: int) -> Summary:
    """Return what several series come to at one horizon."""
    found = [one.horizons[steps] for one in series if steps in one.horizons]
    judged = sum(one.judged for one in found)
    changing = [one for one in found if one.naive_mae > 0.0]
    seasonal = [(one.mae, one.seasonal_mae) for one in found if one.seasonal_mae]
    logs = [math.log(max(one.mase, 1e-9)) for one in changing]
    return Summary(
        coverage=sum(one.covered for one in found) / judged if judged else math.nan,
        below_naive=_share([one.mae < one.naive_mae for one in changing]),
        below_seasonal=_share([mae < other for mae, other in seasonal]),
        mase=math.exp(sum(logs) / len(logs)) if logs else math.nan,
    )


def _share(flags: Sequence[bool]) -> float:
    return sum(flags) / len(flags) if flags else math.nan


def _titled(title: str, steps: int) -> str:
    return f"{title}: {steps} step{'s' if steps > 1 else ''} ahead"


def _no_nan(values: dict[str, Any]) -> dict[str, Any]:
    """Return values for JSON, in which nothing is not a number."""
    return {name: None if isinstance(value, float) and math.isnan(value) else value for name, value in values.items()}
