"""Sources leave memory and come back, or are forgotten for good; neither changes what is scored."""

from __future__ import annotations

import json
import random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.auto import Auto
from streams.kept_states import KeptStates
from streams.processor import Record, Result
from streams.telemetry import TelemetryProcessor
from streams.telemetry_settings import TelemetrySettings
from tests.crashes import store
from tests.streams.test_feedback_and_budget import EVENTS, Worker, labels, telemetry, undisturbed

DAY = 86_400.0
START = 1_767_225_600.0


class Forgetful(Worker):
    """Writes a checkpoint after each batch and lets everything leave memory."""

    def process(self, count: int) -> None:
        super().process(count)
        self.checkpoint()
        self.processor.put_away(0)
        assert self.processor.models() == 0


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 40), st.integers(1, 40))
def test_results_do_not_depend_on_which_sources_are_in_memory(seed, size):
    events = telemetry(seed)
    worker = Forgetful(events, labels(seed, events))
    while worker.position < EVENTS:
        worker.process(size)
    assert worker.published == undisturbed(seed)


def record(offset: int, source: str, value: float, at: float, **more: Any) -> Record:
    event = {"source": source, "timestamp": at, "values": {"x": value}, **more}
    return Record("telemetry", 0, offset, at, source.encode(), json.dumps(event).encode())


def wave(source: str, first: int, count: int, start: float = START) -> list[Record]:
    chance = random.Random(first)
    return [record(first + i, source, chance.gauss(10, 1), start + 60.0 * i) for i in range(count)]


def processor(states: dict[str, bytes], **more: Any) -> TelemetryProcessor:
    return TelemetryProcessor(TelemetrySettings(scores="all", **more), 0, states, Auto)


def told(result: Result, topic: str = "alerts") -> list[dict[str, Any]]:
    return [json.loads(output.value) for output in result.outputs if output.topic == topic]


def test_sources_that_have_changed_stay_in_memory():
    states: dict[str, bytes] = {}
    live = processor(states)
    for number, source in enumerate("abcd"):
        live.process(wave(source, number * 10, 10))
    store(states, live.changes())
    live.process(wave("a", 40, 1, START + 3600))
    assert live.put_away(live.kept_bytes() // 2) == 2
    assert live.models() == 2
    assert live.put_away(0) == 1
    assert live.models() == 1


def test_of_sources_that_send_in_turn_most_are_in_memory_when_they_send_again():
    class Plain:
        def snapshot(self) -> bytes:
            return b"."

        def restore(self, state: bytes) -> None:
            pass

    stored: dict[str, bytes] = {}
    missed = [0]

    def look_up(name: str) -> bytes | None:
        missed[0] += name in stored
        return stored.get(name)

    kept = KeptStates(lambda _: Plain(), look_up, overhead=99)
    for turn in range(10):
        for number in range(1000):
            kept.change(f"s{number}")
            if kept.bytes > 95_000:
                stored.update({name: state for name, state in kept.changes() if state is not None})
                kept.put_away(85_500)
        missed[0] *= turn > 0
    assert missed[0] / 9_000 < 0.25


def test_a_source_out_of_memory_still_falls_silent_and_is_heard_again():
    states: dict[str, bytes] = {}
    live = processor(states)
    live.process(wave("pump-7", 0, 300))
    assert told(live.tick(START + 60 * 300)) == []
    store(states, live.changes())
    live.put_away(0)
    (silent,) = told(live.tick(START + 60 * 300 + 3600))
    assert (silent["source"], silent["kind"], silent["state"]) == ("pump-7", "silence", "firing")
    store(states, live.changes())
    live.put_away(0)
    (heard,) = told(live.process(wave("pump-7", 300, 1, START + 60 * 500)))[:1]
    assert (heard["alert_id"], heard["state"], heard["expired"]) == (silent["alert_id"], "resolved", False)


def test_after_a_restart_a_stored_source_falls_silent_without_being_taken_up_before():
    states: dict[str, bytes] = {}
    live = processor(states)
    live.process([event for number in range(20) for event in wave(f"s{number}", number * 100, 100)])
    store(states, live.changes())
    again = processor(states)
    assert told(again.tick(START + 60 * 101)) == []
    assert again.models() == 0
    assert {alert["kind"] for alert in told(again.tick(START + DAY))} == {"silence"}


def with_an_alert(states: dict[str, bytes]) -> TelemetryProcessor:
    live = processor(states)
    fired = live.process([*wave("pump-7", 0, 300), record(300, "pump-7", 1e6, START + 60 * 300)])
    assert {alert["state"] for alert in told(fired)} == {"firing"}
    store(states, live.changes())
    return live


def test_a_source_silent_for_long_is_forgotten_and_its_alerts_end_as_expired():
    states: dict[str, bytes] = {}
    live = with_an_alert(states)
    live.tick(START + 2 * DAY)
    store(states, live.changes())
    result = live.tick(START + 32 * DAY)
    ended = told(result)
    assert result.forgotten == 1
    assert {(alert["state"], alert["expired"]) for alert in ended} == {("resolved", True)}
    assert {alert["kind"] for alert in ended} >= {"silence"}
    assert all("Expired" in alert["summary"] for alert in ended)
    store(states, live.changes())
    assert [key for key in states if "pump-7" in key or "\x00id/" in key] == []
    assert live.models() == 0


def test_whether_a_source_is_forgotten_when_it_sends_again_does_not_depend_on_whether_its_state_is_gone():
    results = []
    for ticks in (False, True):
        states: dict[str, bytes] = {}
        live = with_an_alert(states)
        outputs: list[bytes] = []
        if ticks:
            live.tick(START + DAY)
            store(states, live.changes())
            outputs += [output.value for output in live.tick(START + 33 * DAY).outputs]
            store(states, live.changes())
        after = live.process(wave("pump-7", 301, 50, START + 34 * DAY))
        results.append((outputs + [o.value for o in after.outputs if o.topic == "alerts"], told(after, "scores")))
    (untouched, scores), (ticked, scores_after_a_tick) = results
    assert scores == scores_after_a_tick
    assert set(untouched) <= set(ticked)
    assert scores[0]["warm_up"] < 0.05


def test_a_source_can_be_kept_for_good():
    states: dict[str, bytes] = {}
    live = processor(states, forget_after=None)
    live.process(wave("pump-7", 0, 300))
    store(states, live.changes())
    live.tick(START + 1)
    assert live.tick(START + 1000 * DAY).forgotten == 0
    (score, *_) = told(live.process(wave("pump-7", 300, 1, START + 1000 * DAY)), "scores")
    assert score["warm_up"] > 0.5


def test_a_label_finds_its_alert_though_the_source_is_out_of_memory():
    states: dict[str, bytes] = {}
    live = with_an_alert(states)
    key = next(key for key in states if key.startswith("\x00id/"))
    live.put_away(0)
    label = {"id": key.removeprefix("\x00id/"), "label": False, "timestamp": START + 60 * 300.5}
    live.absorb([Record("labels", 0, 0, START + 60 * 300.5, None, json.dumps(label).encode())])
    ended = told(live.process(wave("pump-7", 301, 1, START + 60 * 301)))
    assert [alert["state"] for alert in ended if alert["alert_id"] in key] == ["retracted"]


def test_states_from_before_there_was_an_index_of_ids_are_read_through_once():
    states: dict[str, bytes] = {}
    with_an_alert(states)
    index = [key for key in states if key.startswith("\x00id")]
    alert, *_ = (key.removeprefix("\x00id/") for key in index if key != "\x00ids")
    for key in index:
        del states[key]
    live = processor(states)
    label = {"id": alert, "label": False, "timestamp": START + 60 * 300.5}
    live.absorb([Record("labels", 0, 0, START + 60 * 300.5, None, json.dumps(label).encode())])
    store(states, live.changes())
    assert f"\x00id/{alert}" in states
