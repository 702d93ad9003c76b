"""The benchmarks' metrics are the official ones."""

from __future__ import annotations

import csv
import gzip
import json
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from tocsin.cli import run
from tocsin.evaluation import nab, skab


def published(data: Path, name: str) -> dict[str, list[float]]:
    scores: dict[str, list[float]] = {}
    with gzip.open(data / f"scores_{name}.csv.gz", "rt") as lines:
        for row in csv.DictReader(lines):
            scores.setdefault(row["file"], []).append(float(row["anomaly_score"]))
    return scores


@pytest.mark.parametrize(("name", "score"), [("numenta", 70.10), ("randomCutForest", 51.72)])
def test_the_published_scores_of_a_detector_give_its_published_result(data: Path, name: str, score: float) -> None:
    found = nab.report(published(data / "nab", name), nab.windows_of(data / "nab"))
    assert round(found["standard"], 2) == score


def test_a_detector_that_flags_each_window_at_its_start_and_nothing_else_is_perfect() -> None:
    scores = [0.0] * 1000
    scores[500] = 1.0
    found = nab.report({"a": scores}, {"a": [(500, 600)]})
    assert all(score == pytest.approx(100.0) for score in found.values())


def test_a_detector_that_says_nothing_scores_nothing() -> None:
    assert nab.best(nab.rows_of("a", [0.0] * 1000, [(500, 600)]), 1, nab.PROFILES["standard"])[0] <= 0.0


def test_average_precision_is_that_of_scikit_learn() -> None:
    chance = np.random.default_rng(1)
    truth, scores = chance.random(500) < 0.3, chance.integers(0, 50, 500) / 50
    assert skab.average_precision(truth, scores) == pytest.approx(average_precision_score(truth, scores))


def test_skab_is_scored_by_the_alerts(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["evaluate", "skab", "--data", str(data / "skab" / "data"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert set(found) == {"f1", "false_alarm_rate", "missed_alarm_rate", "average_precision"}
    assert found["f1"] > 0.4
    assert found["false_alarm_rate"] < 0.25


def test_a_folder_without_the_benchmark_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["evaluate", "nab", "--data", str(tmp_path)]) == 2
    assert "there is no labels/combined_windows.json in it" in capsys.readouterr().err
