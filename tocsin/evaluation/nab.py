"""The Numenta Anomaly Benchmark, scored as its own scorer does.

Source of the rules: Lavin, A., Ahmad, S. (2015). Evaluating Real-time Anomaly Detection Algorithms - the Numenta
Anomaly Benchmark. IEEE ICMLA. https://arxiv.org/abs/1510.03336
"""

from __future__ import annotations

import csv
import json
import math
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from detectors.base import Detector
from streams.backtest import backtest_telemetry
from streams.tables import Progress, TableError
from streams.telemetry import TelemetrySettings

PROBATION_SHARE, PROBATION_ROWS = 0.15, 750
LABELS = "labels/combined_windows.json"

CHOSEN_ON = ("artificialNoAnomaly", "artificialWithAnomaly", "realAWSCloudwatch", "realTweets")
"""Categories on which the default detector's design was chosen; the others were only reported on."""

PARTS: dict[str, Callable[[str], bool]] = {
    "chosen on": lambda file: file.split("/")[0] in CHOSEN_ON,
    "held out": lambda file: file.split("/")[0] not in CHOSEN_ON,
    "whole": lambda file: True,
}


@dataclass(frozen=True, slots=True)
class Profile:
    """What a detection, a miss and a false alarm count."""

    tp: float
    fp: float
    fn: float


PROFILES = {
    "standard": Profile(1.0, 0.11, 1.0),
    "reward_low_FP_rate": Profile(1.0, 0.22, 1.0),
    "reward_low_FN_rate": Profile(1.0, 0.11, 2.0),
}


@dataclass(frozen=True, slots=True)
class Row:
    """A scored row that counts: its worth if flagged, and the window it lies in."""

    score: float
    worth: float
    window: tuple[str, int] | None


def rows_of(file: str, scores: Sequence[float], windows: Sequence[tuple[int, int]]) -> list[Row]:
    """Return the rows of a file after its probation, each with its worth for unit weights.

    Parameters
    ----------
    file
        Name of the file.
    scores
        One score per row.
    windows
        First and last row of each labelled window.

    """
    probation = min(math.floor(PROBATION_SHARE * len(scores)), PROBATION_ROWS)
    rows, number = [], 0
    for i, score in enumerate(scores):
        while number < len(windows) and i > windows[number][1]:
            number += 1
        if i < probation:
            continue
        if number < len(windows) and i >= windows[number][0]:
            left, right = windows[number]
            worth = _sigmoid(-(right - i + 1) / (right - left + 1)) / _sigmoid(-1.0)
            rows.append(Row(score, worth, (file, number)))
        elif number == 0:
            rows.append(Row(score, -1.0, None))
        else:
            left, right = windows[number - 1]
            rows.append(Row(score, _sigmoid((i - right) / (right - left)), None))
    return rows


def best(rows: Iterable[Row], windows: int, profile: Profile) -> tuple[float, float]:
    """Return the corpus's normalised score with the one threshold that is best for it, and that threshold."""
    total = -profile.fn * windows
    null, perfect = total, profile.tp * windows
    found: dict[tuple[str, int], float] = {}
    top, threshold = total, math.inf
    ordered = sorted(rows, key=lambda row: -row.score)
    for i, row in enumerate(ordered):
        if row.window is None:
            total += profile.fp * row.worth
        else:
            before = found.get(row.window, -profile.fn)
            found[row.window] = max(before, profile.tp * row.worth)
            total += found[row.window] - before
        if total > top and (i + 1 == len(ordered) or ordered[i + 1].score < row.score):
            top, threshold = total, row.score
    return 100.0 * (top - null) / (perfect - null), threshold


def _sigmoid(position: float) -> float:
    return -1.0 if position > 3.0 else 2.0 / (1.0 + math.exp(5.0 * position)) - 1.0


def windows_of(data: Path) -> dict[str, list[tuple[int, int]]]:
    """Return first and last row of each file's labelled windows."""
    labelled: dict[str, list[list[str]]] = json.loads((data / LABELS).read_text())
    found = {}
    for file, windows in labelled.items():
        with (data / "data" / file).open() as lines:
            row_at = {row["timestamp"]: i for i, row in enumerate(csv.DictReader(lines))}
        found[file] = [(row_at[start[:19]], row_at[end[:19]]) for start, end in windows]
    return found


def report(scores: Mapping[str, Sequence[float]], windows: Mapping[str, Sequence[tuple[int, int]]]) -> dict[str, float]:
    """Return the normalised score of each profile."""
    rows = [row for file, values in scores.items() for row in rows_of(file, values, windows[file])]
    count = sum(len(windows[file]) for file in scores)
    return {name: best(rows, count, profile)[0] for name, profile in PROFILES.items()}


PUBLISHED = {
    "ARTime": 74.9,
    "Numenta HTM": 70.1,
    "CAD OSE": 69.9,
    "HTM Java": 65.5,
    "earthgecko Skyline": 58.2,
    "KNN CAD": 58.0,
    "Relative Entropy": 54.6,
    "Random Cut Forest": 51.7,
    "Twitter ADVec": 47.1,
    "Windowed Gaussian": 39.6,
}
"""Standard profile, whole corpus, as NAB's repository and the detectors' authors publish them."""


def evaluate(
    data: Path, settings: TelemetrySettings, make_detector: Callable[[], Detector], progress: Progress | None = None
) -> dict[str, dict[str, float]]:
    """Return the score of each profile, on each part of the corpus, of what ``tocsin backtest telemetry`` writes.

    Parameters
    ----------
    data
        Folder with NAB's ``data`` and ``labels``.
    settings, make_detector
        How to score.
    progress
        Called now and then with the rows done and in all.

    Raises
    ------
    streams.tables.TableError
        If it is no folder of NAB.

    """
    if not (data / LABELS).is_file():
        raise TableError(f"{data}: there is no {LABELS} in it; name the folder with NAB's data and labels")
    with tempfile.TemporaryDirectory() as folder:
        backtest_telemetry([data / "data"], Path(folder), settings, make_detector, progress=progress)
        scores = {path.relative_to(folder).as_posix(): _alert_scores(path) for path in Path(folder).rglob("*.csv")}
    windows = windows_of(data)
    return {
        part: report({file: values for file, values in scores.items() if belongs(file)}, windows)
        for part, belongs in PARTS.items()
    }


def _alert_scores(path: Path) -> list[float]:
    with path.open() as lines:
        return [float(row["alert_score"]) for row in csv.DictReader(lines)]
