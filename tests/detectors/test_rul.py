"""How long machines will last is learned from those that have failed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.artefact import Artefact, ArtefactError
from detectors.rul import Condition, Fleet, History, Layout
from detectors.rul.packed import Schema, pack, unpack
from detectors.rul.validation import train
from tests.detectors.machines import COLUMNS, machines


def seen(fleet: Fleet, machine: History, left: int) -> Condition:
    """Return the condition of a machine when it has so much left."""
    condition = Condition(fleet.layout)
    for time, values in zip(machine.times[: len(machine.times) - left].tolist(), machine.values, strict=False):
        condition.learn_one(values, time)
    return condition


@pytest.fixture(scope="module")
def fleet() -> Fleet:
    return train(machines(30), COLUMNS)[0]


def test_a_worn_machine_is_told_how_long_it_lasts(fleet: Fleet) -> None:
    errors = [fleet.predict_one(seen(fleet, machine, 20)).rul - 20 for machine in machines(20, seed=1)]
    assert np.sqrt(np.mean(np.square(errors))) < 5


def test_a_machine_as_good_as_new_is_told_the_horizon(fleet: Fleet) -> None:
    young = [fleet.predict_one(seen(fleet, machine, 75)) for machine in machines(20, seed=2)]
    assert np.mean([life.rul for life in young]) > 0.85 * fleet.layout.horizon
    assert np.mean([life.upper >= 75 for life in young]) > 0.85


def test_intervals_cover_as_often_as_they_say(fleet: Fleet) -> None:
    covered = [
        life.lower <= left <= life.upper
        for machine in machines(40, seed=3)
        for left in (5, 15, 30, 45)
        for life in [fleet.predict_one(seen(fleet, machine, left))]
    ]
    assert 0.8 < np.mean(covered) < 0.98


def test_health_falls_from_one_to_nothing_and_no_failure_taught_it(fleet: Fleet) -> None:
    machine = machines(1, seed=4)[0]
    new, worn, broken = (fleet.predict_one(seen(fleet, machine, left)).health for left in (60, 20, 0))
    assert new > worn > broken
    assert new > 0.8
    assert broken < 0.25


def test_the_reasons_are_failed_machines_that_were_alike_and_what_failed() -> None:
    fleet, _ = train(machines(30, modes=("bearing", "seal")), COLUMNS)
    broken = machines(2, seed=5, modes=("bearing", "seal"))
    for machine in broken:
        life = fleet.predict_one(seen(fleet, machine, 5))
        assert max(life.modes, key=life.modes.__getitem__) == machine.mode
        assert len(life.like) == 3
        assert sum(life.modes.values()) == pytest.approx(1.0)


def test_more_failures_make_it_better() -> None:
    few, many = (train(machines(count), COLUMNS)[1] for count in (5, 40))
    assert few is not None
    assert many is not None
    assert many.rmse < few.rmse


def test_one_failure_is_enough_to_begin_but_not_for_an_interval() -> None:
    fleet, metrics = train(machines(1), COLUMNS)
    life = fleet.predict_one(seen(fleet, machines(1, seed=6)[0], 30))
    assert metrics is None
    assert (life.lower, life.upper) == (0.0, fleet.rows.left.max())


def test_nothing_can_be_learned_from_nothing() -> None:
    with pytest.raises(ValueError, match="no machine that has failed"):
        train([], COLUMNS)


def test_machines_that_report_half_as_often_are_told_much_the_same(fleet: Fleet) -> None:
    for machine in machines(5, seed=7):
        rarely = replace(machine, times=machine.times[::-2][::-1], values=machine.values[::-2][::-1])
        often = fleet.predict_one(seen(fleet, machine, 20)).rul
        assert fleet.predict_one(seen(fleet, rarely, 10)).rul == pytest.approx(often, abs=12)


def test_a_sensor_that_falls_silent_keeps_what_it_told(fleet: Fleet) -> None:
    condition = seen(fleet, machines(1, seed=8)[0], 20)
    before = condition.features()
    condition.learn_one([np.nan, np.nan, np.nan], condition.age + 2)
    after = condition.features()
    assert np.array_equal(before[:6], after[:6])
    assert after[6] == before[6] + 1


@given(st.lists(st.lists(st.floats(-1e6, 1e6) | st.just(float("nan")), min_size=2, max_size=2), min_size=1, max_size=8))
def test_a_condition_goes_through_bytes_to_the_last_bit(readings: list[list[float]]) -> None:
    layout = Layout(("a", "b"), 10.0)
    condition = Condition(layout)
    for time, reading in enumerate(readings):
        condition.learn_one(reading, float(time))
    again = Condition.decode(layout, condition.encode())
    for one in (condition, again):
        one.learn_one([1.0, 2.0], 20.0)
    assert condition.features().tobytes() == again.features().tobytes()


def test_a_condition_of_other_sensors_is_refused() -> None:
    with pytest.raises(ValueError, match="not one of 3 sensors"):
        Condition.decode(Layout(COLUMNS, 10.0), Condition(Layout(("a",), 10.0)).encode())


def artefact(fleet: Fleet) -> Artefact:
    schema = Schema(unit="unit", time="cycle", columns=COLUMNS, horizon=fleet.layout.horizon)
    return pack(fleet, None, schema, name="pumps", created_at="2026-01-01T00:00:00Z", facts={})


def test_a_model_read_back_foretells_the_same_to_the_last_bit(fleet: Fleet) -> None:
    again, schema = unpack(Artefact.decode(artefact(fleet).encode()))
    condition = seen(fleet, machines(1, seed=9)[0], 25)
    assert schema.columns == COLUMNS
    assert again.predict_one(condition) == fleet.predict_one(condition)


def test_one_machine_at_a_time_or_many_at_once_is_the_same(fleet: Fleet) -> None:
    features = np.array([seen(fleet, machine, 30).features() for machine in machines(7, seed=10)])
    alone = np.concatenate([fleet.predict(row[None]) for row in features])
    assert alone.tobytes() == fleet.predict(features).tobytes()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda text: text.replace(b'"pumps"', b'"pumqs"'), "signature is broken"),
        (lambda text: text.replace(b'"signature"', b'"signatura"'), "missing or broken"),
        (lambda text: text.replace(b'"version": 1', b'"version": 2'), "format 2, this program reads 1: update"),
        (lambda text: text.replace(b'"format": "tocsin-model"', b'"format": "other"'), "no model that"),
        (lambda text: text[: len(text) // 2], "this is no model"),
        (lambda text: b"[1]", "no model that"),
    ],
)
def test_a_model_that_is_not_as_it_was_written_is_refused_with_the_reason(fleet: Fleet, change, said: str) -> None:
    with pytest.raises(ArtefactError, match=said):
        Artefact.decode(change(artefact(fleet).encode()))


def test_with_a_key_only_what_that_key_signed_is_taken(fleet: Fleet) -> None:
    signed = artefact(fleet).encode(b"secret")
    assert Artefact.decode(signed, b"secret").name == "pumps"
    with pytest.raises(ArtefactError, match="signed with another key"):
        Artefact.decode(signed, b"other")
    with pytest.raises(ArtefactError, match="not signed with a key"):
        Artefact.decode(artefact(fleet).encode(), b"secret")
    with pytest.raises(ArtefactError, match=r"set state\.key"):
        Artefact.decode(signed)


def test_a_model_whose_parts_do_not_fit_is_refused(fleet: Fleet) -> None:
    whole = artefact(fleet)
    for schema, said in (
        ({**whole.schema, "columns": ["heat"]}, "wrong schema"),
        ({**whole.schema, "horizon": "far"}, "wrong schema"),
    ):
        changed = Artefact(kind=whole.kind, name="x", created_at="", schema=schema, metrics={}, payload=whole.payload)
        with pytest.raises(ArtefactError, match=said):
            unpack(changed)


def test_a_model_for_something_else_is_refused(fleet: Fleet) -> None:
    other = Artefact.of({}, kind="clicks", name="ads", created_at="", schema={}, metrics={})
    with pytest.raises(ArtefactError, match="is for clicks"):
        unpack(other)
