"""Scores detections on the Numenta Anomaly Benchmark as its own scorer does.

    python benchmarks/nab.py --data DATA/nab             scores the default detector
    python benchmarks/nab.py --data DATA/nab --published checks the scorer: Numenta 70.10, Random Cut Forest 51.72

Source of the rules: Lavin, A., Ahmad, S. (2015). Evaluating Real-time Anomaly Detection Algorithms - the Numenta
Anomaly Benchmark. IEEE ICMLA. https://arxiv.org/abs/1510.03336
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import math
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from detectors.registry import DetectorSettings, detector_factory
from streams.backtest import backtest_telemetry
from streams.telemetry import TelemetrySettings

PROBATION_SHARE, PROBATION_ROWS = 0.15, 750

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
    labelled: dict[str, list[list[str]]] = json.loads((data / "labels" / "combined_windows.json").read_text())
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


def published(data: Path, name: str) -> dict[str, list[float]]:
    """Return the record-by-record scores that a published detector gave."""
    scores: dict[str, list[float]] = {}
    with gzip.open(data / f"scores_{name}.csv.gz", "rt") as lines:
        for row in csv.DictReader(lines):
            scores.setdefault(row["file"], []).append(float(row["anomaly_score"]))
    return scores


def ours(data: Path, folder: Path) -> dict[str, list[float]]:
    """Return the ``alert_score`` of every record, as ``tocsin backtest telemetry`` writes it."""
    backtest_telemetry([data / "data"], folder, TelemetrySettings(), detector_factory(DetectorSettings()))
    scores = {}
    for path in folder.rglob("*.csv"):
        with path.open() as lines:
            scores[path.relative_to(folder).as_posix()] = [float(row["alert_score"]) for row in csv.DictReader(lines)]
    return scores


def main() -> None:
    """Score what the arguments say, and print a table; the last line is one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with NAB's data/ and labels/")
    parser.add_argument("--published", action="store_true", help="score published detectors' record-by-record scores")
    arguments = parser.parse_args()
    windows = windows_of(arguments.data)
    if arguments.published:
        runs = {name: published(arguments.data, name) for name in ("numenta", "randomCutForest")}
    else:
        with tempfile.TemporaryDirectory() as folder:
            runs = {"auto": ours(arguments.data, Path(folder))}
    results: dict[str, dict[str, dict[str, float]]] = {}
    print(f"{'detector':<16}{'part':<12}" + "".join(f"{name:>20}" for name in PROFILES))
    for name, scores in runs.items():
        results[name] = {}
        for part, files in PARTS.items():
            chosen = {file: values for file, values in scores.items() if files(file)}
            results[name][part] = found = report(chosen, windows)
            print(f"{name:<16}{part:<12}" + "".join(f"{score:>20.2f}" for score in found.values()))
    print(json.dumps(results))


if __name__ == "__main__":
    main()
