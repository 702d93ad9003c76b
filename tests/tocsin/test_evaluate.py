"""The benchmarks' metrics are the official ones."""

from __future__ import annotations

import json
import math
import random
import shutil
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from tocsin.cli import run
from tocsin.evaluation import nab, nab_scorer
from tocsin.evaluation.metrics import average_precision


@pytest.mark.parametrize(("name", "score"), [("numenta", 70.10), ("randomCutForest", 51.72)])
def test_the_published_scores_of_a_detector_give_its_published_result(data: Path, name: str, score: float) -> None:
    found = nab_scorer.report(
        nab.read_scores(data / "nab" / f"scores_{name}.csv.gz"), nab_scorer.windows_of(data / "nab")
    )
    assert round(found["standard"], 2) == score


def test_a_detector_that_flags_each_window_at_its_start_and_nothing_else_is_perfect() -> None:
    scores = [0.0] * 1000
    scores[500] = 1.0
    found = nab_scorer.report({"a": scores}, {"a": [(500, 600)]})
    assert all(score == pytest.approx(100.0) for score in found.values())


def test_a_detector_that_says_nothing_scores_nothing() -> None:
    assert (
        nab_scorer.best(nab_scorer.rows_of("a", [0.0] * 1000, [(500, 600)]), 1, nab_scorer.PROFILES["standard"])[0]
        <= 0.0
    )


def test_average_precision_is_that_of_scikit_learn() -> None:
    chance = np.random.default_rng(1)
    truth, scores = chance.random(500) < 0.3, chance.integers(0, 50, 500) / 50
    assert average_precision(truth, scores) == pytest.approx(average_precision_score(truth, scores))


def test_skab_is_scored_by_the_alerts(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["evaluate", "skab", "--data", str(data / "skab" / "data"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["f1"] > 0.4
    assert found["false_alarm_rate"] < 0.25
    assert found["published_f1"]["MSET"] == 0.78
    assert (found["files"], found["rows"]) == (16, 18_160)


@pytest.fixture
def part_of_nab(data: Path, tmp_path: Path) -> Path:
    """Two categories of NAB, one that the design was chosen on and one held out, with published scores and results."""
    folder = tmp_path / "nab"
    categories = ("artificialWithAnomaly", "realKnownCause")
    for category in categories:
        shutil.copytree(data / "nab" / "data" / category, folder / "data" / category)
    windows = json.loads((data / "nab" / "labels" / "combined_windows.json").read_text())
    (folder / "labels").mkdir()
    (folder / "labels" / "combined_windows.json").write_text(
        json.dumps({file: found for file, found in windows.items() if file.startswith(categories)})
    )
    for name in ("final_results.json", "scores_randomCutForest.csv.gz"):
        shutil.copy(data / "nab" / name, folder / name)
    return folder


def test_nab_is_reported_by_part_profile_and_category_beside_what_is_published(
    part_of_nab: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plots = tmp_path / "plots"
    assert run(["evaluate", "nab", "--data", str(part_of_nab), "--plots", str(plots), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    for part in ("chosen on", "held out", "whole", "held out, threshold chosen"):
        assert set(found[part]) == set(nab_scorer.PROFILES), part
    assert found["held out, threshold chosen"]["standard"] <= found["held out"]["standard"]
    assert found["categories"]["realKnownCause"]["windows"] == 19
    assert set(found["average_precision"]) == {"this", "Random Cut Forest"}
    assert found["published"]["ARTime"]["reward_low_FP_rate"] == pytest.approx(65.15, abs=0.01)
    drawn = sorted(path.read_text() for path in plots.glob("*.svg"))
    assert len(drawn) == 6
    assert all("anomaly_score" in plot for plot in drawn)


def test_the_categories_with_the_best_threshold_make_up_the_whole(data: Path) -> None:
    scores = nab.read_scores(data / "nab" / "scores_numenta.csv.gz")
    windows, profile = nab_scorer.windows_of(data / "nab"), nab_scorer.PROFILES["standard"]
    rows = [row for file, values in scores.items() for row in nab_scorer.rows_of(file, values, windows[file])]
    score, threshold = nab_scorer.best(rows, sum(map(len, windows.values())), profile)
    assert nab_scorer.score_at(rows, sum(map(len, windows.values())), profile, threshold) == pytest.approx(score)


def recording(folder: Path, name: str, *, wrong: range, label: str = "broken") -> None:
    """A wave with noise, and what is wrong with it, labelled."""
    chance = random.Random(name)
    lines = [f"timestamp,flow,{label}"]
    for i in range(1_200):
        flow = math.sin(i / 8) + chance.gauss(0, 0.05) + 4.0 * (i in wrong)
        lines.append(f"{1_767_225_600 + i},{flow:.4f},{int(i in wrong)}")
    folder.mkdir(exist_ok=True)
    (folder / name).write_text("\n".join(lines) + "\n")


def test_recordings_with_a_column_of_labels_are_scored_by_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(3):
        recording(tmp_path / "in", f"{number}.csv", wrong=range(900 + 50 * number, 920 + 50 * number))
    (tmp_path / "in" / "unlabelled.csv").write_text("timestamp,flow\n1767225600,1.0\n")
    arguments = ["evaluate", "labelled", "--data", str(tmp_path / "in"), "--label", "broken"]
    assert run([*arguments, "--plots", str(tmp_path / "plots"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["files"], found["rows"]) == (3, 3_600)
    assert found["average_precision"] > 0.3
    assert found["recall"] == pytest.approx(1.0 - found["missed_alarm_rate"])
    assert len(list((tmp_path / "plots").glob("*.svg"))) == 3
    assert run(arguments) == 0
    assert "AP per file" in capsys.readouterr().out


def test_a_label_that_is_nowhere_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recording(tmp_path, "a.csv", wrong=range(0))
    assert run(["evaluate", "labelled", "--data", str(tmp_path), "--label", "fault"]) == 2
    assert "no file has a column 'fault'" in capsys.readouterr().err
    assert run(["evaluate", "labelled", "--data", str(tmp_path), "--label", "broken"]) == 2
    assert "is true nowhere" in capsys.readouterr().err


def test_without_matplotlib_a_plot_says_what_to_install_before_it_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tocsin.plotting.find_spec", lambda name: None)
    recording(tmp_path, "a.csv", wrong=range(900, 910))
    arguments = ["evaluate", "labelled", "--data", str(tmp_path), "--label", "broken"]
    assert run([*arguments, "--plots", str(tmp_path / "plots")]) == 2
    assert capsys.readouterr().err == "tocsin: plots need matplotlib: pip install 'tocsin[plots]'\n"


def test_a_folder_without_the_benchmark_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["evaluate", "nab", "--data", str(tmp_path)]) == 2
    assert "there is no labels/combined_windows.json in it" in capsys.readouterr().err
