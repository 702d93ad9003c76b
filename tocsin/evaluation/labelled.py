"""Recordings with a column of labels: how well alerts and scores agree with it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from detectors.base import Detector
from streams.columns import truths_in
from streams.replay import USUAL_COLUMNS, TelemetryColumns, find_recordings
from streams.tables import Progress, TableError, read_table
from streams.telemetry_settings import TelemetrySettings
from tocsin.evaluation.metrics import Agreement, agreement, average_precision
from tocsin.evaluation.replayed import Flags, Replayed, replay
from tocsin.evaluation.tables import Table, cell

MEASURES = ("F1", "false", "missed", "AP", "AP per file")


@dataclass(frozen=True, slots=True)
class LabelledResult:
    """What came of it.

    Parameters
    ----------
    whole
        Agreement over all files.
    files
        The scored files, each with its labels.
    published
        F1 that others have published for the like.

    """

    whole: Agreement
    files: Sequence[tuple[Replayed, Flags]]
    published: dict[str, float]

    def as_json(self) -> dict[str, Any]:
        """Return what programs read."""
        return {
            **asdict(self.whole),
            "files": len(self.files),
            "rows": sum(len(file) for file, _ in self.files),
            "published_f1": self.published,
        }

    def tables(self, title: str) -> list[Table]:
        """Return what people read."""
        whole = self.whole
        rates = (cell(whole.false_alarm_rate, ".1%"), cell(whole.missed_alarm_rate, ".1%"))
        precisions = (cell(whole.average_precision, ".2f"), cell(whole.average_precision_per_file, ".2f"))
        rows = [("this", cell(whole.f1, ".2f"), *rates, *precisions)]
        rows += [(name, cell(f1, ".2f"), "", "", "", "") for name, f1 in self.published.items()]
        return [Table(title, ("detector", *MEASURES), rows)]

    def hardest(self) -> list[tuple[Replayed, Flags, str]]:
        """Return the files, the one with the lowest average precision first, each with its labels and what it got."""
        scored = [
            (average_precision(truth, file.anomaly_score), file, truth) for file, truth in self.files if truth.any()
        ]
        scored.sort(key=lambda one: one[0])
        return [(file, truth, f"average precision {precision:.2f}") for precision, file, truth in scored]


def evaluate(
    data: Path,
    settings: TelemetrySettings,
    make_detector: Callable[[], Detector],
    *,
    label: str,
    columns: TelemetryColumns = USUAL_COLUMNS,
    published: dict[str, float] | None = None,
    progress: Progress | None = None,
) -> LabelledResult:
    """Score recordings as a live run would have, and compare with a column of labels that the detector never sees.

    Parameters
    ----------
    data
        A folder with CSV or Parquet files in it or below it; those without the label are left out of the result.
    settings, make_detector
        How to score and when to alert.
    label
        Column that is true, or 1, where something is wrong.
    columns
        Which columns are what.
    published
        F1 that others have published for the like.
    progress
        Called now and then with the rows done and in all.

    Raises
    ------
    streams.tables.TableError
        If no file has the label, it is true nowhere, or a file cannot be read.

    """
    there = {name for recording in find_recordings([data], replace(columns, exclude=())) for name in recording.names}
    if label not in there:
        raise TableError(f"{data}: no file has a column {label!r}; name a folder with recordings that are labelled")
    hidden = tuple(name for name in (label, *columns.exclude) if name in there)
    replayed = replay(data, settings, make_detector, columns=replace(columns, exclude=hidden), progress=progress)
    files = [(file, truth) for file in replayed if (truth := _labels(file.path, label)) is not None]
    if not any(truth.any() for _, truth in files):
        raise TableError(f"{data}: the column {label!r} is true nowhere, so there is nothing to find")
    whole = agreement(
        [truth for _, truth in files], [file.alert for file, _ in files], [file.anomaly_score for file, _ in files]
    )
    return LabelledResult(whole, files, published or {})


def _labels(path: Path, label: str) -> Flags | None:
    table = read_table(path)
    if label not in table.column_names:
        return None
    return np.array([cell is True for cell in truths_in(table.column(label))], bool)
