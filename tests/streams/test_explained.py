"""What is said of an event is what happened to it, whatever the stream: scores and traces as they are published."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alerts.policy import Policy
from detectors.auto import Auto
from streams.account import Account
from streams.dead_letters import DeadLetter
from streams.explained import Explainer, Scored
from streams.not_scored import letter_time, nothing_there, refused
from streams.processor import Output, Record
from streams.rescoring import Replay
from streams.scores import ScoreRecord
from streams.telemetry import TelemetryProcessor
from streams.telemetry_settings import TelemetrySettings
from tests.streams.test_feedback_and_budget import SETTINGS, labels, telemetry
from tests.streams.told import Told

START = 1_767_225_600.0


def published(outputs: list[Output]) -> Iterator[Scored]:
    for output in outputs:
        if output.topic == "scores":
            value = msgspec.json.decode(output.value, type=ScoreRecord)
            cause = output.cause
            yield Scored(value, f"{cause.topic}/{cause.partition}/{cause.offset}", cause.timestamp)


def explained(outputs: list[Output], settings: TelemetrySettings = SETTINGS) -> list[tuple[Scored, Account]]:
    explainer = Explainer(settings, (), Told().state_format)
    return [(scored, explainer.scored(scored)) for scored in published(outputs)]


def readings(*p_values: float, **said: Any) -> list[Record]:
    """A reading of pump-7 a minute, of these p-values."""
    events = [
        {"source": "pump-7", "timestamp": START + 60 * i, "values": {"x": 10.0, "p": p}} | said
        for i, p in enumerate(p_values)
    ]
    return [
        Record("telemetry", 0, i, START + 60 * i + 1, b"pump-7", json.dumps(event).encode())
        for i, event in enumerate(events)
    ]


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 10_000), st.booleans())
def test_every_published_decision_is_made_again_with_the_same_result(seed: int, spoken: bool):
    records = telemetry(seed)
    processor = TelemetryProcessor(SETTINGS, 0, {}, Told)
    if spoken:
        processor.absorb(labels(seed, records))
    for scored, account in explained(processor.process(records).outputs):
        value = scored.value
        assert account.exact is (None if value.trace is None else True)
        if value.alert:
            assert account.outcome == "alert"
        if value.held is not None and not value.alert:
            assert account.outcome == "held"
            assert value.held in {finding.reason for finding in account.findings} or value.p_value > 1e-4
        if account.outcome == "normal":
            assert not value.alert and account.reason in ("below_threshold", "warm_up", "just_ended")


def test_what_was_recorded_otherwise_than_is_decided_now_is_said():
    (scored,) = published(TelemetryProcessor(SETTINGS, 0, {}, Told).process(readings(1e-7)).outputs)
    other = Scored(msgspec.structs.replace(scored.value, alert=0), scored.position, scored.produced_at)
    assert Explainer(SETTINGS, (), 1).scored(other).exact is False


def test_an_event_during_an_alert_is_part_of_it():
    outputs = TelemetryProcessor(SETTINGS, 0, {}, Told).process(readings(*[1.0] * 5, 1e-7, 1e-7)).outputs
    *_, (scored, account) = explained(outputs)
    assert scored.value.trace is None
    assert (account.outcome, account.reason) == ("alert", "alert")


def test_an_event_that_was_published_though_nothing_spoke_was_below_the_threshold():
    outputs = TelemetryProcessor(SETTINGS, 0, {}, Told).process(readings(*[1.0] * 5, 0.003)).outputs
    *_, (_, account) = explained(outputs)
    assert (account.reason, account.evidence) == ("below_threshold", "score")
    assert account.because == "spike: p 0.003 is above fire_p 0.0001"


def test_the_policy_in_force_when_it_came_counts_for_what_is_said_of_it():
    value = (
        b'{"name": "p", "version": 4, "author": "ann", "at": 0, "policy": {"name": "p", "default": {"fire_p": 1e-9}}}'
    )
    applied = Record("policies", 0, 0, START + 200.0, b"p@4", value)
    outputs = TelemetryProcessor(SETTINGS, 0, {}, Told).process(readings(*[1.0] * 5, 0.003)).outputs
    *_, early, late = [Explainer(SETTINGS, (applied,), 1).scored(one) for one in published(outputs)]
    assert early.versions is not None and late.versions is not None
    assert (early.versions.policies, late.versions.policies) == (("p@4",), ("p@4",))
    first = Explainer(SETTINGS, (applied,), 1).scored(next(published(outputs)))
    assert first.versions is not None and first.versions.policies == ()
    assert late.findings[0].fire_p == 1e-9


def test_an_event_that_was_not_published_is_scored_again_and_a_repetition_is_told_as_one():
    quiet = TelemetrySettings(policy=Policy())
    explainer = Explainer(quiet, (), 1)
    first = readings(*[1.0] * 5, 0.5, event_id=None)
    named = readings(*[1.0] * 3, event_id="e1")
    replay = Replay(quiet, Told, "pump-7", START + 290.0, 0)
    replay.take(first)
    assert replay.nearest is not None and replay.events == 6
    account = explainer.rescored(replay.nearest, exact=True)
    assert (account.at, account.p_value, account.exact) == (START + 300.0, 0.5, True)
    again = Replay(quiet, Told, "pump-7", START + 60.0, 0)
    again.take(named)
    assert again.nearest is not None
    assert explainer.rescored(again.nearest, exact=False).outcome == "duplicate"


@pytest.mark.parametrize(
    ("key", "value", "time"),
    [
        (b"pump-7", "{", 7.0),
        (b"pump-8", '{"source": "pump-7", "timestamp": 60, "values": {"x": 1}}', 60.0),
        (b"pump-7", '{"source": "pump-7", "timestamp": 60}', 60.0),
        (b"pump-7", '{"source": "pump-7", "timestamp": "now", "values": {"x": 1}}', 7.0),
        (b"pump-8", '{"source": "pump-8", "timestamp": 60}', None),
    ],
)
def test_a_dead_letter_is_found_by_what_can_be_read_of_it(key: bytes, value: str, time: float | None):
    import base64

    packed = base64.b64encode(value.encode()).decode()
    letter = DeadLetter(
        reason="not_json", detail="…", topic="telemetry", partition=0, offset=3, timestamp=7.0, value=packed
    )
    assert letter_time(letter, key, "pump-7") == time
    assert refused(letter, "pump-7", 7.0).position == "telemetry/0/3"


def test_of_a_source_that_is_known_the_nearest_events_are_told_and_when_silence_began():
    replay = Replay(TelemetrySettings(), Auto, "pump-7", START + 3600.0, 0)
    replay.take(readings(*[1.0] * 50))
    found = nothing_there("pump-7", START + 5000.0, replay, known=True, kept="7 days", forgotten=86_400.0)
    before = "no event within 1 min of this time; the one before at 2026-01-01T00:49:00.000Z; silence from"
    assert found.because.startswith(before)
    few = Replay(TelemetrySettings(), Auto, "pump-7", START + 3600.0, 0)
    few.take(readings(1.0))
    found = nothing_there("pump-7", START + 5000.0, few, known=True, kept="7 days", forgotten=86_400.0)
    assert found.because.endswith("no silence: how often it sends was not yet known")


def test_a_source_whose_first_event_names_a_type_may_have_begun_from_its_peers():
    def replayed(**said: Any) -> Replay:
        replay = Replay(TelemetrySettings(), Told, "pump-7", START, 0)
        event = {"source": "pump-7", "timestamp": START, "values": {"x": 1.0}, **said}
        replay.take([Record("telemetry", 0, 0, START, b"pump-7", json.dumps(event).encode())])
        return replay

    assert replayed(attributes={"type": "pump"}).has_peers
    assert not replayed(attributes={"site": "north"}).has_peers


def test_what_a_policy_froze_is_frozen_when_it_is_scored_again():
    window = {"name": "works", "start": "2026-01-01T00:00:00Z", "freeze": True}
    value = {"name": "p", "version": 1, "author": "ann", "at": 0, "policy": {"name": "p", "calendar": [window]}}
    governing = [Record("policies", 0, 0, START - 100.0, b"p@1", json.dumps(value).encode())]
    free, frozen = (Replay(TelemetrySettings(), Auto, "pump-7", START + 1200.0, 0, said) for said in ((), governing))
    for replay in (free, frozen):
        replay.take(readings(*[1.0, 2.0] * 30))
    assert free.nearest is not None and free.nearest.score is not None
    assert frozen.nearest is not None and frozen.nearest.score is not None
    assert free.nearest.score.warm_up > frozen.nearest.score.warm_up
