"""Streams as they really are: whatever comes, the stream goes on, and a restart changes nothing."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.processor import Output, Record, Result
from streams.telemetry import TelemetryProcessor
from streams.telemetry_settings import TelemetrySettings
from tocsin.config import Configuration
from tocsin.wiring import make_detector

START = 1_767_225_600.0
SETTINGS = TelemetrySettings(scores="all")
DETECTOR = make_detector(Configuration())
Event = dict[str, Any]


def new(states: dict[str, bytes] | None = None) -> TelemetryProcessor:
    return TelemetryProcessor(SETTINGS, 0, states or {}, DETECTOR)


def records(events: list[Event], source: str = "pump-7") -> list[Record]:
    """Events as a producer sends them, a minute apart unless they say otherwise."""
    made = []
    for offset, event in enumerate(events):
        full = {"source": source, "timestamp": START + 60 * offset} | event
        made.append(Record("telemetry", 0, offset, START + 60 * offset, source.encode(), json.dumps(full).encode()))
    return made


def usual(count: int, seed: int = 1) -> list[float]:
    chance = random.Random(seed)
    return [round(20 + math.sin(i / 9) + chance.gauss(0, 0.3), 4) for i in range(count)]


def readings(*values: float | None) -> list[Event]:
    return [{"values": {"x": value}} for value in values]


def missing() -> Iterator[Event]:
    for i, value in enumerate(usual(300)):
        yield {"values": {"x": None if i % 3 == 0 else value} | ({} if i % 5 == 0 else {"y": -value})}


def only_missing() -> list[Event]:
    return readings(*usual(100), *[None] * 100, *usual(100))


def gaps() -> list[Event]:
    chance, time, events = random.Random(2), START - 10 * 86_400.0, []
    for value in usual(300):
        time += chance.choice([1.0, 60.0, 60.0, 3600.0])
        events.append({"timestamp": time, "values": {"x": value}})
    return events


def out_of_order() -> list[Event]:
    chance = random.Random(3)
    return [
        {"timestamp": START + 60 * i - chance.choice([0, 0, 30, 500, 80_000]), "values": {"x": value}}
        for i, value in enumerate(usual(300))
    ]


def at_the_same_time() -> list[Event]:
    return [{"timestamp": START, "values": {"x": value}} for value in usual(300)]


def unit_changes() -> list[Event]:
    values = usual(300)
    return readings(*values, *(value * 1.8 + 32 for value in values), *(value * 1000 for value in values), *values)


def constants() -> list[Event]:
    return readings(*[0.0] * 200, *[1.0] * 200, 0.0, *[1.0] * 50)


def extremes() -> list[Event]:
    huge = [1e300, -1e300, 5e-324, 1e-300, 0.0, -0.0, 1.7e308, -1.7e308, 2**53 + 1.0]
    return readings(*usual(100), *huge, *usual(100), *huge * 10, *usual(50))


def nothing_but_extremes() -> list[Event]:
    chance = random.Random(4)
    return readings(*(chance.choice([1e300, -1e300, 1e-300]) * chance.random() for _ in range(300)))


def counters() -> list[Event]:
    return readings(*(float(i % 120 * 37) for i in range(500)))


def values_that_come_and_go() -> list[Event]:
    chance = random.Random(5)
    return [
        {"values": {name: value for name in "abcdefgh" if chance.random() < 0.4 or name == "a"}} for value in usual(300)
    ]


def new_names_all_the_time() -> list[Event]:
    return [{"values": {f"value-{i}": value, "x": value}} for i, value in enumerate(usual(100))]


def many_values() -> list[Event]:
    chance = random.Random(6)
    return [{"values": {f"v{n}": chance.gauss(n, 1) for n in range(256)}} for _ in range(8)]


def ids_without_end() -> list[Event]:
    return [{"event_id": f"{'long-' * 40}{i}", "values": {"x": value}} for i, value in enumerate(usual(500))]


WAYS: dict[str, Callable[[], Any]] = {
    way.__name__.replace("_", " "): way
    for way in (
        *(missing, only_missing, gaps, out_of_order, at_the_same_time, unit_changes, constants, extremes),
        *(nothing_but_extremes, counters, values_that_come_and_go, new_names_all_the_time, many_values),
        ids_without_end,
    )
}
every_way = pytest.mark.parametrize("way", WAYS)


def scores(outputs: list[Output]) -> list[dict[str, Any]]:
    return [json.loads(output.value) for output in outputs if output.topic == "scores"]


def alerts(outputs: list[Output]) -> list[dict[str, Any]]:
    return [json.loads(output.value) for output in outputs if output.topic == "alerts"]


def must_be_sound(result: Result) -> None:
    for score in scores(result.outputs):
        assert 0.0 < score["p_value"] <= 1.0
        assert 0.0 <= score["anomaly_score"] <= 1.0
        assert 0.0 <= score["alert_score"] <= 1.0
        for value in score["values"].values():
            assert 0.0 <= value["contribution"] <= 1.0
    for output in result.outputs:
        assert b"NaN" not in output.value
        assert b"Infinity" not in output.value


@every_way
def test_every_event_is_scored_soundly(way):
    stream = records(list(WAYS[way]()))
    result = new().process(stream)
    assert result.outcomes["scored"] == len(stream)
    assert "dead_letter" not in result.outcomes
    must_be_sound(result)


@every_way
def test_a_restart_in_the_middle_gives_the_same_results(way):
    stream = records(list(WAYS[way]()))
    whole = new().process(stream).outputs
    middle = len(stream) // 2
    first = new()
    before = first.process(stream[:middle]).outputs
    second = new({key: state for key, state in first.changes() if state is not None})
    again = second.process(stream[middle // 2 : middle])
    assert again.outputs == []
    assert before + second.process(stream[middle:]).outputs == whole


@every_way
def test_the_state_stays_bounded(way):
    processor = new()
    stream = list(WAYS[way]())
    processor.process(records(stream))
    names = {name for event in stream for name in event["values"]}
    states = dict(processor.changes())
    (state,) = (state for key, state in states.items() if state is not None and not key.startswith("\x00"))
    assert len(states) < 70
    assert len(state) < 12_000 + 16_000 * len(names)


def test_a_repeated_event_counts_once():
    events = [{"event_id": f"e{i}", "values": {"x": value}} for i, value in enumerate(usual(200))]
    plain = new().process(records(events)).outputs
    repeated = [event for event in events for _ in range(3)]
    doubled = new().process(
        [
            Record("telemetry", 0, offset, original.timestamp, original.key, original.value)
            for offset, original in enumerate(one for one in records(events) for _ in range(3))
        ]
    )
    assert (doubled.outcomes["scored"], doubled.outcomes["duplicate"]) == (200, len(repeated) - 200)
    assert [output.value for output in doubled.outputs] == [output.value for output in plain]


def test_300_values_are_refused_with_the_reason_and_the_next_event_is_scored():
    events = [{"values": {f"v{i}": 1.0 for i in range(300)}}, *readings(1.0)]
    result = new().process(records(events))
    (letter,) = (json.loads(output.value) for output in result.outputs if output.topic == "dead-letters")
    assert "300 are more than max_values (256)" in letter["detail"]
    assert result.outcomes["scored"] == 1


def test_an_event_older_than_the_bound_is_refused_and_one_within_it_is_not():
    late = [{"values": {"x": 1.0}}, {"timestamp": START - 86_000, "values": {"x": 1.0}}]
    too_late = {"timestamp": START - 86_500, "values": {"x": 1.0}}
    assert new().process(records([*late, too_late])).outcomes == {"scored": 2, "dead_letter": 1}


def test_an_event_without_any_reading_is_no_alert():
    result = new().process(records(only_missing()))
    silent = [score for score in scores(result.outputs) if not score["values"]]
    assert len(silent) == 100
    assert all(score["p_value"] == 1.0 and score["alert_score"] == 0.0 for score in silent)


def test_more_ids_than_can_be_remembered_cost_no_more():
    processor = new()
    stream = records(ids_without_end())
    processor.process(stream[:250])
    sizes = [len(state) for _, state in processor.changes() if state is not None]
    processor.process(stream[250:])
    sizes += [len(state) for _, state in processor.changes() if state is not None]
    assert sizes[1] < sizes[0] * 1.5


@pytest.mark.parametrize("value", ["1e309", "-1e309", "NaN", "Infinity", '"20"', "true", "[]", "{}"])
def test_what_is_no_finite_number_is_refused_and_spoils_nothing(value):
    event = f'{{"source": "pump-7", "timestamp": {START}, "values": {{"x": {value}}}}}'.encode()
    bad = Record("telemetry", 0, 0, START, b"pump-7", event)
    good = [Record("telemetry", 0, 1 + r.offset, r.timestamp, r.key, r.value) for r in records(readings(*usual(50)))]
    result = new().process([bad, *good])
    assert result.outcomes == {"dead_letter": 1, "scored": 50}


def test_one_source_that_misbehaves_does_not_touch_another():
    calm = records(readings(*usual(300)), "calm")
    wild = records(extremes(), "wild")
    mixed, alone = [], []
    for offset, record in enumerate(one for pair in zip(calm, wild, strict=False) for one in pair):
        mixed.append(Record("telemetry", 0, offset, record.timestamp, record.key, record.value))
        if record.key == b"calm":
            alone.append(mixed[-1])
    of_calm = [o for o in new().process(mixed).outputs if json.loads(o.value)["source"] == "calm"]
    assert of_calm == new().process(alone).outputs


numbers = st.floats(allow_nan=False, allow_infinity=False)
anything = st.fixed_dictionaries(
    {"values": st.dictionaries(st.sampled_from("xyz"), st.one_of(st.none(), numbers), min_size=1)},
    optional={"timestamp": st.floats(START - 86_000, START + 600), "event_id": st.sampled_from("abc")},
)


@given(st.lists(anything, max_size=60), st.integers(0, 60))
@settings(max_examples=60, deadline=None)
def test_whatever_comes_is_scored_soundly_and_a_restart_changes_nothing(events, cut):
    stream = records(events)
    whole = new().process(stream)
    must_be_sound(whole)
    first = new()
    before = first.process(stream[:cut]).outputs
    second = new({key: state for key, state in first.changes() if state is not None})
    assert before + second.process(stream[cut:]).outputs == whole.outputs


def test_labels_on_wild_streams_are_sound_too():
    for way in WAYS.values():
        stream = records([{"event_id": f"e{i}"} | event for i, event in enumerate(way())])
        processor = new()
        half = len(stream) // 2
        told = processor.process(stream[:half])
        said = [alert["alert_id"] for alert in alerts(told.outputs)] + [f"e{i}" for i in range(half)]
        now = stream[half].timestamp - 1
        processor.absorb(
            [
                Record("labels", 0, i, now, None, json.dumps({"id": one, "label": i % 2 == 0, "timestamp": 0}).encode())
                for i, one in enumerate(said)
            ]
        )
        must_be_sound(processor.process(stream[half:]))
