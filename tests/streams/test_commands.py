"""Commands on their topic: an alert takes them once, between the same two events, whatever happens in between."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from streams.processor import Output, Record, Result
from streams.telemetry import TelemetryProcessor
from tests.crashes import assert_as_undisturbed, by_offset, over_several_lives
from tests.streams.test_policies import START, new, telemetry

CALM = [("pump-7", 1.0, 1.0)] * 5


def command(offset: int, at: float, order: str, alert_id: str, source: str = "pump-7", **said: Any) -> Record:
    """A command that was appended to the topic so many seconds after the start."""
    value = {"alert_id": alert_id, "source": source, "command": order, "by": "ann", "timestamp": START + at} | said
    return Record("commands", 0, offset, START + at, alert_id.encode(), json.dumps(value).encode())


def told(result: Result | list[Output]) -> list[dict[str, Any]]:
    outputs = result.outputs if isinstance(result, Result) else result
    return [json.loads(output.value) for output in outputs if output.topic == "alerts"]


def fired(processor: TelemetryProcessor) -> dict[str, Any]:
    (alert,) = told(processor.process(telemetry(("pump-7", 1e-6, 1.0))))
    return alert


def test_a_command_is_taken_with_the_next_event_of_its_source():
    processor = new()
    alert = fired(processor)
    processor.absorb([command(0, 5.0, "acknowledge", alert["alert_id"])])
    result = processor.process(telemetry(("fan-1", 1.0, 1.0), ("pump-7", 1.0, 1.0), first=1))
    (acknowledged,) = told(result)
    assert (acknowledged["state"], acknowledged["acknowledged_by"]) == ("acknowledged", "ann")
    assert acknowledged["updated_at"] == "2026-01-01T00:00:05.000Z"
    assert result.outcomes["command_done"] == 1


def test_a_command_is_taken_when_nothing_comes_any_more():
    processor = new()
    alert = fired(processor)
    processor.absorb([command(0, 5.0, "acknowledge", alert["alert_id"])])
    assert told(processor.tick(START + 6.9)) == []
    assert [one["state"] for one in told(processor.tick(START + 7.1))] == ["acknowledged"]
    assert told(processor.tick(START + 8.0)) == []


def test_it_is_the_same_alert_whether_time_passed_or_an_event_came():
    by_tick, by_event = new(), new()
    for processor in (by_tick, by_event):
        alert = fired(processor)
        processor.absorb([command(0, 5.0, "acknowledge", alert["alert_id"], comment="so")])
    rest = telemetry(*CALM, first=1)
    at_once, later = by_tick.tick(START + 8.0).outputs, by_tick.process(rest).outputs
    with_event = by_event.process(rest).outputs
    assert told([*at_once, *later]) == told(with_event)


def test_commands_of_other_partitions_are_forgotten_and_bad_ones_told_once():
    here, other = new(partition=0), new(partition=1)
    bad = Record("commands", 0, 1, START + 1, b"a", b'{"alert_id": "a", "source": "s", "timestamp": 0}')
    results = [one.absorb([command(0, 0.0, "acknowledge", "a", source="elsewhere"), bad]) for one in (here, other)]
    (letter,) = (json.loads(output.value) for result in results for output in result.outputs)
    assert letter["detail"] == "command: the field is missing: add it"
    here.tick(START + 10.0)
    states = {key: state for key, state in here.changes() if state is not None}
    assert new(states).absorbed()["commands", 0] == 1


def test_an_alert_that_is_over_takes_no_command():
    processor = new()
    alert = fired(processor)
    processor.process(telemetry(*CALM, first=1))
    processor.absorb([command(0, 70.0, "acknowledge", alert["alert_id"])])
    result = processor.tick(START + 80.0)
    assert (told(result), result.outcomes["command_without_effect"]) == ([], 1)


def undisturbed(events: list[Record], said: list[tuple[float, str, int]]) -> tuple[list[Record], Mapping[int, Any]]:
    """Return commands to alerts that there will have been, and what an undisturbed run puts out."""
    ids = sorted({alert["alert_id"] for alert in told(new().process(events))})
    sources = {alert["alert_id"]: alert["source"] for alert in told(new().process(events))}
    commands = [
        command(offset, at, order, ids[about % len(ids)], sources[ids[about % len(ids)]], comment=f"{offset}")
        for offset, (at, order, about) in enumerate(sorted(said))
        if ids
    ]
    processor = new()
    processor.absorb(commands)
    return commands, by_offset(processor.process(events).outputs)


READING = st.tuples(st.sampled_from(("pump-7", "fan-1")), st.sampled_from((1.0, 1.0, 1e-5, 1e-8)), st.just(1.0))
SAID = st.tuples(st.floats(0, 300), st.sampled_from(("acknowledge", "unacknowledge", "comment")), st.integers(0, 9))


@settings(max_examples=60, deadline=None)
@given(
    readings=st.lists(READING, min_size=5, max_size=40),
    said=st.lists(SAID, max_size=6),
    cuts=st.lists(st.integers(1, 8), min_size=1, max_size=12),
    data=st.data(),
)
def test_after_a_crash_every_command_is_taken_where_it_was(readings, said, cuts, data):
    events = telemetry(*readings)
    commands, expected = undisturbed(events, said)

    def known_at(time: float) -> list[Record]:
        return [one for one in commands if one.timestamp < time]

    found = over_several_lives(new, events, known_at, cuts, data)
    assert_as_undisturbed(found, expected)
