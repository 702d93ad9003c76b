"""What is foretold of sources: limits that will be crossed, and machines that will fail."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any

import hypothesis
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from pydantic import ValidationError

from detectors.rul import Layout
from detectors.rul.packed import Schema, pack
from detectors.rul.validation import train
from streams.fleet_book import ModelVersion
from streams.forecast_settings import ForecastSettings
from streams.processor import Record, Result
from streams.telemetry import TelemetryProcessor
from streams.telemetry_settings import TelemetrySettings
from tests.crashes import by_offset, over_several_lives
from tests.detectors.machines import COLUMNS, machines
from tests.streams.told import Told

START = 1_767_225_600.0
STEP = 60.0


def new(states: Mapping[str, bytes] | None = None, key: bytes | None = None, **settings: Any) -> TelemetryProcessor:
    return TelemetryProcessor(TelemetrySettings(**settings), 0, states or {}, Told, key=key)


def event(offset: int, values: Mapping[str, float], source: str = "pump-7", **attributes: str) -> Record:
    """Return an event of a minute, produced at its time."""
    said = {"source": source, "timestamp": START + STEP * offset, "values": {"p": 1.0, "x": 0.0, **values}}
    value = json.dumps(said | ({"attributes": attributes} if attributes else {})).encode()
    return Record("telemetry", 0, offset, START + STEP * offset, source.encode(), value)


def heat(of: Callable[[int], float], count: int = 400) -> list[Record]:
    draw = random.Random(0)
    return [event(minute, {"heat": 60 + draw.gauss(0, 1) + of(minute)}) for minute in range(count)]


def limit(**values: float) -> Record:
    policy = {"name": "hot", "values": {"heat": values}}
    said = {"name": "hot", "version": 1, "author": "ann", "at": START - 60, "policy": policy}
    return Record("policies", 0, 0, START - 60, b"hot@1", json.dumps(said).encode())


def told(result: Result, topic: str) -> list[dict[str, Any]]:
    return [json.loads(output.value) for output in result.outputs if output.topic == topic]


def warnings(result: Result) -> list[dict[str, Any]]:
    return [alert for alert in told(result, "alerts") if alert["kind"] == "early_warning"]


def ramp(minute: int, begin: int = 150, per_minute: float = 0.25) -> float:
    return max(minute - begin, 0) * per_minute


def test_a_value_that_moves_to_its_limit_is_warned_of_long_before() -> None:
    processor = new()
    processor.absorb([limit(max=110)])
    found = processor.process(heat(ramp))
    first, last = warnings(found)[0], warnings(found)[-1]
    crossing = 150 + 50 / 0.25
    at = json.loads(json.dumps(first["foreseen"]))
    assert (first["name"], first["direction"], at["limit"], at["unit"]) == ("heat", 1, 110, "s")
    warned = (_minute(first["updated_at"]) - 150) / (crossing - 150)
    assert warned < 0.5
    left = crossing - _minute(first["updated_at"])
    assert at["soonest"] / 60 < left * 1.5
    assert (last["state"], last["history"][-1]["note"]) == ("resolved", "it has come")
    assert [alert["kind"] for alert in told(found, "alerts")][-1] != "early_warning" or last["resolved_at"]


def test_a_value_that_stays_where_it_is_is_not_warned_of() -> None:
    processor = new()
    processor.absorb([limit(max=110, min=20)])
    assert warnings(processor.process(heat(lambda _: 0.0))) == []


def test_a_warning_is_withdrawn_when_the_trend_turns() -> None:
    processor = new()
    processor.absorb([limit(max=110)])
    last = warnings(processor.process(heat(lambda minute: ramp(min(minute, 270)) - ramp(minute, 280, 0.5), 500)))[-1]
    assert (last["state"], last["history"][-1]["note"]) == ("retracted", "the trend has turned")


def test_without_a_limit_nothing_is_forecast_unless_asked_for() -> None:
    assert told(new().process(heat(ramp, 100)), "forecasts") == []
    found = told(new(forecasts={"values": "all"}).process(heat(ramp, 100)), "forecasts")
    assert {"heat", "p", "x"} == set(found[-1]["values"])


def test_forecasts_are_published_every_five_minutes_with_bounds_and_errors() -> None:
    processor = new()
    processor.absorb([limit(max=110)])
    found = told(processor.process(heat(ramp)), "forecasts")
    assert len(found) == pytest.approx(400 / 5, abs=2)
    value = found[-1]["values"]["heat"]
    assert [round(one["seconds"] / STEP) for one in value["horizons"]][:2] == [1, 4]
    assert all(one["lower"] <= one["mean"] <= one["upper"] for one in value["horizons"])
    assert value["mase"] < 1.2
    assert value["breach"]["limit"] == 110


def follows(minute: int) -> float:
    """Return an inlet; the heat follows it ten minutes later."""
    return 5.0 * math.sin(minute / 7) + 5.0 * math.sin(minute / 3.3) + 5.0 * random.Random(minute // 20).gauss(0, 1)


def test_what_a_covariate_tells_in_advance_makes_forecasts_better() -> None:
    records = [event(i, {"heat": 60 + follows(i - 4), "inlet": follows(i)}) for i in range(1500)]
    settings = ({}, {"covariates": {"heat": ["inlet"]}})
    found = [told(new(forecasts={"values": "all", **one}).process(records), "forecasts") for one in settings]
    widths = [_width(forecasts[-1]["values"]["heat"]["horizons"][1]) for forecasts in found]
    assert widths[1] < 0.7 * widths[0]


@pytest.mark.parametrize("forecaster", [{"name": "river.HoltWinters"}, {"name": "river.SNARIMAX"}])
def test_a_forecaster_of_river_goes_on_after_a_restart_as_if_there_had_been_none(forecaster: dict[str, Any]) -> None:
    records = heat(lambda _: 0.0, 90)
    settings = {"forecasts": {"values": "all", "forecaster": forecaster}}
    whole = new(key=b"k", **settings).process(records)
    before = new(key=b"k", **settings)
    before.process(records[:50])
    after = new(dict(before.changes()), key=b"k", **settings)
    assert told(after.process(records[50:]), "forecasts")[-1] == told(whole, "forecasts")[-1]


def test_after_a_change_of_the_forecaster_values_are_learned_anew() -> None:
    records = heat(lambda _: 0.0, 300)
    before = new(forecasts={"values": "all"})
    before.process(records[:200])
    states = dict(before.changes())
    after = new(states, key=b"k", forecasts={"values": "all", "forecaster": {"name": "river.HoltWinters"}})
    (value,) = [one["values"]["heat"] for one in told(after.process(records[200:]), "forecasts")[-1:]]
    assert value["horizons"][0]["lower"] < 60 < value["horizons"][0]["upper"]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"covariates": {"heat": ["heat"]}}, "heat cannot tell of itself"),
        ({"covariates": {"heat": []}}, "heat has none"),
        ({"covariates": {"heat": ["a", "b", "c", "d", "e"]}}, "name 1 to 4 values, each once"),
        ({"forecaster": {"name": "river.Snarimax"}}, "did you mean 'river.SNARIMAX'"),
        ({"forecaster": {"name": "auto", "parameters": {"p": 1}}}, "takes no parameters"),
    ],
)
def test_forecasters_that_cannot_be_are_refused_with_the_reason(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        ForecastSettings(**wrong)


def test_nothing_is_learned_in_a_window_that_freezes() -> None:
    window = {"name": "test", "start": "2026-01-01T00:00:00Z", "duration": 36_000, "freeze": True}
    said = limit(max=110)
    policy = json.loads(said.value or b"")
    policy["policy"]["calendar"] = [window]
    processor = new()
    processor.absorb([replace(said, value=json.dumps(policy).encode())])
    assert told(processor.process(heat(ramp, 100)), "forecasts") == []


@lru_cache
def model(count: int = 30, horizon: float | None = None) -> dict[str, Any]:
    fleet, metrics = train(machines(count), COLUMNS, horizon)
    schema = Schema(unit="unit", time="cycle", columns=COLUMNS, horizon=fleet.layout.horizon)
    made = pack(fleet, metrics, schema, name="pumps", created_at="2026-01-01T00:00:00Z", facts={})
    found: dict[str, Any] = json.loads(made.encode())
    return found


def published(version: int = 1, at: float = -60.0, **said: Any) -> Record:
    value = ModelVersion(name="pumps", version=version, author="ann", at=START + at, **{"model": model(), **said})
    return Record("artefacts", 0, version, START + at, value.key, value.encode())


def life(machine: int = 0, seed: int = 3, source: str = "pump-7", first: int = 0) -> list[Record]:
    """Return a machine's life as events, the last of which says that it has failed."""
    found = machines(machine + 1, seed)[machine]
    readings = list(zip(found.times.tolist(), found.values.tolist(), strict=True))
    last = len(readings) - 1
    return [
        event(
            first + i,
            {"cycle": cycle, **dict(zip(COLUMNS, values, strict=True))},
            source,
            **({"failure": "bearing"} if i == last else {}),
        )
        for i, (cycle, values) in enumerate(readings)
    ]


def test_a_machine_is_told_how_long_it_lasts_and_warned_of_before_it_fails() -> None:
    processor = new()
    processor.absorb([published(source="pump-*")])
    events = life()
    found = processor.process(events)
    forecasts = told(found, "forecasts")
    assert forecasts[-1]["machine"]["model"] == "pumps"
    assert forecasts[-1]["machine"]["rul"] < 3
    near = forecasts[len(forecasts) - 16]["machine"]
    assert near["rul_lower"] <= 15 <= near["rul_upper"]
    first, last = warnings(found)[0], warnings(found)[-1]
    assert "likely to fail" in first["summary"]
    assert first["foreseen"]["unit"] == "cycle"
    assert len(events) - 1 - _minute(first["updated_at"]) > 5
    assert (last["state"], last["history"][-1]["note"]) == ("resolved", "it has come")


def test_a_failure_is_told_with_the_machines_life_and_a_new_one_begins() -> None:
    processor = new()
    processor.absorb([published()])
    first = life()
    found = processor.process([*first, *life(first=len(first))[:5]])
    (failure,) = told(found, "failures")
    assert (failure["source"], failure["mode"], failure["life"]) == ("pump-7", "bearing", len(first) - 1)
    assert 32 <= len(failure["ages"]) <= 65
    layout = Layout(tuple(failure["columns"]), failure["horizon"])
    assert len(failure["conditions"]) * 3 // 4 >= 4 * len(failure["ages"]) * len(layout.features)
    assert told(found, "forecasts")[-1]["machine"]["rul"] > 30


def test_a_model_of_another_horizon_learns_from_a_failure_only_what_came_under_it() -> None:
    processor = new()
    processor.absorb([published()])
    events = life()
    processor.process(events[:40])
    processor.absorb([published(2, events[40].timestamp - START - 3, model=model(8, horizon=120.0))])
    (failure,) = told(processor.process(events[40:]), "failures")
    assert failure["horizon"] == 120.0
    assert min(failure["ages"]) >= 39


def test_other_sources_are_no_machines_of_the_model() -> None:
    processor = new()
    processor.absorb([published(source="pump-*")])
    assert told(processor.process(life(source="fan-1")), "forecasts") == []


def test_a_machine_whose_events_do_not_tell_the_models_time_is_told_nothing() -> None:
    processor = new()
    processor.absorb([published()])
    assert told(processor.process([event(0, {"heat": 1.0})]), "forecasts") == []


def test_a_model_that_cannot_be_used_is_refused_and_the_one_before_goes_on() -> None:
    processor = new()
    processor.absorb([published()])
    broken = [
        published(2, -50.0, model={**model(), "created_at": "2027"}),
        published(3, -50.0, model={**model(), "version": 2}),
        published(4, -50.0, model={**model(), "schema": {}}),
    ]
    letters = told(processor.absorb(broken), "dead-letters")
    assert ["signature is broken" in letters[0]["detail"], "update this program" in letters[1]["detail"]] == [True] * 2
    assert len(letters) == 3
    assert told(processor.process(life()), "forecasts")[-1]["machine"]["version"] == 1


def test_with_a_key_what_it_has_not_signed_is_refused() -> None:
    (letter,) = told(new(key=b"secret").absorb([published()]), "dead-letters")
    assert "not signed with a key" in letter["detail"]


def test_a_version_counts_from_two_seconds_after_it_on_and_may_be_withdrawn() -> None:
    processor = new()
    processor.absorb([published(), published(2, 30 * STEP), published(3, 60 * STEP, model=None)])
    found = told(processor.process(life()), "forecasts")
    versions = [(one["timestamp"], one["machine"]["version"]) for one in found]
    assert [version for _, version in versions] == [1] * 31 + [2] * 30
    assert _minute(versions[-1][0]) == 60


@given(sizes=st.lists(st.integers(20, 80), min_size=1, max_size=3), data=st.data())
@hypothesis.settings(max_examples=5, deadline=None)
def test_a_crash_anywhere_changes_nothing_of_what_is_foretold(sizes: list[int], data: Any) -> None:
    records = [*heat(lambda minute: ramp(minute, 80, 0.5), 130), *life(source="pump-8", first=130)[-60:]]
    said = [limit(max=110), published(source="pump-8")]

    def make(states: Mapping[str, bytes]) -> TelemetryProcessor:
        processor = new(states)
        processor.absorb(said)
        return processor

    whole = by_offset(make({}).process(records).outputs)
    found = over_several_lives(make, records, lambda _: said, sizes, data)
    assert {offset: one for offset, one in found.items() if one} == whole


def _width(bounds: Mapping[str, float]) -> float:
    return bounds["upper"] - bounds["lower"]


def _minute(time: str) -> float:
    return (datetime.fromisoformat(time).timestamp() - START) / STEP
