"""What an evaluation on the Numenta Anomaly Benchmark found, for people and for programs."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tocsin.evaluation.replayed import Flags, Replayed
from tocsin.evaluation.tables import Table, cell

CHOSEN_ON = (
    "artificialNoAnomaly",
    "artificialWithAnomaly",
    "realAWSCloudwatch",
    "realAdExchange",
    "realTraffic",
    "realTweets",
)
"""Categories on which the default detector's design was chosen; the others were only reported on."""

CHOSEN, HELD_OUT, TRANSFERRED = "chosen on", "held out", "held out, threshold chosen"

COLUMNS = {"standard": "standard", "reward_low_FP_rate": "low FP", "reward_low_FN_rate": "low FN"}
"""What the profiles are called in tables: the last two punish false alarms, and misses, more."""

PARTS: dict[str, Callable[[str], bool]] = {
    CHOSEN: lambda file: file.split("/")[0] in CHOSEN_ON,
    HELD_OUT: lambda file: file.split("/")[0] not in CHOSEN_ON,
    "whole": lambda file: True,
}


@dataclass(frozen=True, slots=True)
class Category:
    """One category with the whole corpus's threshold.

    Parameters
    ----------
    profiles
        Normalised score by profile; without windows, 100 less what false alarms cost.
    windows, found
        Labelled windows, and how many of them have an alarm, by the standard profile.
    false_alarms
        Rows outside every window that are alarms, by the standard profile.

    """

    profiles: dict[str, float]
    windows: int
    found: int
    false_alarms: int


@dataclass(frozen=True, slots=True)
class Precision:
    """Average precision of a detector's scores over the rows in labelled windows.

    Parameters
    ----------
    categories
        Mean of the files of each category that have windows; not a number where none has.
    per_file
        Mean of all files that have windows.
    pooled
        All rows of all files ranked together.

    """

    categories: dict[str, float]
    per_file: float
    pooled: float


@dataclass(frozen=True, slots=True)
class NabResult:
    """What came of it.

    Parameters
    ----------
    parts
        Score by part of the corpus and profile, each part with the threshold that is best for it, as NAB does; and the
        part held out with the threshold that is best for the part chosen on.
    categories
        The same by category, all with the threshold of the whole.
    precision
        Average precision by detector.
    published
        Published score by detector and profile.
    files
        Scored files, each with the rows in its labelled windows and its score.

    """

    parts: dict[str, dict[str, float]]
    categories: dict[str, Category]
    precision: dict[str, Precision]
    published: dict[str, dict[str, float]]
    files: Sequence[tuple[Replayed, Flags, float]]

    def as_json(self) -> dict[str, Any]:
        """Return what programs read."""
        return {
            **self.parts,
            "categories": {name: asdict(category) for name, category in self.categories.items()},
            "average_precision": {name: _no_nan(asdict(precision)) for name, precision in self.precision.items()},
            "published": self.published,
        }

    def tables(self, title: str) -> list[Table]:
        """Return what people read: parts, categories, average precision."""
        return [self._parts(title), self._categories(), self._precisions()]

    def hardest(self) -> list[tuple[Replayed, Flags, str]]:
        """Return the files, the one with the lowest score first, each with its labelled rows and what it got."""
        ordered = sorted(self.files, key=lambda one: one[2])
        return [(file, truth, f"{score:.0f} of 100 points") for file, truth, score in ordered]

    def _parts(self, title: str) -> Table:
        rows = [(f"this, {part}", *_cells(scores)) for part, scores in self.parts.items()]
        rows += [(name, *_cells(scores)) for name, scores in self.published.items()]
        return Table(title, ("detector", *COLUMNS.values()), rows)

    def _categories(self) -> Table:
        rows = [
            (name, *_cells(one.profiles), f"{one.found} of {one.windows}", str(one.false_alarms))
            for name, one in self.categories.items()
        ]
        columns = ("category", *COLUMNS.values(), "found", "false alarms")
        return Table("By category, with the threshold of the whole", columns, rows)

    def _precisions(self) -> Table:
        rows = [
            (name, *(cell(one.categories[name], ".2f") for one in self.precision.values())) for name in self.categories
        ]
        rows.append(("all files", *(cell(one.per_file, ".2f") for one in self.precision.values())))
        rows.append(("all rows ranked together", *(cell(one.pooled, ".2f") for one in self.precision.values())))
        return Table(
            "Average precision of anomaly_score in labelled windows, mean of files", ("category", *self.precision), rows
        )


def _cells(scores: Mapping[str, float]) -> list[str]:
    return [cell(scores.get(profile)) for profile in COLUMNS]


def _no_nan(values: dict[str, Any]) -> dict[str, Any]:
    """Return values for JSON, in which nothing is not a number."""
    return {
        name: _no_nan(value) if isinstance(value, dict) else None if math.isnan(value) else value
        for name, value in values.items()
    }
