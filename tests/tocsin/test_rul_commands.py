"""`tocsin train rul`, `tocsin backtest rul` and `tocsin evaluate cmapss`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest

from tests.detectors.machines import COLUMNS, machines
from tocsin.cli import run


def table(count: int, seed: int = 0, modes: Sequence[str] = ("bearing",)) -> pa.Table:
    """Return machines as a table, whose rows are those of all machines in turn by time."""
    lives = machines(count, seed, tuple(modes))
    units = [life.unit for life in lives for _ in life.times]
    times = np.concatenate([life.times for life in lives])
    values = np.concatenate([life.values for life in lives])
    named = {"machine": units, "hours": times, **dict(zip(COLUMNS, values.T, strict=True))}
    named["what"] = [life.mode for life in lives for _ in life.times]
    return pa.table(named).take(np.argsort(times, kind="stable"))


@pytest.fixture
def model(tmp_path: Path) -> Path:
    pyarrow.parquet.write_table(table(20), tmp_path / "failed.parquet")
    file = tmp_path / "pumps.model"
    arguments = ["--data", str(tmp_path / "failed.parquet"), "--unit", "machine", "--time", "hours"]
    assert run(["train", "rul", *arguments, "--mode", "what", "-o", str(file)]) == 0
    return file


def backtest(model: Path, source: Path) -> pa.Table:
    target = source.with_name("out.csv")
    assert run(["backtest", "rul", str(source), "--model", str(model), "-o", str(target)]) == 0
    return pyarrow.csv.read_csv(target)


def test_each_row_is_foretold_in_its_place(model: Path, tmp_path: Path) -> None:
    source = tmp_path / "running.csv"
    running = table(3, seed=1)
    pyarrow.csv.write_csv(running, source)
    found = backtest(model, source)
    assert found.column_names == ["machine", "hours", "rul", "rul_lower", "rul_upper", "health"]
    assert found["machine"].to_pylist() == running["machine"].to_pylist()
    assert found["hours"].to_pylist() == running["hours"].to_pylist()
    rul, lower, upper = (np.array(found[name]) for name in ("rul", "rul_lower", "rul_upper"))
    assert ((lower <= rul) & (rul <= upper)).all()


def test_no_row_knows_what_comes_after_it(model: Path, tmp_path: Path) -> None:
    source = tmp_path / "running.csv"
    running = table(2, seed=2)
    pyarrow.csv.write_csv(running, source)
    whole = backtest(model, source)
    pyarrow.csv.write_csv(running.slice(0, 100), source)
    assert backtest(model, source).equals(whole.slice(0, 100))


def test_the_card_says_what_it_is_for_how_good_it_is_and_what_it_learned_from(model: Path) -> None:
    card = model.with_suffix(".md").read_text()
    for said in (
        "library_name: tocsin",
        "20 machines that failed",
        "What failed: bearing (20)",
        "Intended use",
        "root mean square error",
        "Limits",
        "Fairness and privacy",
    ):
        assert said in card


def test_a_damaged_model_is_refused(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = model.read_bytes()
    middle = len(text) // 2
    model.write_bytes(text[:middle] + (b"A" if text[middle : middle + 1] != b"A" else b"B") + text[middle + 1 :])
    source = tmp_path / "running.csv"
    pyarrow.csv.write_csv(table(1, seed=3), source)
    assert run(["backtest", "rul", str(source), "--model", str(model), "-o", str(tmp_path / "out.csv")]) == 1
    assert "signature is broken" in capsys.readouterr().err
    assert not (tmp_path / "out.csv").exists()


def test_a_key_of_the_configuration_signs(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TOCSIN_STATE__KEY", "a secret of many letters, and then some")
    source = tmp_path / "running.csv"
    pyarrow.csv.write_csv(table(1, seed=3), source)
    assert run(["backtest", "rul", str(source), "--model", str(model), "-o", str(tmp_path / "out.csv")]) == 1
    assert "not signed with a key" in capsys.readouterr().err
    train = ["train", "rul", "--data", str(tmp_path / "failed.parquet"), "-o", str(model), "--time", "hours"]
    assert run(train) == 0
    backtest(model, source)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ("unit,cycle,heat\n1,1,hot\n1,2,3\n1,3,4\n", "row 1, column heat: 'hot' is no number"),
        ("unit,heat\n1,1\n", "which column is the time?"),
        ("unit,cycle,heat\n1,1,5\n1,2,5\n", "no sensor ever changes"),
        ("unit,cycle\n1,1\n", "no column of numbers"),
        ("unit,cycle,heat\n1,1,5\n2,2,6\n", "lasted no time at all"),
        ("unit,cycle,heat\n,1,5\n2,2,6\n", "row 1 names no machine"),
    ],
)
def test_what_cannot_be_learned_from_is_told_by_row_and_column(
    rows: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "failed.csv"
    source.write_text(rows)
    assert run(["train", "rul", "--data", str(source), "-o", str(tmp_path / "x.model")]) == 2
    assert said in capsys.readouterr().err


def test_dates_are_taken_as_seconds(tmp_path: Path) -> None:
    failed = table(6)
    begin = np.datetime64("2026-01-01T00:00:00")
    hours = (np.array(failed["hours"]) * 3600).astype("timedelta64[s]")
    dated = failed.set_column(1, "at", pa.array(begin + hours)).drop_columns(["what"])
    source, model = tmp_path / "failed.parquet", tmp_path / "x.model"
    pyarrow.parquet.write_table(dated, source)
    assert run(["train", "rul", "--data", str(source), "--time", "at", "-o", str(model)]) == 0
    schema = json.loads(model.read_text())["schema"]
    assert schema["seconds"] is True
    assert schema["horizon"] > 3600 * 40
    found = backtest(model, source)
    assert pa.types.is_timestamp(found["at"].type)
    assert max(found["rul"].to_pylist()) > 3600 * 40


def test_nasas_files_are_read_as_they_are(data: Path, tmp_path: Path) -> None:
    source, model = data / "cmapss" / "train_FD001.txt.gz", tmp_path / "fd001.model"
    names = ["--unit", "unit", "--time", "cycle"]
    assert run(["train", "rul", "--data", str(source), *names, "-o", str(model)]) == 0
    found = json.loads(model.read_text())["metrics"]
    assert found["trained_on"]["units"] == 100
    assert found["rmse"] < 12


def test_engines_left_out_are_told_within_the_issues_bounds(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plots = tmp_path / "plots"
    assert run(["evaluate", "cmapss", "--data", str(data / "cmapss"), "--plots", str(plots), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["cross_validated"]
    assert found["rmse"] <= 16
    assert 0.85 <= found["coverage"] <= 0.95
    assert (plots / "cmapss.svg").exists()


def test_the_official_test_set_is_told_where_it_is(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "train_FD001.txt.gz").write_bytes((data / "cmapss" / "train_FD001.txt.gz").read_bytes())
    rows = np.loadtxt(data / "cmapss" / "train_FD001.txt.gz")
    short = np.concatenate([rows[rows[:, 0] == unit][:-30] for unit in (1, 2, 3)])
    np.savetxt(tmp_path / "test_FD001.txt", short)
    (tmp_path / "RUL_FD001.txt").write_text("30\n30\n30\n")
    assert run(["evaluate", "cmapss", "--data", str(tmp_path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["official_test_set"]["engines"] == 3
