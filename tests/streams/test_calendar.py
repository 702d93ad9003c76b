"""The calendar in the stream: what windows and planned changes do to events, and that a crash changes none of it."""

from __future__ import annotations

import json
import time
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from alerts.happening import ChangeEvent
from detectors.registry import DetectorSettings, detector_factory
from streams.processor import Record
from streams.settling import SETTLING
from streams.telemetry import TelemetryProcessor
from streams.telemetry_settings import TelemetrySettings
from tests.crashes import assert_as_undisturbed, by_offset, over_several_lives
from tests.streams.test_policies import READINGS, START, alerts, new, policy, telemetry

STOP = {"name": "stop", "start": START + 20, "duration": 60}


def change(offset: int, at: float, **said: Any) -> Record:
    value = {"change_id": "d42", "kind": "deploy", "source": "pump-*", "timestamp": START + at, "by": "ann"} | said
    return Record("changes", 0, offset, START + at, b"pumps", json.dumps(value).encode())


def test_an_alert_that_a_window_holds_back_is_told_after_it_and_its_scores_name_the_window():
    processor = new()
    processor.absorb([policy(0, 0.0, source="pump-*", calendar=[STOP])])
    result = processor.process(telemetry(*[("fan-1", 1.0, 1.0)] * 2, *[("pump-7", 1e-6, 1.0)] * 7))
    (alert,) = alerts(result.outputs)
    assert [step["at"] for step in alert["history"]] == ["2026-01-01T00:01:20.000Z"]
    assert alert["policies"] == [{"name": "pumps", "version": 1}]
    held = [json.loads(one.value) for one in result.outputs if one.topic == "scores"]
    assert [(one.get("held"), one.get("windows")) for one in held[2:8]] == [("calendar", ["pumps/stop"])] * 6
    assert result.held == {"calendar": 1}


def test_a_planned_change_mutes_its_sources_while_it_lasts_and_can_be_taken_back():
    def told(*said: Record) -> list[tuple[str, str]]:
        processor = new()
        processor.absorb(said)
        odd = [("pump-7", 1.0, 1.0), ("fan-1", 1.0, 1.0), ("pump-7", 1e-6, 1.0), ("fan-1", 1e-6, 1.0)]
        return [(one["source"], one["state"]) for one in alerts(processor.process(telemetry(*odd)).outputs)]

    assert told(change(0, 0.0, lasts="5m")) == [("fan-1", "firing")]
    assert told(change(0, 0.0)) == [("pump-7", "firing"), ("fan-1", "firing")]
    assert told(change(0, 0.0, lasts="5m"), change(1, 5.0)) == [("pump-7", "firing"), ("fan-1", "firing")]


def test_a_bad_change_is_told_once_and_mutes_nothing():
    processors = [new(partition=partition) for partition in range(2)]
    results = [processor.absorb([change(0, 0.0, lasts="soon")]) for processor in processors]
    (letter,) = (json.loads(output.value) for result in results for output in result.outputs)
    assert (letter["topic"], letter["reason"]) == ("changes", "out_of_range")
    assert "soon" in letter["detail"]


CHANGES = st.fixed_dictionaries(
    {
        "change_id": st.text(max_size=300),
        "kind": st.text(max_size=70),
        "source": st.text(max_size=300),
        "timestamp": st.one_of(st.floats(), st.sampled_from(("", "2026-01-01", "0001-01-01T00:00:00", None))),
        "lasts": st.one_of(st.none(), st.floats(), st.sampled_from(("5m", "soon"))),
        "by": st.one_of(st.none(), st.text(max_size=5)),
        "summary": st.text(max_size=1100),
    }
)
SOUND = {"change_id": "d42", "kind": "deploy", "source": "pump-*", "timestamp": START, "lasts": 60}


@settings(deadline=None)
@given(said=CHANGES, sound=st.sets(st.sampled_from(sorted(SOUND))))
def test_whatever_a_change_says_it_mutes_or_is_a_dead_letter(said, sound):
    value = said | {name: SOUND[name] for name in sound}
    processor = new()
    result = processor.absorb([Record("changes", 0, 0, START, b"pumps", json.dumps(value).encode())])
    assert result.outcomes["dead_letter"] == len(result.outputs) <= 1
    processor.process(telemetry(("pump-7", 1e-6, 1.0)))


def test_a_time_without_a_zone_is_in_utc(monkeypatch):
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    try:
        assert ChangeEvent.model_validate(SOUND | {"timestamp": "2026-01-01T00:00:00"}).timestamp == START
    finally:
        monkeypatch.undo()
        time.tzset()


def test_what_happens_in_a_frozen_window_is_not_learned():
    make = detector_factory(DetectorSettings(name="auto"))

    def score_after(calendar: list[dict[str, Any]]) -> float:
        processor = TelemetryProcessor(TelemetrySettings(scores="all"), 0, {}, make)
        processor.absorb([policy(0, 0.0, calendar=calendar)])
        readings = [("pump-7", 0.0, 50.0 + i % 7) for i in range(300)]
        readings[200:280] = [("pump-7", 0.0, 500.0 + i % 7) for i in range(80)]
        outputs = processor.process(telemetry(*readings)).outputs
        found = [json.loads(one.value) for one in outputs if one.topic == "scores"]
        assert found[200]["p_value"] < 1e-3
        return float(found[290]["p_value"])

    window = {"name": "test run", "start": START + 2000, "duration": 800, "freeze": True}
    assert score_after([window]) > 10 * score_after([{**window, "freeze": False}])


SAID = st.sampled_from(
    (
        {"calendar": [STOP]},
        {"source": "pump-*", "calendar": [{**STOP, "freeze": True, "rrule": "FREQ=HOURLY;COUNT=2"}]},
        {"calendar": [{**STOP, "mute": False, "freeze": True}], "default": {"fire_after": 15}},
    )
)


@settings(max_examples=40, deadline=None)
@given(
    readings=READINGS,
    said=st.lists(st.tuples(st.floats(0, 100), SAID), max_size=3),
    planned=st.lists(st.tuples(st.floats(0, 200), st.sampled_from((None, 30, 100)), st.booleans()), max_size=3),
    cuts=st.lists(st.integers(1, 8), min_size=1, max_size=12),
    data=st.data(),
)
def test_after_a_crash_every_event_is_decided_as_it_was(readings, said, planned, cuts, data):
    events = telemetry(*readings)
    policies = [policy(i, at, 1, f"p{i}", **what) for i, (at, what) in enumerate(sorted(said, key=lambda one: one[0]))]
    changes = [
        change(i, at, lasts=lasts, freeze=freeze)
        for i, (at, lasts, freeze) in enumerate(sorted(planned, key=lambda one: one[0]))
    ]
    undisturbed = new()
    undisturbed.absorb([*policies, *changes])
    expected = by_offset(undisturbed.process(events).outputs)

    def known_at(time: float) -> list[Record]:
        return [one for one in (*policies, *changes) if one.timestamp + SETTLING < time]

    found = over_several_lives(new, events, known_at, cuts, data)
    assert_as_undisturbed(found, expected)
