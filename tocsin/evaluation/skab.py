"""The Skoltech Anomaly Benchmark: a water loop with valves, leaks and unbalanced rotors, eight sensors once a second.

Katser, I., Kozitsin, V. (2020). Skoltech Anomaly Benchmark (SKAB). https://github.com/waico/SKAB
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from detectors.base import Detector
from streams.replay import TelemetryColumns
from streams.tables import Progress
from streams.telemetry_settings import TelemetrySettings
from tocsin.evaluation import labelled

LABEL, OTHER_LABEL = "anomaly", "changepoint"
TITLE = "SKAB, beside F1 published for the whole benchmark"
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
) -> labelled.LabelledResult:
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
    return labelled.evaluate(
        data,
        settings,
        make_detector,
        label=LABEL,
        columns=TelemetryColumns(exclude=(OTHER_LABEL,)),
        published=PUBLISHED,
        progress=progress,
    )
