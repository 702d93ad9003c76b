"""A score says what was expected, which value it was, since when, and what the detector does not know yet."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

from detectors.auto import Auto

START, FAULT = 1e6, 1000


def after_usual(seed: int) -> tuple[Auto, random.Random]:
    detector, chance = Auto(), random.Random(seed)
    for i in range(FAULT):
        detector.process_one({"flow": chance.gauss(50, 1), "heat": chance.gauss(0, 1)}, START + 60.0 * i)
    return detector, chance


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("kind", ["spike", "level", "flatline"])
def test_a_fault_is_named_with_its_value_and_its_start(kind, seed):
    detector, chance = after_usual(seed)
    found = []
    for i in range(60):
        flow = {"spike": 62.0 if i == 0 else chance.gauss(50, 1), "level": chance.gauss(58, 1), "flatline": 50.0}[kind]
        score = detector.process_one({"flow": flow, "heat": chance.gauss(0, 1)}, START + 60.0 * (FAULT + i))
        found += [(score, s) for s in score.signals if s.kind == kind and s.name == "flow" and s.p_value <= 1e-3]
    assert found
    score, signal = found[0]
    assert abs(signal.started_at - (START + 60.0 * FAULT)) <= 60.0 * 15
    assert signal.direction == (0 if kind == "flatline" else 1)
    assert score.values["flow"].contribution > 0.7


def test_what_is_expected_lies_within_its_bounds_and_usual_values_do_too():
    detector, chance = after_usual(4)
    inside = 0
    for i in range(1000):
        x = {"flow": chance.gauss(50, 1), "heat": chance.gauss(0, 1)}
        score = detector.process_one(x, START + 60.0 * (FAULT + i))
        for value in score.values.values():
            assert value.lower < value.expected < value.upper
            inside += value.lower <= value.value <= value.upper
    assert inside / 2000 == pytest.approx(0.99, abs=0.01)


def test_auto_explains_which_value_it_was():
    detector, _ = after_usual(5)
    score = detector.process_one({"flow": 80.0, "heat": 0.0}, START + 60.0 * FAULT)
    assert score.values["flow"].contribution > 0.7
    assert score.values["flow"].lower < 50 < score.values["flow"].upper < 80.0
    assert (score.signals[0].name, score.signals[0].direction) == ("flow", 1)


def test_what_is_missing_is_said_and_in_time_there_is_nothing():
    detector, chance, said = Auto(), random.Random(1), []
    for i in range(3000):
        said.append(detector.process_one({"a": chance.gauss(0, 1), "b": chance.gauss(0, 1)}, 60.0 * i))
    assert {one.split(":")[0] for one in said[0].missing} == {
        "level", "pattern", "variance", "trend and rare", "season", "joint",
    }  # fmt: skip
    assert all(len(after.missing) <= len(before.missing) for before, after in pairwise(said))
    assert [score.warm_up for score in said] == sorted(score.warm_up for score in said)
    assert said[-1].missing == ()
    assert said[-1].warm_up == 1.0
