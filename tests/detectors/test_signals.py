"""Each signal finds what it is for, soon, and leaves to others what is theirs."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

from detectors.auto import Auto
from detectors.base import Detector
from tests.detectors.every_detector import SIGNALS


def noise(count: int, middle: float = 20.0, spread: float = 1.0, seed: int = 1) -> list[float]:
    chance = random.Random(seed)
    return [chance.gauss(middle, spread) for _ in range(count)]


USUAL = noise(2000)
FAULTS: dict[str, list[float]] = {
    "spike": [32.0, *noise(50, seed=2)],
    "level": noise(60, 23.0, seed=3),
    "trend": [value + i * 0.02 for i, value in enumerate(noise(300, seed=4))],
    "wider": noise(60, spread=6.0, seed=5),
    "narrower": noise(60, spread=0.02, seed=6),
    "flatline": [20.0] * 60,
}


def found_after(detector: Detector, before: Sequence[float], then: Sequence[float]) -> int | None:
    """Return how many events after a change the detector is sure of it."""
    for i, value in enumerate(before):
        detector.process_one({"x": value}, float(i))
    scores = [detector.process_one({"x": value}, float(len(before) + i)) for i, value in enumerate(then)]
    return next((i for i, score in enumerate(scores) if score.p_value <= 1e-3), None)


@pytest.mark.parametrize(
    ("signal", "fault", "within"),
    [
        ("spike", "spike", 0),
        ("level", "level", 10),
        ("trend", "trend", 100),
        ("variance", "wider", 10),
        ("variance", "narrower", 20),
        ("pattern", "spike", 0),
        ("rare", "spike", 0),
        ("flatline", "flatline", 30),
        ("auto", "spike", 0),
        ("auto", "level", 10),
        ("auto", "trend", 100),
        ("auto", "wider", 10),
        ("auto", "narrower", 20),
        ("auto", "flatline", 30),
    ],
)
def test_a_signal_finds_what_it_is_for(signal, fault, within):
    detector = Auto() if signal == "auto" else SIGNALS[signal]()
    after = found_after(detector, USUAL, FAULTS[fault])
    assert after is not None
    assert after <= within


@pytest.mark.parametrize(
    ("signal", "fault"),
    [
        ("spike", "trend"),
        ("spike", "narrower"),
        ("spike", "flatline"),
        ("level", "narrower"),
        ("variance", "trend"),
        ("pattern", "narrower"),
        ("flatline", "spike"),
        ("flatline", "level"),
        ("flatline", "wider"),
    ],
)
def test_a_signal_leaves_to_others_what_is_theirs(signal, fault):
    assert found_after(SIGNALS[signal](), USUAL, FAULTS[fault]) is None


def test_a_shape_that_runs_backwards_is_a_new_pattern_and_no_odd_value():
    usual = [i % 20 / 2 + value for i, value in enumerate(noise(2000, 0.0, 0.1))]
    backwards = [(19 - i % 20) / 2 + value for i, value in enumerate(noise(60, 0.0, 0.1, seed=2))]
    assert found_after(SIGNALS["pattern"](), usual, backwards) <= 25
    for other in ("spike", "level", "rare"):
        assert found_after(SIGNALS[other](), usual, backwards) is None


def test_a_value_between_two_modes_is_rare_though_near_the_mean():
    usual = [10 * (i // 7 % 2) + value for i, value in enumerate(noise(2000, 0.0, 0.3))]
    assert found_after(SIGNALS["rare"](), usual, [5.0]) == 0
    assert found_after(SIGNALS["spike"](), usual, [5.0]) is None


def test_arrival_finds_an_event_that_comes_late_by_far():
    detector, chance = SIGNALS["arrival"](), random.Random(1)
    for i in range(500):
        detector.process_one({"x": 1.0}, 60.0 * i + chance.uniform(0, 5))
    assert detector.process_one({"x": 1.0}, 60.0 * 505).p_value <= 0.01


def test_auto_finds_values_that_no_longer_go_together():
    from tests.detectors.every_detector import OURS

    for make in (Auto, OURS["joint"]):
        detector, chance = make(), random.Random(9)

        def readings(lag: float, chance: random.Random = chance) -> dict[str, float]:
            wave = chance.gauss(0, 1)
            return {"pressure": wave + chance.gauss(0, 0.05), "flow": lag * wave + chance.gauss(0, 0.05)}

        for i in range(2000):
            detector.process_one(readings(1.0), float(i))
        found = [detector.process_one(readings(-1.0), 2000.0 + i) for i in range(30)]
        assert "joint" in {s.kind for score in found for s in score.signals if s.p_value <= 1e-3}


def test_silence_is_known_from_the_usual_gaps():
    for make in (Auto, SIGNALS["arrival"]):
        detector = make()
        assert detector.silent_after() is None
        for i in range(100):
            detector.process_one({"x": float(i % 7)}, 60.0 * i)
        assert 120.0 <= detector.silent_after() <= 3600.0


def test_auto_knows_after_tens_of_events():
    detector = Auto()
    for i in range(60):
        detector.process_one({"x": 20 + (i * 7919 % 13) / 10}, float(i))
    score = detector.process_one({"x": 500.0}, 60.0)
    assert score.anomaly_score >= 0.7
    assert 0.5 < score.warm_up < 1.0


def test_a_switch_is_odd_while_it_stays_on_for_longer_not_whenever_it_switches():
    chance, detector = random.Random(3), Auto()
    pulses = [float(k < 4) for _ in range(40) for k in range(60 + chance.randrange(40))]
    scores = [
        detector.process_one({"heater": value}, float(i)).anomaly_score
        for i, value in enumerate([*pulses, *[1.0] * 60])
    ]
    usual, stuck = scores[1000 : len(pulses)], scores[len(pulses) + 10 :]
    assert sorted(stuck)[len(stuck) // 2] > sorted(usual)[int(0.99 * len(usual))]
