"""The rules of the Numenta Anomaly Benchmark: what a detection, a miss and a false alarm count.

Source of the rules: Lavin, A., Ahmad, S. (2015). Evaluating Real-time Anomaly Detection Algorithms - the Numenta
Anomaly Benchmark. IEEE ICMLA. https://arxiv.org/abs/1510.03336
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

PROBATION_SHARE, PROBATION_ROWS = 0.15, 750
LABELS = "labels/combined_windows.json"


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


def score_at(rows: Iterable[Row], windows: int, profile: Profile, threshold: float) -> float:
    """Return the normalised score with a given threshold; without windows, 100 less what false alarms cost."""
    total = -profile.fn * windows
    found: dict[tuple[str, int], float] = {}
    for row in rows:
        if row.score < threshold:
            continue
        if row.window is None:
            total += profile.fp * row.worth
        else:
            found[row.window] = max(found.get(row.window, -profile.fn), profile.tp * row.worth)
    total += sum(worth + profile.fn for worth in found.values())
    if not windows:
        return 100.0 + 100.0 * total
    return 100.0 * (total + profile.fn * windows) / ((profile.tp + profile.fn) * windows)


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
