"""Events that come late are put in order, and alerts that began without them are corrected or retracted."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.auto import Auto
from detectors.base import Detector
from detectors.score import Score, SignalScore, ValueExplanation, anomaly_score
from streams.late_events import EVERY, LateSettings, RecentPast
from streams.processor import Output, Record, Result
from streams.telemetry import TelemetryProcessor
from streams.telemetry_settings import TelemetrySettings
from tests.crashes import assert_crashes_change_nothing

START = 1_767_225_600.0
SETTINGS = TelemetrySettings(late=LateSettings(rescore_within=600))


class Step(Detector):
    """Finds an event ten times as improbable for each 5 by which its value is off the one before."""

    def __init__(self) -> None:
        self._last: float | None = None

    def process_one(self, x: Mapping[str, float], t: float | None = None) -> Score:
        p_value = 10.0 ** -self.score_one(x)
        values = {"x": ValueExplanation(x["x"], self._last, None, None, 1.0)}
        self._last = x["x"]
        return Score(p_value, anomaly_score(p_value), (SignalScore("spike", p_value, "x", 1),), values)

    def score_one(self, x: Mapping[str, float], t: float | None = None) -> float:
        if x["x"] < 0:
            raise ValueError("below zero")
        return 0.0 if self._last is None else abs(x["x"] - self._last) / 5.0

    def learn_one(self, x: Mapping[str, float], t: float | None = None) -> None:
        self.process_one(x, t)

    def snapshot(self) -> bytes:
        return msgspec.msgpack.encode(self._last)

    def restore(self, state: bytes) -> None:
        self._last = msgspec.msgpack.decode(state)


def new(states: Mapping[str, bytes] | None = None, given: TelemetrySettings = SETTINGS) -> TelemetryProcessor:
    return TelemetryProcessor(given, 0, states or {}, Step)


def readings(*told: tuple[float, float], first: int = 0) -> list[Record]:
    """Readings (seconds, value), one record a second from the thousandth on."""
    records = []
    for offset, (at, x) in enumerate(told, first):
        event = {"source": "pump-7", "timestamp": START + at, "values": {"x": x}}
        records.append(Record("telemetry", 0, offset, START + 1000 + offset, b"pump-7", json.dumps(event).encode()))
    return records


def alerts(result: Result | list[Output]) -> list[dict[str, Any]]:
    outputs = result.outputs if isinstance(result, Result) else result
    return [json.loads(output.value) for output in outputs if output.topic == "alerts"]


def scores(result: Result) -> list[dict[str, Any]]:
    return [json.loads(output.value) for output in result.outputs if output.topic == "scores"]


def test_an_alert_that_late_events_explain_is_retracted_and_says_why():
    processor = new()
    (fired,) = alerts(processor.process(readings((0, 10), (10, 11), (20, 46))))
    assert fired["state"] == "firing"
    result = processor.process(readings((13, 23), (17, 35), first=3))
    corrected, retracted = alerts(result)
    assert (retracted["alert_id"], retracted["state"], retracted["version"]) == (fired["alert_id"], "retracted", 3)
    assert [(step["what"], step["state"], step["note"]) for step in retracted["history"]] == [
        ("state", "firing", None),
        ("correction", "firing", "late events"),
        ("state", "retracted", "late events"),
    ]
    assert retracted["summary"].endswith("Retracted: with events that came late, nothing is unusual.")
    assert corrected["p_value"] == pytest.approx(10 ** -(23 / 5))
    assert result.outcomes["rescored"] == 2
    assert [score["rescored"] for score in scores(result)] == [1, 1]


def test_an_alert_that_is_less_severe_with_late_events_says_so():
    processor = new()
    (fired,) = alerts(processor.process(readings((0, 10), (10, 11), (20, 61))))
    (corrected,) = alerts(processor.process(readings((15, 30), first=3)))
    assert (fired["severity"], corrected["severity"], corrected["state"]) == ("critical", "critical", "firing")
    assert (fired["p_value"], corrected["p_value"]) == (pytest.approx(1e-10), pytest.approx(10 ** -(31 / 5)))
    assert corrected["values"]["x"]["expected"] == 30


def test_what_is_odd_about_the_late_event_itself_begins_an_alert():
    processor = new()
    assert alerts(processor.process(readings((0, 10), (10, 11), (20, 12)))) == []
    (fired,) = alerts(processor.process(readings((15, 80), first=3)))
    assert (fired["state"], fired["values"]["x"]["expected"]) == ("firing", 11)


def test_an_alert_from_before_the_late_event_stays_as_it_is():
    processor = new()
    (fired,) = alerts(processor.process(readings((0, 10), (10, 60))))
    assert alerts(processor.process(readings((20, 61), (15, 60), first=2))) == []
    assert fired["state"] == "firing"


def test_without_the_option_events_are_scored_as_they_come():
    processor = new(given=TelemetrySettings())
    (fired,) = alerts(processor.process(readings((0, 10), (10, 11), (20, 46))))
    result = processor.process(readings((13, 23), (17, 35), first=3))
    assert "rescored" not in result.outcomes
    assert [alert["alert_id"] for alert in alerts(result)] in ([], [fired["alert_id"]])
    assert all(alert["state"] != "retracted" for alert in alerts(result))


def test_an_event_later_than_the_bound_is_scored_as_it_comes():
    processor = new(given=TelemetrySettings(late=LateSettings(rescore_within=5)))
    processor.process(readings((0, 10), (10, 11), (20, 12)))
    result = processor.process(readings((14, 12), first=3))
    assert (result.outcomes["rescored"], result.outcomes["scored"]) == (0, 1)


def test_an_event_beyond_the_bound_stays_learned_when_a_later_one_is_put_in_order() -> None:
    detector, in_order = Auto(), Auto()
    past = RecentPast(LateSettings(rescore_within=60))
    for t in range(200):
        past.score(detector, {"flow": t % 7.0}, float(t), frozen=False)
    past.score(detector, {"flow": 3.0}, 20.0, frozen=False)  # beyond the bound: learned as it comes
    past.score(detector, {"flow": 4.0}, 190.5, frozen=False)  # within: what came after it is learned anew
    for t in [*map(float, range(191)), 190.5, *map(float, range(191, 200))]:
        in_order.process_one({"flow": 4.0 if t == 190.5 else t % 7.0}, t)
    in_order.process_one({"flow": 3.0}, 20.0)
    assert detector.snapshot() == in_order.snapshot()


def test_a_late_event_on_which_the_detector_fails_is_a_dead_letter_and_changes_nothing():
    with_it, without = new(), new()
    for processor in (with_it, without):
        processor.process(readings((0, 10), (10, 11), (20, 12)))
    result = with_it.process(readings((15, -1), first=3))
    assert result.outcomes["dead_letter"] == 1
    rest = readings((30, 40), first=4)
    assert alerts(with_it.process(rest)) == alerts(without.process(rest)) != []


@given(st.lists(st.floats(0, 100), min_size=1, max_size=150), st.data())
@settings(deadline=None, max_examples=40)
def test_it_learns_what_it_would_have_learned_in_order(values, data):
    delays = data.draw(st.lists(st.integers(0, 40), min_size=len(values), max_size=len(values)))
    in_order = [(float(t), {"x": value}) for t, value in enumerate(values)]
    as_they_come = sorted(in_order, key=lambda event: event[0] + delays[int(event[0])])
    expected, detector = Auto(), Auto()
    for t, x in in_order:
        expected.process_one(x, t)
    past = RecentPast(LateSettings(rescore_within=40, rescore_events=1000))
    for number, (t, x) in enumerate(as_they_come):
        past.score(detector, x, t, frozen=False)
        if number % 50 == 25:
            written = msgspec.msgpack.encode(past.snapshot())
            past = RecentPast(LateSettings(rescore_within=40, rescore_events=1000))
            past.restore(msgspec.msgpack.decode(written, type=type(past.snapshot())))
    assert detector.snapshot() == expected.snapshot()


def test_it_keeps_no_more_than_its_bounds_ask_for():
    past, detector = RecentPast(LateSettings(rescore_within=1e6, rescore_events=100)), Step()
    for t in range(1000):
        past.score(detector, {"x": 1.0}, float(t), frozen=False)
    kept = past.snapshot()
    assert 100 <= len(kept.events) < 100 + 2 * EVERY
    assert len(kept.states) <= 100 // EVERY + 2
    past = RecentPast(LateSettings(rescore_within=10))
    for t in range(1000):
        past.score(detector, {"x": 1.0}, float(t), frozen=False)
    assert len(past.snapshot().events) < 10 + 2 * EVERY


arrivals = st.lists(st.tuples(st.integers(0, 60), st.sampled_from([10.0, 12.0, 30.0, 60.0])), min_size=5, max_size=40)


@given(arrivals, st.lists(st.integers(1, 5), min_size=1, max_size=4), st.data())
@settings(deadline=None, max_examples=60)
def test_crashes_change_nothing(told, sizes, data):
    events = readings(*((10.0 * i - delay, x) for i, (delay, x) in enumerate(told, 10)))
    assert_crashes_change_nothing(new, events, [], sizes, data)


@given(arrivals)
@settings(deadline=None, max_examples=100)
def test_every_version_follows_from_the_one_before(told):
    events = readings(*((10.0 * i - delay, x) for i, (delay, x) in enumerate(told, 10)))
    versions: dict[str, list[dict[str, Any]]] = {}
    for alert in alerts(new().process(events)):
        versions.setdefault(alert["alert_id"], []).append(alert)
    for life in versions.values():
        assert [alert["version"] for alert in life] == list(range(1, len(life) + 1))
        assert all(alert["state"] not in ("resolved", "retracted") for alert in life[:-1])
        assert [step["state"] for step in life[-1]["history"]][-1] == life[-1]["state"]
