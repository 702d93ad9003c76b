"""Champion and challengers: no promotion without proof, whenever one looks, and proof within so many labels."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from benchmarks.challengers import POOR, payments, simulate
from detectors.base import SnapshotError
from detectors.transactions import ClassifierSettings, Contest, DecisionSettings, PromotionSettings
from detectors.transactions.contest import Scores
from detectors.transactions.evidence import Evidence
from detectors.transactions.model import make_classifier
from detectors.transactions.prequential import Prequential
from detectors.transactions.promotion import Trial

LENIENT = PromotionSettings(automatic=True, confidence=0.5, minimum_labels=10, minimum_frauds=2)
SOON = DecisionSettings(decline_after_frauds=0)
OTHERS = {"a": ClassifierSettings(learning_rate=0.1), "b": ClassifierSettings(without=frozenset({"amount"}))}


def contest(gate: PromotionSettings = LENIENT, state: bytes | None = None, **others: ClassifierSettings) -> Contest:
    return Contest(make_classifier(ClassifierSettings()), others or OTHERS, gate, SOON, state)


def show(one: Contest, *, better: str, times: int, at: float = 0.0) -> None:
    """Let a model be right where the others are wrong."""
    numbers = {name: number for number, name in enumerate(("default", "a", "b"))}
    features = next(payments(1, 1_000))[0]
    for i in range(times):
        fraud = i % 5 == 0
        scores: Scores = dict.fromkeys(numbers.values(), 0.5)
        scores[numbers[better]] = 0.9 if fraud else 0.1
        one.learn(features, scores, 10.0, fraud=fraud, at=at)


def test_evidence_where_there_is_nothing_to_show_seldom_grows_however_often_one_looks() -> None:
    """By Ville's inequality the wealth of one of 20 gamblers at most ever reaches 20."""
    chance = np.random.default_rng(7)
    reached = 0
    for _ in range(300):
        evidence = Evidence()
        # Losses that are rare and large, as frauds are; their chances change, their mean stays zero on average.
        observations = np.where(chance.random(1_500) < 0.02, chance.choice([-1.0, 1.0], 1_500), 0.0)
        for x in observations.tolist():
            evidence.observe(x)
            if evidence.log_value() >= math.log(20):
                reached += 1
                break
    assert reached <= 300 / 20 + 3 * math.sqrt(300 / 20)


@given(st.lists(st.floats(-1, 1), max_size=60))
def test_evidence_is_finite_and_goes_on_from_a_snapshot(observations: list[float]) -> None:
    whole = Evidence()
    for x in observations:
        whole.observe(x)
    cut = Evidence()
    for x in observations:
        cut = Evidence(cut.snapshot())
        cut.observe(x)
    assert math.isfinite(whole.log_value())
    assert cut.log_value() == whole.log_value()


def test_ranks_are_those_of_scikit_learn_but_for_rounding() -> None:
    chance = np.random.default_rng(3)
    frauds = chance.random(4_000) < 0.03
    scores = 1 / (1 + np.exp(-chance.normal(np.where(frauds, -2.0, -5.0), 1.5)))
    judged = Prequential(review_at=0.3, window=10**9)
    for score, fraud in zip(scores.tolist(), frauds.tolist(), strict=True):
        judged.judge(score, 2.0, fraud=fraud)
    measures = judged.measures()
    assert measures.auc == pytest.approx(roc_auc_score(frauds, scores), abs=0.005)
    assert measures.average_precision == pytest.approx(average_precision_score(frauds, scores), abs=0.02)
    assert measures.brier == pytest.approx(((scores - frauds) ** 2).mean())
    assert measures.money_saved == 2.0 * (scores[frauds] >= 0.3).sum()
    assert measures.false_alarms == (scores[~frauds] >= 0.3).sum()


def test_measures_tell_of_lately() -> None:
    judged = Prequential(review_at=0.3, window=50)
    for right in [False] * 500 + [True] * 500:
        for fraud in (True, False):
            judged.judge(0.9 if fraud == right else 0.1, 1.0, fraud=fraud)
    measures = judged.measures()
    assert measures.auc is not None
    assert measures.auc > 0.999
    assert measures.labels == 2_000


def test_nothing_is_better_before_there_are_enough_labels_and_frauds() -> None:
    trial = Trial(PromotionSettings(minimum_labels=1_000, minimum_frauds=150), rivals=1)
    found = []
    for i in range(1_600):
        trial.judge(champion=0.5, challenger=0.9 if i % 10 == 0 else 0.1, fraud=i % 10 == 0)
        found.append(trial.verdict())
    assert found.index("better") == 1_490  # the 150th fraud


def test_one_that_is_as_good_is_not_better_by_a_margin() -> None:
    trial = Trial(PromotionSettings(minimum_labels=1, minimum_frauds=1), rivals=1)
    for i in range(20_000):
        trial.judge(champion=0.3, challenger=0.3, fraud=i % 3 == 0)
    assert trial.verdict() == "undecided"
    assert trial.comparison("default").p_value == 1.0


def test_a_comparison_that_is_lost_begins_anew_and_then_asks_for_more() -> None:
    trial = Trial(PromotionSettings(minimum_labels=1, minimum_frauds=1), rivals=1)

    def until_better() -> int:
        for count in range(1, 10_000):
            trial.judge(champion=0.5, challenger=0.9 if count % 2 else 0.1, fraud=bool(count % 2))
            if trial.verdict() == "better":
                return count
        raise AssertionError("never better")

    while trial.comparison("default").lost == 0:
        trial.judge(champion=0.1, challenger=0.5, fraud=False)
    assert trial.comparison("default").labels == 0
    again = until_better()
    trial = Trial(PromotionSettings(minimum_labels=1, minimum_frauds=1), rivals=1)
    assert again > until_better()


def test_the_best_of_several_is_promoted_and_all_are_compared_with_it_anew() -> None:
    one = contest()
    show(one, better="b", times=200, at=60.0)
    assert (one.champion, one.reign) == ("b", 2)
    told = {standing.model: standing for standing in one.news()}
    assert (told["b"].by, told["b"].since) == ("automatic", 60.0)
    assert told["a"].comparison is not None
    assert told["a"].comparison.champion == "b"


def test_a_model_that_was_rolled_back_is_promoted_by_people_only() -> None:
    one = contest()
    show(one, better="a", times=200)
    one.roll_back(at=1.0, by="ann", reason="too strict")
    show(one, better="a", times=400)
    assert one.champion == "default"
    one.promote("a", at=2.0, by="ann", reason=None)
    assert one.champion == "a"


def test_a_champion_that_becomes_worse_loses_its_place_to_the_one_before() -> None:
    one = contest()
    show(one, better="a", times=200)
    assert one.champion == "a"
    show(one, better="default", times=400)
    assert one.champion == "default"


def test_news_are_told_once() -> None:
    one = contest()
    assert len(list(one.news())) == 3
    assert list(one.news()) == []
    show(one, better="default", times=5)
    assert list(one.news()) == []


@given(st.lists(st.sampled_from(["default", "a", "b", "promote a", "promote b", "back", "news"]), max_size=25))
@settings(max_examples=25, deadline=None)
def test_a_snapshot_at_any_moment_goes_on_as_if_nothing_had_happened(steps: list[str]) -> None:
    whole = contest()
    default = make_classifier(ClassifierSettings())
    cut = Contest(default, OTHERS, LENIENT, SOON)
    for i, step in enumerate(steps):
        cut = Contest(default, OTHERS, LENIENT, SOON, cut.snapshot(), at=float(i))
        for one in (whole, cut):
            if step.startswith("promote"):
                one.promote(step[-1], at=float(i), by="ann", reason=None)
            elif step == "back":
                one.roll_back(at=float(i), by="ann", reason=None)
            elif step == "news":
                list(one.news())
            else:
                show(one, better=step, times=20, at=float(i))
    assert cut.snapshot() == whole.snapshot()
    assert [one[:6] for one in cut.news()] == [one[:6] for one in whole.news()]


def test_a_state_of_another_format_is_refused() -> None:
    with pytest.raises(SnapshotError):
        contest(state=b"\x91\x63")


@pytest.mark.slow
@pytest.mark.parametrize(
    "seed", [list(POOR).index("learns four times slower"), list(POOR).index("does not see bursts")]
)
def test_the_better_one_is_promoted_and_the_worse_one_is_not(seed: int) -> None:
    """The short form of `python -m benchmarks.challengers`."""
    gate = PromotionSettings(automatic=True, confidence=0.9)
    better = simulate(seed, gate, better=True, most_labels=30_000)
    assert better.promoted, better
    assert not simulate(seed, gate, better=False, most_labels=8_000).promoted
