"""Policies on their topic: each event is decided under the same version, however often it comes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from streams.processor import Output, Record
from streams.settling import SETTLING
from streams.telemetry import TelemetryProcessor
from streams.telemetry_settings import TelemetrySettings
from tests.crashes import assert_as_undisturbed, by_offset, over_several_lives
from tests.streams.told import Told

START = 1_767_225_600.0
SOURCES = ("pump-7", "fan-1")
SETTINGS = TelemetrySettings(scores="all")


def new(states: Mapping[str, bytes] | None = None, partition: int = 0) -> TelemetryProcessor:
    return TelemetryProcessor(SETTINGS, partition, states or {}, Told)


def telemetry(*readings: tuple[str, float, float], first: int = 0) -> list[Record]:
    """A reading (source, p-value, value) every ten seconds, each produced a second after its time."""
    records = []
    for offset, (source, p_value, x) in enumerate(readings, first):
        time = START + 10 * offset
        event = {"source": source, "timestamp": time, "values": {"x": x, "p": p_value}}
        records.append(Record("telemetry", 0, offset, time + 1, source.encode(), json.dumps(event).encode()))
    return records


def policy(offset: int, at: float, version: int = 1, name: str = "pumps", **said: Any) -> Record:
    """A version that was appended to the topic so many seconds after the start."""
    value = {"name": name, "version": version, "author": "ann", "at": START + at}
    if said:
        value["policy"] = {"name": name, **said}
    return Record("policies", 0, offset, START + at, f"{name}@{version}".encode(), json.dumps(value).encode())


def alerts(outputs: list[Output]) -> list[dict[str, Any]]:
    return [json.loads(output.value) for output in outputs if output.topic == "alerts"]


def test_a_version_counts_for_events_produced_after_it_and_for_its_sources_only():
    processor = new()
    processor.absorb([policy(0, 15.0, source="pump-*", owner="plant", default={"fire_p": 1e-9})])
    odd = [
        ("pump-8", 1e-6, 1.0),
        ("pump-7", 1.0, 1.0),
        ("pump-7", 1e-6, 1.0),
        ("fan-1", 1e-6, 1.0),
        ("pump-7", 1e-10, 1.0),
    ]
    told = alerts(processor.process(telemetry(*odd)).outputs)
    assert [(alert["source"], alert["owner"]) for alert in told] == [
        ("pump-8", None),
        ("fan-1", None),
        ("pump-7", "plant"),
    ]
    assert told[-1]["policies"] == [{"name": "pumps", "version": 1}]


def test_a_bad_version_is_told_once_and_the_running_one_stays():
    processors = [new(partition=partition) for partition in range(3)]
    good = policy(0, 0.0, owner="plant")
    bad = policy(1, 1.0, version=2, default={"fire_p": 7})
    results = [processor.absorb([good, bad]) for processor in processors]
    (letter,) = (json.loads(output.value) for result in results for output in result.outputs)
    assert (letter["topic"], letter["offset"], letter["reason"]) == ("policies", 1, "out_of_range")
    assert letter["detail"] == "policy.default.fire_p: Input should be less than 1, not 7"
    assert [result.outcomes["dead_letter"] for result in results] == [1, 0, 0]
    (alert,) = alerts(processors[0].process(telemetry(*[("pump-7", p, 1.0) for p in (1.0, 1e-6)])).outputs)
    assert alert["owner"] == "plant"


def test_a_withdrawn_policy_leaves_what_is_beneath():
    processor = new()
    processor.absorb([policy(0, 0.0, owner="plant"), policy(1, 15.0, version=2)])
    told = alerts(processor.process(telemetry(*[("pump-7", 1e-6, 1.0)], *[("fan-1", 1e-6, 1.0)] * 2)).outputs)
    assert [alert["owner"] for alert in told] == [None, "plant"]
    again = alerts(processor.process(telemetry(*[("pump-7", 1.0, 1.0)] * 5, first=3)).outputs)
    assert [(alert["state"], alert["owner"], alert["policies"]) for alert in again] == [("resolved", None, [])]


P_VALUES = st.sampled_from((1.0, 1.0, 1.0, 1e-5, 1e-7))
READINGS = st.lists(st.tuples(st.sampled_from(SOURCES), P_VALUES, st.sampled_from((1.0, 5.0))), min_size=5, max_size=40)
SAID = st.sampled_from(
    (
        {},
        {"source": "pump-*", "default": {"fire_after": 15}},
        {"source_re": "fan-.", "default": {"fire_p": 1e-6}, "owner": "plant"},
        {"values": {"x": {"max": 4}}, "priority": 2},
        {"per_source_a_day": 1},
    )
)
POLICIES = st.lists(st.tuples(st.floats(0, 400), st.sampled_from(("a", "b")), SAID), max_size=6)


@settings(max_examples=60, deadline=None)
@given(readings=READINGS, said=POLICIES, cuts=st.lists(st.integers(1, 8), min_size=1, max_size=12), data=st.data())
def test_after_a_crash_every_event_is_decided_as_it_was(readings, said, cuts, data):
    """Policies are read when they are there, again after a crash, whole, and from before the events they came after."""
    events = telemetry(*readings)
    numbers: dict[str, int] = {}
    versions = []
    for offset, (at, name, what) in enumerate(sorted(said, key=lambda one: one[0])):
        numbers[name] = numbers.get(name, 0) + 1
        versions.append(policy(offset, at, numbers[name], name, **what))
    undisturbed = new()
    undisturbed.absorb(versions)
    expected = by_offset(undisturbed.process(events).outputs)

    def known_at(time: float) -> list[Record]:
        return [one for one in versions if one.timestamp + SETTLING < time]

    found = over_several_lives(new, events, known_at, cuts, data)
    assert_as_undisturbed(found, expected)
