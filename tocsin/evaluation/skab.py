"""The Skoltech Anomaly Benchmark: a water loop with valves, leaks and unbalanced rotors, eight sensors once a second.

Katser, I., Kozitsin, V. (2020). Skoltech Anomaly Benchmark (SKAB). https://github.com/waico/SKAB
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.csv
from numpy.typing import NDArray

from detectors.base import Detector
from streams.backtest import backtest_telemetry
from streams.replay import TelemetryColumns
from streams.tables import Progress, TableError
from streams.telemetry import TelemetrySettings

LABELS = ("anomaly", "changepoint")
PUBLISHED = {
    "Conv-AE": 0.78,
    "MSET": 0.78,
    "T²+Q": 0.76,
    "LSTM-AE": 0.74,
    "T²": 0.66,
    "Isolation forest": 0.29,
}
"""F1 on the whole benchmark, trained on the beginning of each experiment, as its repository publishes them."""


def evaluate(
    data: Path, settings: TelemetrySettings, make_detector: Callable[[], Detector], progress: Progress | None = None
) -> dict[str, float]:
    """Return F1, false and missed alarm rate of the alerts, and the average precision of the anomaly score.

    Parameters
    ----------
    data
        Folder with experiments, ``;``-separated, in it or below it.
    settings, make_detector
        How to score.
    progress
        Called now and then with the rows done and in all.

    Raises
    ------
    streams.tables.TableError
        If there is no experiment with labels.

    """
    with tempfile.TemporaryDirectory() as folder:
        columns = TelemetryColumns(exclude=LABELS)
        backtest_telemetry([data], Path(folder), settings, make_detector, columns=columns, progress=progress)
        found = [(path.relative_to(folder), pyarrow.csv.read_csv(path)) for path in sorted(Path(folder).rglob("*.csv"))]
    labelled = [(data / path, scored) for path, scored in found if LABELS[0] in _columns(data / path)]
    if not labelled:
        raise TableError(f"{data}: no file has a column {LABELS[0]!r}; name a folder with experiments of SKAB")
    truth = np.concatenate([_labels(path) for path, _ in labelled])
    alerts = np.concatenate([scored["alert"].to_numpy() == 1 for _, scored in labelled])
    scores = np.concatenate([scored["anomaly_score"].to_numpy() for _, scored in labelled])
    hits = int((alerts & truth).sum())
    return {
        "f1": 2 * hits / max(int(alerts.sum() + truth.sum()), 1),
        "false_alarm_rate": float((alerts & ~truth).sum() / (~truth).sum()),
        "missed_alarm_rate": float((~alerts & truth).sum() / truth.sum()),
        "average_precision": average_precision(truth, scores),
    }


def average_precision(truth: NDArray[np.bool_], scores: NDArray[np.float64]) -> float:
    """Return the area under the precision-recall curve, as a sum over its steps; equal scores make one step.

    Examples
    --------
    >>> round(average_precision(np.array([True, False, True, False]), np.array([0.9, 0.8, 0.7, 0.1])), 4)
    0.8333

    """
    order = np.argsort(-scores, kind="stable")
    ends = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))
    hits = np.cumsum(truth[order])[ends]
    recall, precision = hits / truth.sum(), hits / (ends + 1)
    return float((np.diff(recall, prepend=0.0) * precision).sum())


def _columns(path: Path) -> list[str]:
    with path.open() as lines:
        return lines.readline().strip().split(";")


def _labels(path: Path) -> NDArray[np.bool_]:
    table = pyarrow.csv.read_csv(path, parse_options=pyarrow.csv.ParseOptions(delimiter=";"))
    labels: NDArray[np.bool_] = table[LABELS[0]].to_numpy().astype(bool)
    return labels
