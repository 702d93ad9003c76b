"""Labels of telemetry as people send them: the same, however they are read and whatever happens in between."""

from __future__ import annotations

import csv
import json
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alerts.alert import alert_id
from detectors.base import Detector
from detectors.score import Score, SignalScore, ValueExplanation, anomaly_score
from streams.backtest import backtest_telemetry
from streams.processor import Output, Record
from streams.source_labels import KEY
from streams.tables import TableError
from streams.telemetry import TelemetryProcessor
from streams.telemetry_settings import TelemetrySettings
from tocsin.config import Configuration
from tocsin.wiring import make_processor

START = 1_767_225_600.0
SETTINGS = TelemetrySettings(scores="all")


class Ruler(Detector):
    """Expects 10, give or take 1; a reading off by 5 widths has a p-value of 1e-5."""

    def process_one(self, x: Mapping[str, float], t: float | None = None) -> Score:
        name, value = next(iter(x.items()))
        p_value = 10.0 ** -min(abs(value - 10.0), 9.0)
        signal = SignalScore("spike", p_value, name, (value > 10.0) - (value < 10.0))
        return Score(p_value, anomaly_score(p_value), (signal,), {name: ValueExplanation(value, 10.0, 9.0, 11.0, 1.0)})

    def score_one(self, x: Mapping[str, float], t: float | None = None) -> float:
        return self.process_one(x, t).anomaly_score

    def learn_one(self, x: Mapping[str, float], t: float | None = None) -> None:
        """It knows all it will ever know."""

    def snapshot(self) -> bytes:
        return b""

    def restore(self, state: bytes) -> None:
        """There is nothing to take up."""


def new(states: Mapping[str, bytes] | None = None) -> TelemetryProcessor:
    return TelemetryProcessor(SETTINGS, 0, states or {}, Ruler)


def telemetry(readings: list[tuple[str, float]], first: int = 0) -> list[Record]:
    """A reading a minute, each produced a second after its time."""
    records = []
    for offset, (source, value) in enumerate(readings, first):
        time = START + 60 * offset
        event = {"source": source, "timestamp": time, "values": {"x": value}, "event_id": f"e{offset}"}
        records.append(Record("telemetry", 0, offset, time + 1, source.encode(), json.dumps(event).encode()))
    return records


def label(minute: float, about: str, truth: bool, offset: int = 0, **more: Any) -> Record:
    """Said at the given minute, and produced at once."""
    time = START + 60 * minute
    value = {"id": about, "label": truth, "timestamp": time, "by": "ann"} | more
    return Record("labels", 0, offset, time + 1, about.encode(), json.dumps(value).encode())


def alerts(outputs: list[Output]) -> list[tuple[int, str, str]]:
    told = [(o.cause.offset, json.loads(o.value)) for o in outputs if o.topic == "alerts"]
    return [(offset, alert["source"], alert["state"]) for offset, alert in told]


def score(outputs: list[Output], offset: int) -> dict[str, Any]:
    (found,) = (json.loads(o.value) for o in outputs if o.topic == "scores" and o.cause.offset == offset)
    return found


def id_of(source: str, offset: int) -> str:
    return alert_id("telemetry", source, "spike", START + 60 * offset)


CALM = [("pump-7", 10.0)] * 5


def test_the_same_pattern_raises_nothing_once_somebody_said_it_is_no_anomaly():
    events = telemetry([*CALM, ("pump-7", 16.0), *CALM, ("pump-7", 17.0)])
    processor = new()
    before = processor.process(events[:7]).outputs
    assert alerts(before) == [(5, "pump-7", "firing")]
    processor.absorb([label(6.5, id_of("pump-7", 5), False)])
    result = processor.process(events[7:])
    assert alerts(result.outputs) == [(7, "pump-7", "retracted")]
    assert result.outcomes["label_learned"] == 1
    (note,) = score(result.outputs, 11)["feedback"]
    assert note["summary"] == f"held: feedback of ann, 2026-01-01, label {id_of('pump-7', 5)}"
    assert score(result.outputs, 11)["held"] == "feedback"
    assert result.held == {"feedback": 1}
    assert score(result.outputs, 11)["alert_score"] == 0.0
    assert score(result.outputs, 11)["anomaly_score"] > 0.9


@pytest.mark.parametrize("named", [{"id": "e5"}, {"id": "any", "source": "pump-7", "at": START + 290}])
def test_what_was_missed_is_found_by_event_id_or_by_source_and_time(named):
    events = telemetry([*CALM, ("pump-7", 13.0), *CALM, ("pump-7", 13.0)])
    processor = new()
    assert alerts(processor.process(events[:7]).outputs) == []
    processor.absorb([label(6.5, "?", True, **named)])
    raised = processor.process(events[7:]).outputs
    assert alerts(raised) == [(11, "pump-7", "firing")]
    (alert,) = (json.loads(output.value) for output in raised if output.topic == "alerts")
    assert alert["feedback"][0] == {
        "effect": "raised",
        "label": named["id"],
        "by": "ann",
        "at": "2026-01-01T00:06:30.000Z",
        "kind": "spike",
        "name": "x",
    }


def test_a_label_acts_only_when_its_source_has_reached_its_time():
    events = telemetry([("pump-7", 10.0), ("pump-7", 16.0), *CALM, ("pump-7", 16.0), *CALM, ("pump-7", 16.0)])
    processor = new()
    processor.absorb([label(9.5, id_of("pump-7", 1), False)])
    assert [offset for offset, _, state in alerts(processor.process(events).outputs) if state == "firing"] == [1, 7]


def test_a_score_says_when_each_signal_saw_it_begin():
    class Since(Ruler):
        def process_one(self, x: Mapping[str, float], t: float | None = None) -> Score:
            (signal,) = super().process_one(x, t).signals
            return Score(signal.p_value, 0.9, (SignalScore("level", 1e-5, "x", 1, (t or 0.0) - 60.5), signal))

    (found,) = TelemetryProcessor(SETTINGS, 0, {}, Since).process(telemetry([("pump-7", 15.0)])).outputs[:1]
    starts = [signal["started_at"] for signal in json.loads(found.value)["signals"]]
    assert starts == ["2025-12-31T23:58:59.500Z", None]


def test_labels_of_what_is_elsewhere_change_nothing():
    events = telemetry([*CALM, ("pump-7", 16.0), *CALM, ("pump-7", 16.0)])
    told, untold = new(), new()
    told.absorb([label(i / 100, f"tx-{i}", i % 2 == 0, i) for i in range(1000)])
    told.absorb([label(3, "m1", True, 1000, source="pump-8", at=START)])
    assert told.process(events) == untold.process(events)
    states = dict(told.changes())
    assert len(states.pop(KEY)) < 30
    assert states == dict(untold.changes())


def test_a_malformed_label_is_one_dead_letter_in_all():
    make = make_processor(Configuration())
    bad = [Record("labels", partition, 0, START, None, b'{"id": "a"}') for partition in range(4)]
    letters = [
        output
        for topic in ("telemetry", "transactions")
        for partition in range(4)
        for output in make(topic, partition, {}).absorb(bad).outputs
    ]
    assert len(letters) == 4
    assert {letter.cause.partition for letter in letters} == {0, 1, 2, 3}


def busy() -> tuple[list[Record], list[Record]]:
    """Two hours of three pumps with jumps, and people who label some of them, right or wrong, and change their mind."""
    chance, readings, said = random.Random(4), [], []
    for minute in range(360):
        jump = chance.choice([0, 0, 0, 0, 0, 3, 6, -6]) if minute % 3 == 0 else 0
        readings.append((f"pump-{chance.randrange(3)}", 10 + jump + chance.gauss(0, 0.2)))
        if jump and chance.random() < 0.7:
            source, offset = readings[-1][0], minute
            about = chance.choice([id_of(source, offset), f"e{offset}"])
            when = minute + chance.choice([0.5, 4.5, 30.5])
            said += [(when, about, jump == 3)]
            if chance.random() < 0.3:
                said += [(when + 9, about, chance.random() < 0.7)]
    said += [(m + 0.2, f"tx-{m}", True) for m in range(0, 360, 7)]
    said.sort()
    return telemetry(readings), [label(*one, offset) for offset, one in enumerate(said)]


EVENTS, LABELS = busy()


def play(processor: TelemetryProcessor, size: int, start: int = 0, stop: int = 360) -> list[Output]:
    """Events in batches, each with the labels produced before the last of them."""
    outputs = []
    for first in range(start, stop, size):
        batch = EVENTS[first : min(first + size, stop)]
        processor.absorb([one for one in LABELS if one.timestamp <= batch[-1].timestamp])
        outputs += processor.process(batch).outputs
    return outputs


WHOLE = play(new(), 1)


def test_people_have_changed_something():
    states = {state for _, _, state in alerts(WHOLE)}
    notes = {note["effect"] for o in WHOLE if o.topic == "scores" for note in json.loads(o.value).get("feedback", ())}
    assert {"retracted", "firing", "resolved"} <= states
    assert notes == {"held", "raised"}


@given(size=st.integers(1, 200))
@settings(max_examples=15, deadline=None)
def test_the_size_of_batches_does_not_matter(size):
    assert play(new(), size) == WHOLE


def test_labels_read_long_before_their_time_act_no_sooner():
    processor = new()
    processor.absorb(LABELS)
    assert processor.process(EVENTS).outputs == WHOLE


@given(
    size=st.integers(1, 50), crashes=st.lists(st.tuples(st.integers(1, 359), st.integers(0, 5)), min_size=1, max_size=4)
)
@settings(max_examples=40, deadline=None)
def test_a_crash_in_the_middle_of_a_checkpoint_changes_nothing(size, crashes):
    stored: dict[str, bytes] = {}
    covered, told = 0, {}
    for crash, written in sorted(crashes):
        processor = new(stored)
        for output in play(processor, size, covered, crash):
            told[output.topic, output.cause.offset, output.key] = output.value
        changes = list(processor.changes())
        stored |= dict(changes[:written])
        if written >= len(changes):
            covered = crash
    for output in play(new(stored), size, covered):
        told.setdefault((output.topic, output.cause.offset, output.key), output.value)
    assert told == {(o.topic, o.cause.offset, o.key): o.value for o in WHOLE}


def test_a_backtest_applies_labels_as_a_live_run_does(tmp_path: Path):
    table = tmp_path / "pumps.csv"
    with table.open("w", newline="") as file:
        out = csv.writer(file)
        out.writerow(["timestamp", "source", "event_id", "x"])
        for record in EVENTS:
            event = json.loads(record.value or b"")
            out.writerow([event["timestamp"], event["source"], event["event_id"], repr(event["values"]["x"])])
    lines = tmp_path / "labels.jsonl"
    lines.write_bytes(b"\n".join(one.value or b"" for one in LABELS) + b"\n")
    backtest_telemetry([table], tmp_path / "out.csv", SETTINGS, Ruler, alerts=tmp_path / "alerts.jsonl", labels=lines)
    assert (tmp_path / "alerts.jsonl").read_bytes().splitlines() == [o.value for o in WHOLE if o.topic == "alerts"]
    with (tmp_path / "out.csv").open(newline="") as file:
        said = [row["feedback"] for row in csv.DictReader(file)]
    scores = [json.loads(output.value) for output in WHOLE if output.topic == "scores"]
    assert said == ["; ".join(note["summary"] for note in one.get("feedback", ())) for one in scores]


def test_a_backtest_names_the_line_that_is_no_label(tmp_path: Path):
    (tmp_path / "labels.jsonl").write_text('{"id": "a", "label": true, "timestamp": 1}\n\n{"id": "a"}\n')
    (tmp_path / "in.csv").write_text("timestamp,x\n1,2\n")
    with pytest.raises(TableError, match=r"labels.jsonl:3: timestamp: the field is missing"):
        backtest_telemetry(
            [tmp_path / "in.csv"], tmp_path / "out.csv", SETTINGS, Ruler, labels=tmp_path / "labels.jsonl"
        )
