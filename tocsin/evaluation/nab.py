"""The Numenta Anomaly Benchmark: 58 series from clouds, roads, adverts and machines, scored as its own scorer does."""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from detectors.base import Detector
from streams.tables import Progress, TableError
from streams.telemetry_settings import TelemetrySettings
from tocsin.evaluation.metrics import average_precision, mean_average_precision
from tocsin.evaluation.nab_result import CHOSEN, HELD_OUT, PARTS, TRANSFERRED, Category, NabResult, Precision
from tocsin.evaluation.nab_scorer import LABELS, PROFILES, best, report, rows_of, score_at, windows_of
from tocsin.evaluation.replayed import Flags, Numbers, Replayed, replay

TITLE = "NAB, beside published results for the whole"
RESULTS, SCORES = "final_results.json", "scores_{}.csv.gz"

PUBLISHED_SCORES = {"Random Cut Forest": "randomCutForest", "Numenta HTM": "numenta"}
"""Detectors whose published scores, record by record, are used where their files are beside the data."""

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

PUBLISHED_KEYS = {
    "ARTime": "ARTime",
    "Numenta HTM": "numenta",
    "CAD OSE": "contextOSE",
    "HTM Java": "htmjava",
    "earthgecko Skyline": "earthgeckoSkyline",
    "KNN CAD": "knncad",
    "Relative Entropy": "relativeEntropy",
    "Random Cut Forest": "randomCutForest",
    "Twitter ADVec": "twitterADVec",
    "Windowed Gaussian": "windowedGaussian",
}
"""What they are called in ``final_results.json``, which has all profiles."""

Windows = Mapping[str, Sequence[tuple[int, int]]]


def evaluate(
    data: Path, settings: TelemetrySettings, make_detector: Callable[[], Detector], progress: Progress | None = None
) -> NabResult:
    """Return the scores, in whole and in part, of what ``tocsin backtest telemetry`` writes.

    Parameters
    ----------
    data
        Folder with NAB's ``data`` and ``labels``, and ``final_results.json`` if it is at hand.
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
    files = replay(data / "data", settings, make_detector, progress=progress)
    windows = windows_of(data)
    if unknown := [file.name for file in files if file.name not in windows]:
        raise TableError(f"{data}: {LABELS} does not name {unknown[0]}; name the folder with NAB's data and labels")
    return judge(files, windows, _published_scores(data), _published(data))


def judge(
    files: Sequence[Replayed],
    windows: Windows,
    others: Mapping[str, Mapping[str, Sequence[float]]],
    published: dict[str, dict[str, float]],
) -> NabResult:
    """Return how scored files do by NAB's rules, as a whole, by part and by category.

    Parameters
    ----------
    files
        Scored files.
    windows
        First and last row of each file's labelled windows.
    others
        Scores of published detectors: by detector, then by file.
    published
        Published results: by detector, then by profile.

    """
    scores = {file.name: file.alert_score.tolist() for file in files}
    kept = {part: _kept(scores, belongs) for part, belongs in PARTS.items()}
    kept = {part: one for part, one in kept.items() if any(windows[file] for file in one)}
    if "whole" not in kept:
        raise TableError("none of NAB's labelled windows is in these files; take the whole folder")
    parts = {part: report(one, windows) for part, one in kept.items()}
    thresholds = {part: _thresholds(one, windows) for part, one in kept.items()}
    if kept.keys() >= {CHOSEN, HELD_OUT}:
        parts[TRANSFERRED] = _at(kept[HELD_OUT], windows, thresholds[CHOSEN])
    truths = {file.name: _truth(windows[file.name], len(file)) for file in files}
    ranked = {"this": {file.name: file.anomaly_score for file in files}}
    ranked |= {name: {file: np.asarray(values) for file, values in one.items()} for name, one in others.items()}
    names = sorted({file.name.split("/")[0] for file in files})
    return NabResult(
        parts,
        {name: _category(_kept(scores, _in(name)), windows, thresholds["whole"]) for name in names},
        {detector: _precision(names, truths, values) for detector, values in ranked.items()},
        published,
        [(file, truths[file.name], _file_score(file, windows, thresholds["whole"])) for file in files],
    )


def _in(category: str) -> Callable[[str], bool]:
    return lambda file: file.split("/")[0] == category


def _kept(scores: Mapping[str, Sequence[float]], belongs: Callable[[str], bool]) -> dict[str, Sequence[float]]:
    return {file: values for file, values in scores.items() if belongs(file)}


def _thresholds(scores: Mapping[str, Sequence[float]], windows: Windows) -> dict[str, float]:
    rows = [row for file, values in scores.items() for row in rows_of(file, values, windows[file])]
    count = sum(len(windows[file]) for file in scores)
    return {name: best(rows, count, profile)[1] for name, profile in PROFILES.items()}


def _at(scores: Mapping[str, Sequence[float]], windows: Windows, thresholds: Mapping[str, float]) -> dict[str, float]:
    rows = [row for file, values in scores.items() for row in rows_of(file, values, windows[file])]
    count = sum(len(windows[file]) for file in scores)
    return {name: score_at(rows, count, profile, thresholds[name]) for name, profile in PROFILES.items()}


def _category(scores: Mapping[str, Sequence[float]], windows: Windows, thresholds: Mapping[str, float]) -> Category:
    rows = [row for file, values in scores.items() for row in rows_of(file, values, windows[file])]
    alarms = [row for row in rows if row.score >= thresholds["standard"]]
    return Category(
        profiles=_at(scores, windows, thresholds),
        windows=sum(len(windows[file]) for file in scores),
        found=len({row.window for row in alarms if row.window is not None}),
        false_alarms=sum(row.window is None for row in alarms),
    )


def _file_score(file: Replayed, windows: Windows, thresholds: Mapping[str, float]) -> float:
    return _at({file.name: file.alert_score.tolist()}, windows, thresholds)["standard"]


def _precision(names: Sequence[str], truths: Mapping[str, Flags], scores: Mapping[str, Numbers]) -> Precision:
    def mean(files: list[str]) -> float:
        return mean_average_precision([truths[file] for file in files], [scores[file] for file in files])

    everything = [file for file in truths if file in scores]
    return Precision(
        categories={name: mean([file for file in everything if file.split("/")[0] == name]) for name in names},
        per_file=mean(everything),
        pooled=average_precision(
            np.concatenate([truths[file] for file in everything]),
            np.concatenate([scores[file] for file in everything]),
        ),
    )


def _truth(windows: Sequence[tuple[int, int]], rows: int) -> Flags:
    truth = np.zeros(rows, bool)
    for first, last in windows:
        truth[first : last + 1] = True
    return truth


def _published(data: Path) -> dict[str, dict[str, float]]:
    """Return published results of all profiles where their file is, else of the standard one."""
    if not (data / RESULTS).is_file():
        return {name: {"standard": score} for name, score in PUBLISHED.items()}
    found: dict[str, dict[str, float]] = json.loads((data / RESULTS).read_text())
    return {name: found[key] for name, key in PUBLISHED_KEYS.items() if key in found}


def _published_scores(data: Path) -> dict[str, dict[str, list[float]]]:
    """Return the scores of published detectors whose files are there, by detector and file."""
    return {
        name: read_scores(path)
        for name, key in PUBLISHED_SCORES.items()
        if (path := data / SCORES.format(key)).is_file()
    }


def read_scores(path: Path) -> dict[str, list[float]]:
    """Return a published detector's scores by file, from a compressed table ``file, index, anomaly_score``."""
    scores: dict[str, list[float]] = {}
    with gzip.open(path, "rt") as lines:
        for row in csv.DictReader(lines):
            scores.setdefault(row["file"], []).append(float(row["anomaly_score"]))
    return scores
