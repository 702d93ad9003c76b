"""Recorded telemetry as its owner has it, and the events that come of it."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet
import pytest

from streams.replay import TelemetryColumns, find_recordings
from streams.tables import TableError


def written(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def events(*inputs: Path, **columns: Any) -> list[dict[str, Any]]:
    recordings = find_recordings(inputs, TelemetryColumns(**columns))
    return [json.loads(event) for recording in recordings for rows in recording.rows() for event in rows.events]


def test_a_file_without_a_source_column_is_one_source_named_after_it(tmp_path):
    file = written(tmp_path / "pump-7.csv", "timestamp,temperature\n2026-01-02 03:04:05,71.2\n")
    assert events(file) == [{"source": "pump-7", "timestamp": "2026-01-02 03:04:05", "values": {"temperature": 71.2}}]


def test_files_in_folders_are_sources_named_by_their_paths_in_sorted_order(tmp_path):
    for name in ("b/pump.csv", "a/pump.csv", "a/valve.csv", "top.csv"):
        written(tmp_path / name, "time,x\n1,1\n")
    written(tmp_path / "README.md", "not data")
    assert [event["source"] for event in events(tmp_path)] == ["a/pump", "a/valve", "b/pump", "top"]


def test_a_source_column_names_the_source_of_each_row(tmp_path):
    file = written(tmp_path / "plant.csv", "time,device,x\n1,007,1\n2,pump 2,2\n")
    assert [(event["source"], event["values"]) for event in events(file)] == [("007", {"x": 1}), ("pump 2", {"x": 2})]


def test_a_column_of_fractions_is_a_reading_even_if_it_is_called_sensor(tmp_path):
    file = written(tmp_path / "s.csv", "time,sensor\n1,20.5\n2,21.25\n")
    assert [(event["source"], event["values"]) for event in events(file)] == [
        ("s", {"sensor": 20.5}),
        ("s", {"sensor": 21.25}),
    ]


def test_every_numeric_column_is_a_value_and_texts_are_not(tmp_path):
    file = written(tmp_path / "f.csv", "time,a,b,state,label\n1,1,2.5,open,0\n")
    assert events(file)[0]["values"] == {"a": 1.0, "b": 2.5, "label": 0.0}


def test_columns_can_be_excluded(tmp_path):
    file = written(tmp_path / "f.csv", "time,a,label\n1,1,0\n")
    assert events(file, exclude=("label",))[0]["values"] == {"a": 1.0}


def test_columns_can_be_named(tmp_path):
    file = written(tmp_path / "f.csv", "when,who,a,b\n1,w,1,2\n")
    (event,) = events(file, time="when", source="who", values=("b",))
    assert event == {"source": "w", "timestamp": 1, "values": {"b": 2.0}}


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_the_separator_is_found(tmp_path, separator):
    file = written(tmp_path / "f.csv", "time,a,b\n1,1.5,2\n".replace(",", separator))
    assert events(file)[0]["values"] == {"a": 1.5, "b": 2.0}


def test_skab_files_are_read_as_they_are(data):
    (event, *rest) = events(data / "skab/data/valve1/0.csv", exclude=("anomaly", "changepoint"))
    assert len(rest) == 1146
    assert event["timestamp"] == "2020-03-09 10:14:33"
    assert len(event["values"]) == 8
    assert event["values"]["Volume Flow RateRMS"] == 32.0


def test_missing_values_are_left_out(tmp_path):
    file = written(tmp_path / "f.csv", "time,a,b\n1,,2\n2,NaN,3\n3,4,n/a\n")
    assert [event["values"] for event in events(file)] == [{"b": 2.0}, {"b": 3.0}, {"a": 4.0}]


def test_a_text_among_numbers_stands_in_its_event_as_it_is(tmp_path):
    file = written(tmp_path / "f.csv", "time,a\n1,1\n2,broken\n3,3\n")
    assert [event["values"]["a"] for event in events(file)] == [1.0, "broken", 3.0]


def test_infinity_is_sent_and_not_passed_over(tmp_path):
    file = written(tmp_path / "f.csv", "time,a\n1,1\n2,inf\n")
    (rows,) = find_recordings([file])[0].rows()
    assert b"Infinity" in rows.events[1]


def test_a_row_with_too_few_fields_keeps_its_place(tmp_path):
    file = written(tmp_path / "f.csv", "time,a,b\n1,1,1\n2,2\n3,3,3\n4,4,4,4\n")
    (rows,) = find_recordings([file])[0].rows()
    assert [rows.events[1], rows.events[3]] == [b"2,2", b"4,4,4,4"]
    assert rows.wrong == {1: "the row has 2 fields, the header 3", 3: "the row has 4 fields, the header 3"}
    assert json.loads(rows.events[2])["values"] == {"a": 3.0, "b": 3.0}


def test_parquet_gives_the_events_that_csv_gives(tmp_path):
    at = [datetime(2026, 1, 2, 3, 4, second) for second in range(3)]
    table = pa.table({"timestamp": at, "source": ["a", "b", "a"], "x": [1.0, float("nan"), None], "y": [1, 2, 3]})
    pyarrow.parquet.write_table(table, tmp_path / "f.parquet")
    assert events(tmp_path / "f.parquet") == [
        {"source": "a", "timestamp": "2026-01-02T03:04:00.000000Z", "values": {"x": 1.0, "y": 1.0}},
        {"source": "b", "timestamp": "2026-01-02T03:04:01.000000Z", "values": {"y": 2.0}},
        {"source": "a", "timestamp": "2026-01-02T03:04:02.000000Z", "values": {"y": 3.0}},
    ]


def test_an_event_id_column_names_the_events(tmp_path):
    file = written(tmp_path / "f.csv", "time,event_id,a\n1,e1,1\n")
    assert events(file)[0]["event_id"] == "e1"


WRONG = {
    "a,b\n1,2\n": "which column is the time? Name it with --time; there are: a, b",
    "time,a,a\n1,2,3\n": "there are several columns 'a'",
    "": "the file is empty",
    "time,state\n1,open\n": "no column holds numbers; there are: time, state",
}


@pytest.mark.parametrize("text", WRONG)
def test_what_is_wrong_with_a_file_is_one_line_that_names_it(tmp_path, text):
    file = written(tmp_path / "f.csv", text)
    with pytest.raises(TableError) as raised:
        events(file)
    assert str(raised.value).startswith(f"{file}: ")
    assert WRONG[text] in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_text_that_is_not_utf_8_says_so(tmp_path):
    (tmp_path / "f.csv").write_bytes("time,größe\n1,2\n".encode("latin-1"))
    with pytest.raises(TableError, match="not UTF-8"):
        events(tmp_path / "f.csv")


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"time": "when"}, "no column 'when' for --time; there are: time, a"),
        ({"values": ("b",)}, "no column 'b' for --values"),
        ({"exclude": ("b",)}, "no file has the column 'b' to exclude"),
    ],
)
def test_a_column_that_is_not_there_is_named_with_those_that_are(tmp_path, columns, message):
    file = written(tmp_path / "f.csv", "time,a\n1,1\n")
    with pytest.raises(TableError, match=message):
        events(file, **columns)


def test_two_files_are_never_one_source_by_accident(tmp_path):
    one, two = (written(tmp_path / name / "x.csv", "time,a\n1,1\n") for name in "ab")
    with pytest.raises(TableError, match="would both be 'x'"):
        find_recordings([one, two])


def test_a_folder_without_data_says_so(tmp_path):
    with pytest.raises(TableError, match=r"no \.csv or \.parquet file there"):
        find_recordings([tmp_path])


def test_a_column_of_texts_goes_with_the_events_as_an_attribute(tmp_path):
    file = written(tmp_path / "f.csv", "time,type,a\n1,pump,1\n2,,2\n")
    assert [event.get("attributes") for event in events(file, attributes=("type",))] == [{"type": "pump"}, None]
    assert events(file, attributes=("type",), values=("a",))[0]["attributes"] == {"type": "pump"}
    assert "attributes" not in events(file, attributes=("kind",))[0]


def test_a_column_of_numbers_is_a_value_whatever_its_name(tmp_path):
    file = written(tmp_path / "f.csv", "time,type,a\n1,7,1\n2,8,2\n")
    assert events(file, attributes=("type",)) == events(file)
    assert events(file)[0]["values"] == {"type": 7.0, "a": 1.0}
