"""Labels, budgets and peers at once: the same, whatever the batches, the crashes and the torn checkpoints."""

from __future__ import annotations

import csv
import json
import random
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alerts.alert import alert_id
from alerts.policy import BudgetLimits, Policy, Thresholds
from streams.backtest import backtest_telemetry
from streams.partitioner import partition_of
from streams.peers import PeerSettings
from streams.processor import Output, Record
from streams.telemetry import TelemetryProcessor
from streams.telemetry_settings import TelemetrySettings
from tests.crashes import store
from tests.streams.told import Told

START = 1_767_225_600.0
MINUTE = 60.0
EVENTS, SOURCES = 200, 7
SETTINGS = TelemetrySettings(
    policy=Policy(
        default=Thresholds(resolve_after_events=2), budget=BudgetLimits(per_source_a_day=6, per_stream_a_day=24)
    ),
    peers=PeerSettings(after_events=5, refresh_events=7, priors=2, types=2, step=16),
    scores="all",
)


def telemetry(seed: int) -> list[Record]:
    """An event a minute, produced a second later; one in six is worth an alert, one in six was nearly, some fail."""
    chance, records = random.Random(seed), []
    for offset in range(EVENTS):
        number = chance.randrange(min(SOURCES, 2 + offset // 20))
        p = chance.choice([1.0, 1.0, chance.uniform(0.1, 1), -1.0 if chance.random() < 0.1 else 1.0, 0.003, 3e-5])
        if p == 3e-5 and chance.random() < 0.3:
            p = 1e-9
        event = {
            "source": f"s{number}",
            "timestamp": START + MINUTE * offset - chance.choice([0, 0, 0, 150]),
            "values": {"p": p, "x": round(chance.gauss(10, 1), 2)},
            "attributes": {"type": "abc"[number % 3]},
            "event_id": f"e{offset}",
        }
        key, produced = event["source"].encode(), START + MINUTE * offset + 1
        records.append(Record("telemetry", 0, offset, produced, key, json.dumps(event).encode()))
    return records


def labels(seed: int, records: Sequence[Record]) -> list[Record]:
    """What people say of an event, soon or later, by its id, its alert or about its time, and take back."""
    chance, said = random.Random(seed), []
    for record in records:
        event = json.loads(record.value or b"")
        if not 0 <= event["values"]["p"] < 0.05 or chance.random() < 0.3:
            continue
        at = event["timestamp"]
        about: dict[str, Any] = chance.choice(
            [
                {"id": event["event_id"]},
                {"id": alert_id("telemetry", event["source"], "spike", at)},
                {
                    "id": f"by-{chance.randrange(50)}",
                    "source": event["source"],
                    "at": at + chance.choice([0, 30, -300]),
                },
            ]
        )
        for _ in range(chance.choice([1, 1, 2])):
            when = record.timestamp + chance.choice([0.5, 90.5, 2000.5])
            said.append((when, {**about, "label": event["values"]["p"] > 1e-3, "by": "ann"}))
    said.sort(key=lambda one: one[0])
    values = [json.dumps({**about, "timestamp": when - 0.5}).encode() for when, about in said]
    return [Record("labels", 0, i, when, None, v) for i, ((when, _), v) in enumerate(zip(said, values, strict=True))]


class Worker:
    """A worker of one partition that may be torn away at any moment, and publishes what was not published before."""

    def __init__(self, events: Sequence[Record], said: Sequence[Record]) -> None:
        self.events, self.said = events, said
        self.stored: dict[str, bytes] = {}
        self.published: dict[tuple[str, int], list[bytes]] = {}
        self.covered = self.position = 0
        self.processor = new(self.stored)

    def process(self, count: int) -> None:
        batch = self.events[self.position : self.position + count]
        if not batch:
            return
        self.processor.absorb([one for one in self.said if one.timestamp <= batch[-1].timestamp])
        for place, values in published(self.processor.process(batch).outputs).items():
            assert self.published.setdefault(place, values) == values
        self.position += len(batch)

    def checkpoint(self, share: float = 1.0) -> None:
        changes = list(self.processor.changes())
        written = len(changes) if share == 1.0 else int(share * len(changes))
        store(self.stored, changes[:written])
        if share == 1.0:
            self.covered = self.position
        else:
            self.crash()

    def crash(self) -> None:
        self.stored = dict(self.stored)
        self.processor = new(self.stored)
        self.position = self.covered


def new(states: dict[str, bytes], partition: int = 0, partitions: int = 1) -> TelemetryProcessor:
    return TelemetryProcessor(SETTINGS, partition, states, Told, partitions=partitions)


def published(outputs: Iterable[Output]) -> dict[tuple[str, int], list[bytes]]:
    found: dict[tuple[str, int], list[bytes]] = {}
    for output in outputs:
        found.setdefault((output.topic, output.cause.offset), []).append(output.value)
    return found


@cache
def undisturbed(seed: int, size: int = 1) -> dict[tuple[str, int], list[bytes]]:
    worker = Worker(telemetry(seed), labels(seed, telemetry(seed)))
    while worker.position < EVENTS:
        worker.process(size)
    return worker.published


def scores(outputs: dict[tuple[str, int], list[bytes]]) -> list[dict[str, Any]]:
    return [json.loads(values[0]) for (topic, _), values in sorted(outputs.items()) if topic == "scores"]


def test_everything_happens_in_the_stream_of_these_tests():
    outputs = undisturbed(1)
    found = scores(outputs)
    assert {score.get("held") for score in found} == {None, "feedback", "source_budget", "stream_budget"}
    assert {note["effect"] for score in found for note in score.get("feedback", ())} == {"held", "raised"}
    assert any("prior" in score for score in found)
    alerts = [
        json.loads(value) for (topic, _), values in undisturbed(1).items() if topic == "alerts" for value in values
    ]
    assert {alert["state"] for alert in alerts} >= {"firing", "resolved", "retracted"}


@pytest.mark.parametrize("size", [2, 7, 64, EVENTS])
def test_the_size_of_batches_does_not_matter(size):
    assert undisturbed(2, size) == undisturbed(2)


@settings(deadline=None)
@given(st.integers(0, 40), st.integers(1, 100))
def test_labels_read_long_before_their_time_act_no_sooner(seed, size):
    events = telemetry(seed)
    processor = new({})
    processor.absorb(labels(seed, events))
    outputs = [o for at in range(0, EVENTS, size) for o in processor.process(events[at : at + size]).outputs]
    assert published(outputs) == undisturbed(seed)


steps = st.lists(
    st.tuples(st.integers(1, 60), st.one_of(st.just(None), st.just(1.0), st.floats(0.0, 0.999))),
    min_size=1,
    max_size=25,
)


@settings(deadline=None)
@given(st.integers(0, 40), steps)
def test_crashes_and_torn_checkpoints_change_nothing(seed, plan):
    events = telemetry(seed)
    worker = Worker(events, labels(seed, events))
    for count, share in plan:
        worker.process(count)
        if share is None:
            worker.crash()
        else:
            worker.checkpoint(share)
    while worker.position < EVENTS:
        worker.process(50)
    assert worker.published == undisturbed(seed)


@pytest.mark.parametrize("written", range(20))
def test_a_checkpoint_may_be_torn_between_any_two_states(written):
    worker = Worker(telemetry(3), labels(3, telemetry(3)))
    for _ in range(3):
        worker.process(40)
        worker.checkpoint()
        worker.process(40)
        changes = list(worker.processor.changes())
        worker.stored |= {key: state for key, state in changes[:written] if state is not None}
        worker.crash()
    while worker.position < EVENTS:
        worker.process(11)
    assert worker.published == undisturbed(3)


def test_what_a_checkpoint_says_is_done_comes_after_the_sources_that_have_done_it():
    worker = Worker(telemetry(1), labels(1, telemetry(1)))
    worker.process(150)
    keys = [key for key, _ in worker.processor.changes()]
    first, *others = [at for at, key in enumerate(keys) if key.startswith("s")]
    before = [key for key in keys[:first] if not key.startswith("\x00id")]
    assert before[-1] == "\x00across/journal"
    assert keys[others[-1] + 1 :] == ["\x00across", "\x00labels"]


@pytest.mark.parametrize("partitions", [1, 3])
def test_a_backtest_with_labels_is_the_live_run_of_so_many_partitions(tmp_path: Path, partitions: int):
    events = telemetry(1)
    said = labels(1, events)
    live: dict[int, dict[str, Any]] = {}
    told: list[tuple[int, bytes]] = []
    for number in range(partitions):
        mine = [one for one in events if partition_of((one.key or b"").decode(), partitions) == number]
        # A backtest knows of no time of production: what counts of an event and a label is its event time.
        sent = [Record("telemetry", number, i, -1.0, one.key, one.value) for i, one in enumerate(mine)]
        processor = new({}, number, partitions)
        processor.absorb([Record("labels", 0, i, -2.0, None, one.value) for i, one in enumerate(said)])
        for output in processor.process(sent).outputs:
            row = mine[output.cause.offset].offset
            if output.topic == "scores":
                live[row] = json.loads(output.value)
            elif output.topic == "alerts":
                told.append((row, output.value))
    table, lines = tmp_path / "in.csv", tmp_path / "labels.jsonl"
    lines.write_bytes(b"\n".join(one.value or b"" for one in said))
    with table.open("w", newline="") as file:
        out = csv.writer(file)
        out.writerow(["timestamp", "source", "event_id", "type", "p", "x"])
        for one in events:
            event = json.loads(one.value or b"")
            values = (repr(event["values"][name]) for name in ("p", "x"))
            out.writerow([event["timestamp"], event["source"], event["event_id"], event["attributes"]["type"], *values])
    backtest_telemetry(
        [table],
        tmp_path / "out.csv",
        SETTINGS,
        Told,
        partitions=partitions,
        alerts=tmp_path / "alerts.jsonl",
        labels=lines,
    )
    told.sort(key=lambda one: one[0])
    assert (tmp_path / "alerts.jsonl").read_bytes().splitlines() == [value for _, value in told]
    with (tmp_path / "out.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for row, found in enumerate(rows):
        score = live.get(row)
        assert (found["held"] or None) == (score or {}).get("held")
        if score is not None:
            assert found["feedback"] == "; ".join(note["summary"] for note in score.get("feedback", ()))
            assert found["missing"] == "; ".join(score.get("missing", ()))
            for name in ("anomaly_score", "p_value", "alert_score", "alert", "warm_up"):
                assert float(found[name]) == score[name]
    assert {row["held"] for row in rows} >= {"", "feedback", "stream_budget"}


def test_a_label_that_found_nothing_finds_nothing_when_a_torn_checkpoint_brings_it_again():
    ps = [1.0, 1.0, 0.003, 1.0, 0.003, 1.0]
    values = [{"source": "s0", "timestamp": START + MINUTE * i, "values": {"p": p, "x": 1.0}} for i, p in enumerate(ps)]
    events = [
        Record("telemetry", 0, i, START + MINUTE * i + 1, b"s0", json.dumps(value).encode())
        for i, value in enumerate(values)
    ]
    at = START + MINUTE
    value = {"id": "missed", "label": True, "timestamp": at, "source": "s0", "at": at}
    said = [Record("labels", 0, 0, at + 2, None, json.dumps(value).encode())]
    worker, whole = Worker(events, said), Worker(events, said)
    whole.process(len(events))
    worker.process(2)
    worker.checkpoint()
    worker.process(1)
    worker.checkpoint(0.5)
    worker.process(len(events))
    assert "s0" in worker.stored and "\x00labels" not in worker.stored
    assert worker.published == whole.published
