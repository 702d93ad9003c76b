"""Backtests as a data scientist uses them: files in, files out, and the same as live."""

from __future__ import annotations

import csv
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest

from alerts.policies import PolicyDocument
from streams.backtest import TelemetryBacktest, backtest_telemetry
from streams.processor import Output, Record
from streams.replay import TelemetryColumns, find_recordings
from streams.tables import TableError
from streams.telemetry import TelemetryProcessor
from streams.telemetry_settings import TelemetrySettings
from tests.streams.jump import Jump

SETTINGS = TelemetrySettings()
SCORES = ("anomaly_score", "p_value", "alert_score", "alert")


def backtest(inputs: Path | list[Path], output: Path, **options: Any) -> TelemetryBacktest:
    columns = TelemetryColumns(**options.pop("columns", {}))
    inputs = inputs if isinstance(inputs, list) else [inputs]
    return backtest_telemetry(inputs, output, SETTINGS, Jump, columns=columns, **options)


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def walk(seed: int, length: int = 400, start: int = 1_767_225_600) -> list[list[Any]]:
    """A reading a minute, a jump two thirds of the way, and an hour of silence."""
    chance, level, table = random.Random(seed), 20.0, []
    for minute in range(length):
        level += chance.gauss(0, 0.1) + 25 * (minute == length * 2 // 3)
        table.append([start + 60 * minute + 3600 * (minute > 100), repr(level), repr(chance.gauss(5, 1))])
    return table


def write(path: Path, table: list[list[Any]], header: str = "timestamp,level,flow") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([header, *(",".join(map(str, row)) for row in table)]) + "\n")
    return path


@pytest.fixture
def history(tmp_path: Path) -> Path:
    """A folder of recordings: two files of one source each, one below, one with several sources."""
    folder = tmp_path / "history"
    write(folder / "north.csv", walk(1))
    write(folder / "plant/south.csv", walk(2))
    mixed = [[*row, name] for row, *_ in zip(walk(3), strict=True) for name in ("east", "west")]
    write(folder / "plant/mixed.csv", mixed, "timestamp,level,flow,source")
    return folder


def test_a_folder_in_gives_a_folder_out_with_the_same_paths(history, tmp_path):
    done = backtest(history, tmp_path / "out")
    files = {path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.csv")}
    assert files == {"north.csv", "plant/south.csv", "plant/mixed.csv"}
    assert (done.files, done.rows) == (3, 1600)


def test_there_is_one_row_out_for_each_row_in_with_its_time_as_it_was(history, tmp_path):
    backtest(history, tmp_path / "out")
    for path in history.rglob("*.csv"):
        scored = rows(tmp_path / "out" / path.relative_to(history))
        assert [row["timestamp"] for row in scored] == [row["timestamp"] for row in rows(path)]
        assert all(row[name] for row in scored for name in SCORES)


def test_each_row_says_its_source(history, tmp_path):
    backtest(history, tmp_path / "out")
    assert {row["source"] for row in rows(tmp_path / "out/plant/south.csv")} == {"plant/south"}
    assert [row["source"] for row in rows(tmp_path / "out/plant/mixed.csv")][:3] == ["east", "west", "east"]


def test_two_runs_give_the_same_bytes(history, tmp_path):
    for name in ("one", "two"):
        backtest(history, tmp_path / name, alerts=tmp_path / f"{name}.jsonl")
    assert (tmp_path / "one.jsonl").read_bytes() == (tmp_path / "two.jsonl").read_bytes()
    for path in (tmp_path / "one").rglob("*.csv"):
        assert path.read_bytes() == (tmp_path / "two" / path.relative_to(tmp_path / "one")).read_bytes()


def live(history: Path, size: int, partition_of: Callable[[str], int]) -> list[Output]:
    """What workers publish when the same files are produced: some partitions, and batches of some size."""
    settings = SETTINGS.model_copy(update={"scores": "all"})
    partitions: dict[int, list[Record]] = {}
    for recording in find_recordings([history]):
        for some in recording.rows():
            for source, event in zip(some.sources, some.events, strict=True):
                assert source is not None
                partition = partition_of(source)
                records = partitions.setdefault(partition, [])
                records.append(Record("telemetry", partition, len(records), 1.8e9, source.encode(), event))
    outputs = []
    for partition, records in partitions.items():
        processor = TelemetryProcessor(settings, partition, {}, Jump)
        for start in range(0, len(records), size):
            outputs += processor.process(records[start : start + size]).outputs
    return outputs


@pytest.mark.parametrize(("size", "partitions"), [(1, 1), (37, 3), (2000, 2)])
def test_a_live_run_publishes_the_same_scores_and_alerts(history, tmp_path, size, partitions):
    backtest(history, tmp_path / "out", alerts=tmp_path / "alerts.jsonl")
    offline: dict[str, list[tuple[float, ...]]] = {}
    for path in sorted((tmp_path / "out").rglob("*.csv")):
        for row in rows(path):
            offline.setdefault(row["source"], []).append(tuple(float(row[name]) for name in SCORES))
    published = live(history, size, lambda source: len(source) % partitions)
    online: dict[str, list[tuple[float, ...]]] = {}
    for output in published:
        if output.topic == "scores":
            score = json.loads(output.value)
            online.setdefault(score["source"], []).append(tuple(score[name] for name in SCORES))
    assert online == offline
    changes = (tmp_path / "alerts.jsonl").read_bytes().splitlines()
    assert sorted(output.value for output in published if output.topic == "alerts") == sorted(changes) != []


def test_every_change_of_every_alert_is_written_on_request(history, tmp_path):
    done = backtest(history, tmp_path / "out", alerts=tmp_path / "new/alerts.jsonl")
    changes = [json.loads(line) for line in (tmp_path / "new/alerts.jsonl").read_text().splitlines()]
    assert {"north", "plant/south", "east", "west"} <= {alert["source"] for alert in changes}
    assert done.alerts == len({alert["alert_id"] for alert in changes})


def test_policies_are_in_force_from_the_first_row(history, tmp_path):
    document = PolicyDocument.model_validate({"name": "all", "owner": "plant", "values": {"level": {"max": -1e9}}})
    backtest(history, tmp_path / "out", alerts=tmp_path / "alerts.jsonl", policies=[document])
    told = [json.loads(line) for line in (tmp_path / "alerts.jsonl").read_text().splitlines()]
    assert {alert["owner"] for alert in told} == {"plant"}
    begun = [alert for alert in told if alert["kind"] == "range" and alert["version"] == 1]
    assert {alert["source"] for alert in begun} == {"east", "north", "plant/south", "west"}
    assert {alert["started_at"] for alert in begun} == {"2026-01-01T00:00:00.000Z"}


def test_the_alert_column_is_1_where_an_alert_fires(history, tmp_path):
    backtest(history, tmp_path / "out", alerts=tmp_path / "alerts.jsonl")
    changes = [json.loads(line) for line in (tmp_path / "alerts.jsonl").read_text().splitlines()]
    begun = sum(alert["source"] == "north" and alert["version"] == 1 for alert in changes)
    alert = [int(row["alert"]) for row in rows(tmp_path / "out/north.csv")]
    assert sum(now > before for before, now in zip([0, *alert], alert, strict=False)) <= begun
    assert 0 < sum(alert) < len(alert) / 2


BAD = [
    ["1767225600", "1", "5"],
    ["someday", "1", "5"],
    ["1767225720", "broken", "5"],
    ["1767225780", "inf", "5"],
    ["1767225840", "", ""],
    ["1767225900", "1"],
    ["1767225960", "2", "5"],
    ["1700000000", "2", "5"],
]
WHY = ["", "wrong_type: timestamp", "wrong_type: values.level", "not_finite: values.level", "out_of_range: values"]
WHY += ["the row has 2 fields, the header 3", "", "too_old: timestamp"]


def test_a_row_that_cannot_be_scored_has_a_reason_and_no_scores(tmp_path):
    done = backtest(write(tmp_path / "bad.csv", BAD), tmp_path / "out.csv")
    found = rows(tmp_path / "out.csv")
    for row, why in zip(found, WHY, strict=True):
        assert why in row["reason"]
        assert bool(row["reason"]) == bool(why)
        assert all(bool(row[name]) != bool(why) for name in SCORES)
    assert done.outcomes == {"scored": 2, "dead_letter": 6}


def test_a_repeated_event_has_a_reason_and_no_scores(tmp_path):
    table = [[1767225600, "e1", 1], [1767225660, "e1", 1], [1767225720, "e2", 1]]
    backtest(write(tmp_path / "in.csv", table, "timestamp,event_id,x"), tmp_path / "out.csv")
    assert [row["reason"].partition(":")[0] for row in rows(tmp_path / "out.csv")] == ["", "duplicate", ""]


def test_a_source_that_goes_on_in_the_next_file_is_learned_on(tmp_path):
    table = [[*row, "pump"] for row in walk(4)]
    header = "timestamp,level,flow,source"
    write(tmp_path / "days/1.csv", table[:250], header)
    write(tmp_path / "days/2.csv", table[250:], header)
    backtest(tmp_path / "days", tmp_path / "out")
    backtest(write(tmp_path / "whole.csv", table, header), tmp_path / "whole-out.csv")
    assert rows(tmp_path / "out/1.csv") + rows(tmp_path / "out/2.csv") == rows(tmp_path / "whole-out.csv")


def test_parquet_in_gives_parquet_out_with_the_scores_of_the_csv(tmp_path):
    folder = tmp_path / "in"
    table = pyarrow.csv.read_csv(write(tmp_path / "csv/f.csv", walk(5)))
    folder.mkdir()
    pyarrow.parquet.write_table(table, folder / "f.parquet")
    backtest(folder, tmp_path / "out")
    backtest(tmp_path / "csv", tmp_path / "out")
    binary = pyarrow.parquet.read_table(tmp_path / "out/f.parquet")
    assert binary.column("timestamp").equals(table.column("timestamp"))
    for name in SCORES:
        assert binary.column(name).to_pylist() == [float(row[name]) for row in rows(tmp_path / "out/f.csv")]


def test_a_single_file_goes_into_the_file_that_is_named(tmp_path):
    file = write(tmp_path / "in.csv", walk(6))
    backtest(file, tmp_path / "deep/out.parquet")
    assert len(pyarrow.parquet.read_table(tmp_path / "deep/out.parquet")) == 400
    backtest(file, tmp_path / "folder")
    assert len(rows(tmp_path / "folder/in.csv")) == 400


def test_a_file_with_a_header_only_gives_a_header_only(tmp_path):
    backtest(write(tmp_path / "in.csv", []), tmp_path / "out.csv")
    backtest(write(tmp_path / "in2.csv", walk(1, 3)), tmp_path / "out2.csv")
    assert (tmp_path / "out.csv").read_text().splitlines() == (tmp_path / "out2.csv").read_text().splitlines()[:1]


def test_results_among_the_inputs_are_not_taken_for_inputs(history):
    for _ in range(2):
        assert backtest(history, history / "out").files == 3


def test_an_input_is_never_written_over(history):
    before = (history / "north.csv").read_bytes()
    for inputs, output in ((history, history), (history / "north.csv", history / "north.csv")):
        with pytest.raises(TableError, match="would replace the input"):
            backtest(inputs, output)
    assert (history / "north.csv").read_bytes() == before


def test_several_files_need_a_folder(history, tmp_path):
    with pytest.raises(TableError, match="need a folder"):
        backtest(history, tmp_path / "out.csv")


def test_progress_is_told_up_to_the_end(history, tmp_path):
    told: list[tuple[int, int]] = []
    backtest(history, tmp_path / "out", progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (1600, 1600)


def test_skab_experiments_are_replayed_without_their_labels(data, tmp_path):
    done = backtest(data / "skab/data", tmp_path / "out", columns={"exclude": ("anomaly", "changepoint")})
    assert (done.files, done.outcomes) == (16, {"scored": 18160})
    assert set(rows(tmp_path / "out/valve1/0.csv")[500]) >= {"timestamp", "source", *SCORES, "reason"}
