"""Whatever telemetry brings is borne: wild values, constants, counters, gaps, duplicates, faults that last."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.auto import Auto


def noise(count: int, middle: float = 50.0, seed: int = 1, scale: float = 1.0) -> list[float]:
    chance = random.Random(seed)
    return [scale * chance.gauss(middle, 1) for _ in range(count)]


def p_values(detector: Auto, values: list[float], start: int = 0) -> list[float]:
    return [detector.process_one({"x": value}, 60.0 * (start + i)).p_value for i, value in enumerate(values)]


@pytest.mark.parametrize("scale", [1.0, 1e-300, 1e-30, 1e30, 1e100])
def test_the_unit_does_not_matter(scale):
    detector = Auto()
    usual = p_values(detector, noise(1500, scale=scale))
    assert sum(p <= 0.01 for p in usual[500:]) <= 20
    assert p_values(detector, [80.0 * scale], 1500)[0] <= 1e-4


def test_one_wild_value_is_forgotten():
    detector = Auto()
    p_values(detector, noise(1500))
    p_values(detector, [1e300], 1500)
    after = p_values(detector, noise(1500, seed=2), 1501)
    assert sum(p <= 0.05 for p in after[-300:]) <= 30


def test_a_constant_raises_nothing_until_it_changes():
    detector = Auto()
    assert min(p_values(detector, [5.0] * 1000)) > 0.5
    assert p_values(detector, [6.0], 1000)[0] <= 1e-3


def test_a_change_of_unit_is_found_once_and_becomes_the_new_normal():
    detector = Auto()
    p_values(detector, noise(2000))
    after = p_values(detector, noise(1500, seed=2, scale=1000.0), 2000)
    assert after[0] <= 1e-3
    assert max(after[:20]) < 0.05
    assert sum(p <= 0.05 for p in after[500:]) <= 30


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_lasting_fault_is_neither_learned_at_once_nor_an_alarm_for_ever(seed):
    detector = Auto()
    p_values(detector, noise(2000, seed=seed))
    after = p_values(detector, noise(3000, 58.0, seed=seed + 10), 2000)
    assert max(after[1:21]) < 0.05
    assert sum(p <= 0.05 for p in after[1500:]) <= 75


def test_a_counter_that_grows_and_is_reset_raises_nothing_and_a_change_of_its_rate_does():
    detector, chance, count, usual = Auto(), random.Random(6), 100.0, []
    for i in range(4000):
        count = chance.random() if i % 700 == 699 else count + chance.expovariate(1 / 5)
        usual.append(detector.process_one({"x": count}, 60.0 * i).p_value)
    assert all(min(usual[i - 1 : i + 3]) > 1e-3 for i in range(699, 4000, 700))
    assert sum(p <= 0.01 for p in usual[500:]) <= 52
    found = []
    for i in range(4000, 4020):
        count += chance.expovariate(1 / 40)
        found.append(detector.process_one({"x": count}, 60.0 * i).p_value)
    assert min(found[:5]) <= 1e-3


def test_duplicates_late_events_and_a_gap_do_not_cry_wolf():
    detector, chance, got = Auto(), random.Random(3), []
    for i in range(2000):
        events = [(60.0 * i, chance.gauss(0, 1))]
        events += events * (i % 10 == 5) + [(60.0 * i - 600.0, chance.gauss(0, 1))] * (i % 50 == 7)
        got += [detector.process_one({"x": value}, t).p_value for t, value in events]
    assert sum(p <= 0.01 for p in got[500:]) / len(got[500:]) <= 0.025
    assert sum(p <= 0.01 for p in p_values(detector, noise(200, 0.0), 6000)) <= 6


def test_values_may_appear_and_disappear():
    detector, chance = Auto(), random.Random(4)
    for i in range(3000):
        x = {"a": chance.gauss(0, 1)} if not 1500 <= i < 2200 else {}
        score = detector.process_one(x | ({"b": chance.gauss(9, 1)} if i > 800 else {}), float(i))
        assert i < 500 or score.p_value > 1e-4


WILD = {
    "heavy": lambda chance: chance.paretovariate(0.5) * chance.choice((-1, 1)),
    "huge and tiny": lambda chance: chance.choice((1e300, -1e300, 1e-300, 0.0, 1.0)),
    "usual": lambda chance: chance.gauss(0, 1),
}


@pytest.mark.parametrize("wild", WILD)
@pytest.mark.parametrize(("values", "bytes_"), [(1, 8_192), (8, 65_536)])
def test_the_state_is_bounded_however_wild_the_values(wild, values, bytes_):
    detector, chance = Auto(), random.Random(1)
    for i in range(2000):
        detector.process_one({f"value {k}": WILD[wild](chance) for k in range(values)}, float(i))
    assert len(detector.snapshot()) <= bytes_


@given(st.lists(st.dictionaries(st.sampled_from("abc"), st.floats(allow_nan=False, allow_infinity=False), min_size=1),
                max_size=60))  # fmt: skip
@settings(max_examples=50, deadline=None)
def test_every_finite_value_is_borne(stream):
    detector = Auto()
    for i, x in enumerate(stream):
        score = detector.process_one(x, float(i))
        assert 0.0 < score.p_value <= 1.0
        assert math.isfinite(score.anomaly_score)
    detector.restore(detector.snapshot())
