"""`tocsin evaluate forecast`: forecasts of NAB's series, judged event by event."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from tocsin.cli import run
from tocsin.evaluation.forecast import seasonal_naive

REAL = ("realAWSCloudwatch", "realAdExchange", "realKnownCause", "realTraffic", "realTweets")


def test_bounds_hold_and_errors_are_below_seasonal_naive_on_nab_s_real_categories(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["evaluate", "forecast", "--data", str(data / "nab"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert len(found["series"]) == 58
    for category in (*REAL, "all real", "real, held out"):
        assert 0.93 <= found["categories"][category]["1"]["coverage"] <= 0.97, category
    assert found["categories"]["all real"]["1"]["below_seasonal"] >= 0.7
    assert found["categories"]["real, held out"]["1"]["below_seasonal"] >= 0.7


@pytest.fixture
def small(tmp_path: Path) -> Path:
    lines = [f"{300 * i},{10 * math.sin(i / 144 * math.pi) + i % 7 / 7:.3f}" for i in range(900)]
    (tmp_path / "waves.csv").write_text("\n".join(["timestamp,height", *lines]))
    return tmp_path


@pytest.mark.parametrize("name", ["auto", "river.HoltWinters", "river.SNARIMAX"])
def test_any_forecaster_is_evaluated_on_any_files(name: str, small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["evaluate", "forecast", "--data", str(small), "--forecaster", name, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["series"]["waves.csv"]
    assert found["12"]["judged"] == 900 - 12
    assert found["1"]["coverage"] > 0.9


def test_people_read_a_table_of_categories_and_of_series(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["evaluate", "forecast", "--data", str(small)]) == 0
    told = capsys.readouterr().out
    assert "64 steps ahead" in told
    assert "waves.csv" in told


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--forecaster", "river.HoltWinter"], "did you mean 'river.HoltWinters'?"),
        (["--forecaster", "river.SNARIMAX", "--parameters", "[1]"], "it is no JSON object"),
        (["--parameters", '{"p": 1}'], "takes no parameters"),
    ],
)
def test_what_is_no_forecaster_is_refused(
    options: list[str], message: str, small: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["evaluate", "forecast", "--data", str(small), *options]) == 2
    assert message in capsys.readouterr().err


def test_a_folder_without_numbers_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "names.csv").write_text("timestamp,name\n1,a\n2,b\n")
    assert run(["evaluate", "forecast", "--data", str(tmp_path)]) == 2
    assert "no file in it has a numeric column" in capsys.readouterr().err


def test_the_seasonal_naive_forecast_is_the_value_a_day_ago() -> None:
    times, values = 3600.0 * np.arange(100), np.arange(100.0)
    assert seasonal_naive(times, values, 1)[50] == 26.0
    assert seasonal_naive(times, values, 30)[80] == 32.0
    assert seasonal_naive(times, values, 1)[5] == 4.0


def test_a_series_without_two_days_has_no_seasonal_naive_forecast() -> None:
    assert seasonal_naive(np.arange(1000.0), np.zeros(1000), 1) is None
