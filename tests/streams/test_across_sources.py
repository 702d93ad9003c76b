"""What sources share within a partition: its alert budget and what peers have learned, whatever crashes in between."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alerts.policy import BudgetLimits, Policy
from streams.peers import PeerSettings
from streams.processor import Output, Record
from streams.source import StateFormatError
from streams.state_keys import is_reserved, reserved
from streams.telemetry import TelemetryProcessor
from streams.telemetry_settings import TelemetrySettings
from tests.crashes import store
from tests.streams.told import Told

DAY = 86_400.0
PEERS = PeerSettings(after_events=5, refresh_events=7, priors=2, types=2, step=16)


def configured(per_stream: float | None = 3, per_source: float | None = 2, peers: PeerSettings = PEERS) -> Any:
    policy = Policy(budget=BudgetLimits(per_stream_a_day=per_stream, per_source_a_day=per_source))
    return TelemetrySettings(policy=policy, peers=peers, scores="all")


SETTINGS = configured()


def record(offset: int, source: str, p: float = 1.0, x: float = 0.0, **event: Any) -> Record:
    body = {"source": source, "timestamp": 1_767_225_600 + offset * 600, "values": {"p": p, "x": x}, **event}
    return Record("telemetry", 0, offset, 2e9, source.encode(), json.dumps(body).encode())


def stream(seed: int, length: int = 300) -> list[Record]:
    """Ten sources of three types that begin one after another; one event in eight is worth an alert, some fail."""
    chance, records = random.Random(seed), []
    for offset in range(length):
        number = chance.randrange(min(10, 2 + offset // 25))
        p = chance.choice([1.0] * 6 + [10 ** chance.uniform(-9, -4)] * 1 + [chance.uniform(0.001, 1)])
        kind = {} if number == 9 else {"type": "abc"[number % 3]}
        if chance.random() < 0.03:
            p = -1.0
        records.append(record(offset, f"s{number}", p, chance.gauss(10 * (number % 3), 1), attributes=kind))
    return records


def processor(states: dict[str, bytes], found: TelemetrySettings = SETTINGS) -> TelemetryProcessor:
    return TelemetryProcessor(found, 0, states, Told)


def published(outputs: Iterable[Output]) -> dict[tuple[str, int], list[bytes]]:
    found: dict[tuple[str, int], list[bytes]] = {}
    for output in outputs:
        found.setdefault((output.topic, output.cause.offset), []).append(output.value)
    return found


def undisturbed(records: Sequence[Record], size: int, found: TelemetrySettings = SETTINGS) -> Any:
    live = processor({}, found)
    batches = [live.process(records[at : at + size]) for at in range(0, len(records), size)]
    return published(output for batch in batches for output in batch.outputs)


def scores(outputs: dict[tuple[str, int], list[bytes]]) -> list[dict[str, Any]]:
    return [json.loads(value) for (topic, _), (value, *_) in outputs.items() if topic == "scores"]


class Worker:
    """A worker that stores checkpoints, some of them torn apart, and publishes what was not published before."""

    def __init__(self, records: Sequence[Record]) -> None:
        self.records = records
        self.stored: dict[str, bytes] = {}
        self.published: dict[tuple[str, int], list[bytes]] = {}
        self.covered = self.position = 0
        self.processor = processor(self.stored)

    def process(self, count: int) -> None:
        batch = self.records[self.position : self.position + count]
        for place, values in published(self.processor.process(batch).outputs).items():
            assert self.published.setdefault(place, values) == values
        self.position += len(batch)

    def checkpoint(self, share: float = 1.0) -> None:
        changes = list(self.processor.changes())
        store(self.stored, changes[: round(share * len(changes))])
        if share == 1.0:
            self.covered = self.position
        else:
            self.crash()

    def crash(self) -> None:
        self.stored = dict(self.stored)
        self.processor = processor(self.stored)
        self.position = self.covered


@pytest.mark.parametrize("size", [2, 7, 64, 300])
def test_batch_boundaries_change_nothing(size):
    assert undisturbed(stream(1), size) == undisturbed(stream(1), 1)


steps = st.lists(
    st.tuples(st.integers(1, 60), st.one_of(st.just(None), st.just(1.0), st.floats(0.0, 0.999))),
    min_size=1,
    max_size=25,
)


@settings(deadline=None)
@given(st.integers(0, 30), steps)
def test_crashes_at_any_moment_change_nothing(seed, plan):
    records = stream(seed)
    worker = Worker(records)
    for count, share in plan:
        worker.process(count)
        if share is None:
            worker.crash()
        else:
            worker.checkpoint(share)
    while worker.position < len(records):
        worker.process(50)
    assert worker.published == undisturbed(records, 1)


def test_what_peers_no_longer_need_is_deleted_from_the_store():
    worker = Worker(stream(2))
    while worker.position < len(worker.records):
        worker.process(10)
        worker.checkpoint()
    worker.checkpoint()
    kept = [key for key in worker.stored if key.startswith(reserved("prior/"))]
    assert 0 < len(kept) <= PEERS.priors * PEERS.types + 8


def test_a_checkpoint_of_sources_that_share_nothing_holds_the_sources_only():
    live = processor({}, configured(None, None))
    live.process([record(0, "a"), record(1, "b", 1e-9)])
    keys = [key for key, _ in live.changes()]
    assert [key for key in keys if not key.startswith("\x00id")] == ["a", "b"]


def test_silence_is_asked_of_sources_only():
    worker = Worker(stream(3))
    worker.process(300)
    worker.checkpoint()
    worker.crash()
    assert worker.processor.tick(2e9 + 86_400).outputs == []


def test_the_sources_of_a_stream_share_its_budget():
    live = processor({}, configured(per_stream=2, per_source=None))
    result = live.process([record(i, f"s{i}", 1e-7) for i in range(4)])
    said = [(score["alert"], score.get("held")) for score in scores(published(result.outputs))]
    assert said == [(1, None), (1, None), (0, "stream_budget"), (0, "stream_budget")]
    assert result.held == {"stream_budget": 2}
    assert [output.cause.offset for output in result.outputs if output.topic == "alerts"] == [0, 1]


def test_a_partition_has_its_share_of_the_budget_even_if_that_is_less_than_one_alert_a_day():
    live = TelemetryProcessor(configured(per_stream=1, per_source=None), 1, {}, Told, partitions=2)
    days = [live.process([record(day * 144, f"s{day}", 1e-7)]) for day in range(9)]
    assert [bool(result.held) for result in days] == [False, True] * 4 + [False]


def test_an_alert_that_is_held_has_its_score_published_even_if_others_have_not():
    found = configured(per_stream=1, per_source=None).model_copy(update={"scores": "anomalous"})
    live = processor({}, found)
    result = live.process([record(i, f"s{i}", p) for i, p in enumerate((1e-7, 1.0, 1e-7))])
    assert [output.cause.offset for output in result.outputs if output.topic == "scores"] == [0, 2]


def beginning(offset: int, source: str, **attributes: Any) -> Record:
    return record(offset, source, x=0.0, attributes=attributes)


def first_score_of(live: TelemetryProcessor, new: Record) -> dict[str, Any]:
    (output,) = [output for output in live.process([new]).outputs if output.topic == "scores"]
    found: dict[str, Any] = json.loads(output.value)
    return found


@pytest.fixture
def taught() -> TelemetryProcessor:
    """A processor that knows two pumps and a fan."""
    live = processor({}, configured(None, None))
    live.process([record(i, "p1", x=10.0, attributes={"type": "pump"}) for i in range(5)])
    live.process([record(i, "p2", x=20.0, attributes={"type": "pump"}) for i in range(5, 10)])
    live.process([record(i, "f1", x=99.0, type="fan") for i in range(10, 15)])
    return live


def test_a_source_with_no_history_begins_from_what_its_peers_have_learned(taught):
    score = first_score_of(taught, beginning(16, "p3", type="pump"))
    assert (score["warm_up"], score["values"]["x"]["expected"], score["prior"]) == (1.0, 15.0, 16)
    assert "missing" not in score
    assert first_score_of(taught, beginning(17, "f2", type="fan"))["values"]["x"]["expected"] == 99.0


@pytest.mark.parametrize("attributes", [{}, {"type": "valve"}, {"type": 7}, {"type": ""}, {"kind": "pump"}])
def test_a_source_without_peers_begins_from_nothing_and_says_what_is_missing(taught, attributes):
    score = first_score_of(taught, beginning(16, "p3", **attributes))
    assert (score["warm_up"], score["missing"], score.get("prior")) == (0.0, ["5 more events"], None)


def test_what_peers_have_learned_counts_from_the_next_step_of_offsets(taught):
    assert "prior" not in first_score_of(taught, beginning(15, "p3", type="pump"))


def test_a_source_remembers_what_it_began_from(taught):
    first_score_of(taught, beginning(16, "p3", type="pump"))
    first_score_of(taught, record(31, "p1", x=50.0, attributes={"type": "pump"}))
    again = processor(dict(taught.changes()), configured(None, None))
    assert first_score_of(again, beginning(40, "p3", type="pump"))["prior"] == 16


def test_peers_can_be_switched_off():
    live = processor({}, configured(None, None, PEERS.model_copy(update={"enabled": False})))
    live.process([record(i, "p1", attributes={"type": "pump"}) for i in range(16)])
    assert "prior" not in first_score_of(live, beginning(16, "p3", type="pump"))
    assert len(list(live.changes())) == 2


class Stubborn(Told):
    """Fails when it is to begin from its peers."""

    def adopt(self, priors: Sequence[bytes]) -> None:
        self._learned.events = 1000
        raise ValueError("no")


def test_a_detector_that_fails_to_begin_from_peers_begins_from_nothing():
    live = TelemetryProcessor(configured(None, None), 0, {}, Stubborn)
    live.process([record(i, "p1", attributes={"type": "pump"}) for i in range(16)])
    score = first_score_of(live, beginning(16, "p3", type="pump"))
    assert (score["warm_up"], score.get("prior")) == (0.0, None)


def first_format(state: bytes) -> bytes:
    _, *fields = msgspec.msgpack.decode(state)
    fields[5] = fields[5][:3]
    return msgspec.msgpack.encode([1, *fields[:6]])


def test_a_state_of_the_format_before_is_read_and_its_source_does_not_begin_anew(taught):
    states = dict(taught.changes())
    old = {"old": first_format(states["p1"]), **{k: v for k, v in states.items() if is_reserved(k)}}
    score = first_score_of(processor(old, configured(None, None)), beginning(20, "old", type="pump"))
    assert (score["values"]["x"]["expected"], score.get("prior")) == (10.0, None)


def test_a_state_of_a_later_format_is_refused_with_what_to_do(taught):
    _, *fields = msgspec.msgpack.decode(dict(taught.changes())["p1"])
    with pytest.raises(StateFormatError, match="has format 9, this program reads 1 to 3: run the version that wrote"):
        processor({"p1": msgspec.msgpack.encode([9, *fields])}).process([record(20, "p1")])
