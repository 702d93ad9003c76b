"""Drift is seen soon where frauds no longer come as foretold, and seldom where they do."""

from __future__ import annotations

import random

import msgspec
import pytest

from detectors.transactions.classifier import AdditiveLogisticRegression, Curve
from detectors.transactions.drift import Drift, DriftDetector, DriftSettings, DriftState


def foretold(chance: random.Random) -> float:
    """A probability as fraud models give them: most tiny, a few large."""
    return min(chance.lognormvariate(-6.0, 1.5), 0.9)


def first(detector: DriftDetector, chance: random.Random, labels: int, times: float = 1.0) -> Drift | None:
    for i in range(labels):
        probability = foretold(chance)
        found = detector.judge(probability, fraud=chance.random() < min(times * probability, 1.0), at=float(i))
        if found is not None:
            return found
    return None


@pytest.mark.parametrize("times", [0.5, 1.0, 2.0])
def test_what_is_tolerated_hardly_ever_counts_as_drift(times: float) -> None:
    """A thousandth of the labels between false alarms: at most about one run in a thousand may see one."""
    detectors = [DriftDetector(DriftSettings(labels_between_false_alarms=1e6), 0.3) for _ in range(30)]
    found = [first(one, random.Random(seed), 1_000, times) for seed, one in enumerate(detectors)]
    assert found.count(None) >= 29


def test_false_alarms_come_no_more_often_than_promised() -> None:
    """At the edge of what is tolerated, with a threshold of 1,000 labels: 100,000 labels may bring 100."""
    chance, alarms = random.Random(7), 0
    detector = DriftDetector(DriftSettings(labels_between_false_alarms=1_000), 0.3)
    for i in range(100_000):
        probability = foretold(chance)
        tolerated = probability * 2 if probability < 0.3 else probability / 2
        alarms += detector.judge(probability, fraud=chance.random() < tolerated, at=float(i)) is not None
    assert 0 < alarms <= 100


def test_frauds_that_the_model_does_not_know_are_noticed() -> None:
    detector, chance = DriftDetector(DriftSettings(), 0.3), random.Random(3)
    assert first(detector, chance, 5_000) is None
    for i in range(5_000, 7_000):  # one in a hundred of those that look harmless is a fraud from now on
        drift = detector.judge(0.001, fraud=i % 100 == 0, at=float(i))
        if drift is not None:
            break
    assert drift is not None
    assert (drift.kind, detector.last) == ("missed", drift)
    assert drift.seen > 5 * drift.foretold


def test_frauds_that_come_no_more_are_noticed() -> None:
    detector = DriftDetector(DriftSettings(), 0.3)
    found = next(drift for i in range(500) if (drift := detector.judge(0.6, fraud=False, at=float(i))) is not None)
    assert (found.kind, found.seen) == ("false_alarms", 0)


def test_it_goes_on_from_its_state_as_if_nothing_had_happened() -> None:
    whole, chance = DriftDetector(DriftSettings(labels_between_false_alarms=1_000), 0.3), random.Random(5)
    parts = DriftDetector(DriftSettings(labels_between_false_alarms=1_000), 0.3)
    for i in range(20_000):
        probability, fraud = foretold(chance), chance.random() < 0.03
        assert whole.judge(probability, fraud=fraud, at=float(i)) == parts.judge(probability, fraud=fraud, at=float(i))
        if i % 777 == 0:
            written = msgspec.msgpack.encode(parts.snapshot())
            state = msgspec.msgpack.decode(written, type=DriftState)
            parts = DriftDetector(DriftSettings(labels_between_false_alarms=1_000), 0.3, state)
    assert whole.last is not None


def test_a_model_that_hurries_learns_what_is_new_sooner() -> None:
    models = [AdditiveLogisticRegression({"amount": Curve(0.0, 10.0, 1.0)}, base_rate=0.01) for _ in range(2)]
    for model in models:
        for i in range(20_000):
            model.learn_one({"amount": i % 10}, i % 1_000 == 0)
    models[1].hurry(4.0)
    for model in models:
        for _ in range(100):
            model.learn_one({"amount": 3}, True)
    usual, hurried = (model.predict_proba_one({"amount": 3})[True] for model in models)
    assert hurried > usual
