"""Fraud model: what it promises to those who build on it."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.base import SnapshotError
from detectors.transactions import (
    AccountHistory,
    CounterpartyHistory,
    DecisionSettings,
    FraudModel,
    FraudModelSettings,
    FraudScore,
    decide,
)
from detectors.transactions.account import ACCOUNT_FEATURES, DAY, HOUR
from detectors.transactions.classifier import AdditiveLogisticRegression, Curve
from detectors.transactions.counterparty import COUNTERPARTY_FEATURES
from detectors.transactions.model import FEATURES, named
from detectors.transactions.surprise import TailHistogram
from detectors.transactions.windows import TimeBuckets

payments = st.lists(
    st.tuples(st.integers(0, 40 * 24).map(lambda hour: hour * HOUR), st.integers(0, 1000).map(float)), max_size=60
)


@given(payments, st.integers(1, 30))
def test_a_window_holds_what_was_added_within_it(added: list[tuple[float, float]], days: int) -> None:
    added.sort()
    buckets = TimeBuckets(DAY, 30)
    for t, amount in added:
        buckets.add(t, amount)
    now = added[-1][0] if added else 0.0
    within = [amount for t, amount in added if now // DAY - days < t // DAY <= now // DAY]
    totals = buckets.totals(now, days)
    assert (totals.events, totals.sum, totals.maximum) == (len(within), sum(within), max(within, default=0.0))


@given(payments)
def test_amounts_that_come_late_count_at_their_own_time(added: list[tuple[float, float]]) -> None:
    in_order, late = TimeBuckets(DAY, 60), TimeBuckets(DAY, 60)
    for t, amount in sorted(added):
        in_order.add(t, amount)
    for t, amount in added:
        late.add(t, amount)
    assert late.totals(60 * DAY, 60) == in_order.totals(60 * DAY, 60)


def test_a_history_stays_small_whatever_the_account_does() -> None:
    chance, account, terminal = random.Random(1), AccountHistory(), CounterpartyHistory()
    t = 0.0
    for i in range(20_000):
        t += chance.expovariate(1 / 600)
        account.learn(t, chance.uniform(1, 1e6), f"shop-{i}")
        terminal.learn(t, chance.uniform(1, 1e6))
        terminal.learn_label(t, chance.uniform(1, 1e6), fraud=chance.random() < 0.5)
        if i % 7 == 0:
            account.learn_fraud(t)
    assert len(account.snapshot()) < 5_000
    assert len(terminal.snapshot()) < 4_000


def test_a_large_amount_stands_out_and_does_not_become_the_habit() -> None:
    account = AccountHistory()
    for day in range(30):
        account.learn(day * DAY, 20.0 + day % 5, "shop")
    before = features_of(account, 30 * DAY, 400.0)
    assert before["amount_deviation"] > 5
    assert before["amount_to_mean"] > 4
    account.learn(30 * DAY, 400.0, "shop")
    after = features_of(account, 30 * DAY + HOUR, 400.0)
    assert after["amount_deviation"] > 5
    assert (after["large_7d"], after["count_1h"]) == (1.0, 0.0)


def test_a_counterparty_is_new_once() -> None:
    account = AccountHistory()
    assert features_of(account, 0.0, 10.0, "shop")["new_counterparty"] == 1.0
    account.learn(0.0, 10.0, "shop")
    assert features_of(account, HOUR, 10.0, "shop")["new_counterparty"] == 0.0
    assert features_of(account, HOUR, 10.0, "bar")["new_counterparty"] == 1.0


def test_the_risk_of_a_counterparty_is_delayed_until_labels_come() -> None:
    terminal = CounterpartyHistory()
    for day in range(3):
        terminal.learn(day * DAY, 10.0)
    assert risk_of(terminal, 3 * DAY)["counterparty_risk_30d"] == 0.0
    for day in range(3):
        terminal.learn_label(day * DAY, 10.0, fraud=True)
    assert risk_of(terminal, 9 * DAY)["counterparty_risk_30d"] == 0.75
    assert risk_of(terminal, 9 * DAY)["counterparty_last_labels"] == 7.0
    assert risk_of(terminal, 9 * DAY)["since_counterparty_fraud"] == 7.0
    assert risk_of(terminal, 40 * DAY)["counterparty_risk_30d"] == 0.0


def test_a_corrected_label_takes_the_risk_back() -> None:
    terminal = CounterpartyHistory()
    terminal.learn_label(0.0, 10.0, fraud=False)
    genuine = risk_of(terminal, DAY)
    terminal.learn_label(HOUR, 10.0, fraud=True)
    assert risk_of(terminal, DAY)["usual_frauds_30d"] == 1.0
    terminal.correct_label(HOUR, 10.0, fraud=False)
    assert risk_of(terminal, DAY) == genuine | {"counterparty_labels_30d": 2.0}


def test_a_fraud_of_a_usual_amount_speaks_against_the_counterparty_and_a_large_one_against_the_account() -> None:
    robbed, cheating = CounterpartyHistory(), CounterpartyHistory()
    for terminal, amount in ((robbed, 500.0), (cheating, 22.0)):
        for day in range(10):
            terminal.learn_label(day * DAY, 20.0 + day % 3, fraud=False)
        terminal.learn_label(10 * DAY, amount, fraud=True)
        terminal.learn_label(12 * DAY, 20.0, fraud=False)
    stolen, scam = risk_of(robbed, 20 * DAY), risk_of(cheating, 20 * DAY)
    assert stolen["counterparty_risk_30d"] == scam["counterparty_risk_30d"] > 0
    assert (stolen["usual_frauds_30d"], scam["usual_frauds_30d"]) == (0.0, 1.0)
    assert (stolen["since_usual_fraud"], scam["since_usual_fraud"]) == (60.0, 10.0)
    assert scam["genuine_since_usual_fraud"] == 1.0


def test_frauds_long_after_the_last_ones_begin_a_new_spell() -> None:
    terminal = CounterpartyHistory()
    for day in (0, 20, 49, 51):
        terminal.learn_label(day * DAY, 10.0, fraud=True)
    now = risk_of(terminal, 55 * DAY)
    assert (now["since_usual_fraud"], now["since_usual_fraud_began"]) == (4.0, 6.0)
    assert now["frauds_since_usual_fraud_began"] == 2.0


def test_a_run_of_large_amounts_is_followed_from_its_first() -> None:
    account = AccountHistory()
    for day in range(30):
        account.learn(day * DAY, 20.0 + day % 5, "shop")
    calm = features_of(account, 30 * DAY, 20.0)
    for day, amount in ((30, 400.0), (31, 20.0), (33, 400.0), (34, 21.0)):
        account.learn(day * DAY, amount, "shop")
    robbed = features_of(account, 35 * DAY, 20.0)
    assert (calm["since_large_began"], calm["usual_since_large"]) == (28.0, 0.0)
    assert (robbed["since_large_began"], robbed["usual_since_large"]) == (5.0, 2.0)
    assert features_of(account, 45 * DAY, 20.0)["usual_since_large"] == 0.0


@pytest.mark.parametrize("cut", [0, 1, 100, 499])
def test_a_model_that_was_put_away_goes_on_bit_for_bit(cut: int) -> None:
    whole, halves = list(play(500)), list(play(500, restart_at=cut))
    assert halves == whole


@pytest.mark.parametrize("state", [b"", b"\xff", b"\x93\x01\x02\x03", b"\x9f"])
def test_a_damaged_state_is_refused_with_a_reason(state: bytes) -> None:
    for kept in (AccountHistory(), CounterpartyHistory(), FraudModel(FraudModelSettings())):
        with pytest.raises(SnapshotError, match=r"\w"):
            kept.restore(state)


def test_without_labels_the_model_speaks_up_only_for_what_is_plainly_unusual() -> None:
    model, account, shop = FraudModel(FraudModelSettings()), AccountHistory(), CounterpartyHistory()
    chance = random.Random(5)
    usual = []
    for hour in range(2_000):
        features = model.features(hour * HOUR, chance.gauss(50, 10), account, shop, "shop")
        usual.append(model.score(features).probability)
        model.observe(features)
        account.learn(hour * HOUR, 2 ** named(features)["amount"], "shop")
        shop.learn(hour * HOUR, 50.0)
    odd = model.score(model.features(2_000 * HOUR, 5_000.0, account, shop, "shop"))
    everyday = model.score(model.features(2_000 * HOUR, 52.0, account, shop, "shop"))
    assert everyday.probability < 0.02
    assert odd.probability > 0.3
    assert odd.p_value < 0.01 < everyday.p_value
    assert sum(p >= 0.3 for p in usual) <= 10


def test_probabilities_are_calibrated_although_frauds_are_rare() -> None:
    chance, model = random.Random(2), AdditiveLogisticRegression({"risk": Curve(0.0, 1.0, 0.1)})
    predicted = happened = 0.0
    for i in range(60_000):
        x = {"risk": float(chance.random() < 0.05)}
        fraud = chance.random() < (0.2 if x["risk"] else 0.002)
        if i > 20_000 and x["risk"]:
            predicted += model.predict_proba_one(x)[True]
            happened += fraud
        model.learn_one(x, fraud)
    assert predicted == pytest.approx(happened, rel=0.2)


def test_contributions_add_up_to_the_prediction() -> None:
    chance, model = random.Random(3), AdditiveLogisticRegression({"a": Curve(0, 1, 0.25), "b": Curve(0, 1, 0.25)})
    for _ in range(5_000):
        x = {"a": chance.random(), "b": chance.random()}
        model.learn_one(x, x["a"] > 0.8)
    telling = model.explain_one({"a": 0.95, "b": 0.5}).contributions
    assert telling["a"] > 2.0
    assert abs(telling["b"]) < 0.5


def test_predicting_changes_nothing_and_a_clone_knows_nothing() -> None:
    model = AdditiveLogisticRegression({"x": Curve(0, 1, 0.5)})
    model.learn_one({"x": 1.0}, True)
    before = model.snapshot()
    model.predict_proba_one({"x": 0.3})
    model.explain_one({})
    assert model.snapshot() == before
    assert model.clone().predict_proba_one({"x": 1.0}) != model.predict_proba_one({"x": 1.0})


def test_a_classifier_with_other_curves_refuses_the_state() -> None:
    state = AdditiveLogisticRegression({"x": Curve(0, 1, 0.5)}).snapshot()
    with pytest.raises(SnapshotError, match="curves"):
        AdditiveLogisticRegression({"x": Curve(0, 2, 0.5)}).restore(state)


@given(st.lists(st.floats(0, 1e15), min_size=1, max_size=200), st.floats(0, 1e15))
@settings(max_examples=50)
def test_a_p_value_is_never_below_the_share_of_values_that_are_larger(values: list[float], x: float) -> None:
    tail = TailHistogram()
    for value in values:
        tail.learn(value)
    larger = sum(value >= x for value in values)
    assert (larger + 1) / (len(values) + 1) <= tail.p_value(x) <= 1.0


@given(st.floats(0, 1e15), st.floats(-1e10, 1e11))
def test_any_amount_at_any_time_has_finite_features(amount: float, t: float) -> None:
    model, account, shop = FraudModel(FraudModelSettings()), AccountHistory(), CounterpartyHistory()
    for step in (0.0, 1.0, 86_400.0):
        features = model.features(t + step, amount, account, shop, "shop")
        assert all(abs(value) < 1e30 for value in named(features).values())
        assert 0.0 <= model.score(features).probability <= 1.0
        model.observe(features)
        model.learn(features, fraud=True)
        account.learn(t + step, amount, "shop")
        shop.learn(t + step, amount)


@pytest.mark.parametrize(
    ("probability", "amount", "frauds", "expected"),
    [
        (0.01, 10.0, 100, "approve"),
        (0.5, 10.0, 100, "review"),
        (0.9, 10.0, 100, "decline"),
        (0.9, 10.0, 3, "review"),
        (0.01, 5_000.0, 100, "review"),
        (0.9, 5_000.0, 100, "decline"),
    ],
)
def test_a_decision_follows_from_score_experience_and_limit(
    probability: float, amount: float, frauds: int, expected: str
) -> None:
    score = FraudScore(probability, 0.5, {}, {})
    assert decide(DecisionSettings(review_above=1_000.0), score, amount, frauds).verdict == expected


def test_reasons_name_what_counts_in_plain_words() -> None:
    features = dict.fromkeys(FEATURES, 0.0) | {
        "amount_to_mean": 2.0,
        "account_history": 5.0,
        "large_14d": 2.0,
        "new_counterparty": 1.0,
    }
    contributions = {"amount_to_mean": 3.0, "amount_deviation": 1.0, "new_counterparty": 1.0, "large_14d": 2.0}
    decision = decide(DecisionSettings(), FraudScore(0.9, 0.001, contributions, features), 120.0, 100)
    assert decision.reasons == (
        "amount 120.00 is 4.0 times what this account usually pays",
        "2 unusually large payments by this account in 14 days",
        "first payment to this counterparty",
    )


def features_of(account: AccountHistory, t: float, amount: float, counterparty: str = "shop") -> dict[str, float]:
    return dict(zip(ACCOUNT_FEATURES, account.features(t, amount, counterparty), strict=True))


def risk_of(terminal: CounterpartyHistory, t: float) -> dict[str, float]:
    return dict(zip(COUNTERPARTY_FEATURES, terminal.features(t, 10.0), strict=True))


def play(events: int, restart_at: int | None = None) -> Iterator[FraudScore]:
    """Score and learn a small world; at ``restart_at`` all of it is put away and taken up again."""
    chance, model = random.Random(9), FraudModel(FraudModelSettings())
    account, shop = AccountHistory(), CounterpartyHistory()
    for i in range(events):
        if i == restart_at:
            kept, model = model, FraudModel(FraudModelSettings())
            model.restore(kept.snapshot())
            old_account, account = account, AccountHistory()
            account.restore(old_account.snapshot())
            old_shop, shop = shop, CounterpartyHistory()
            shop.restore(old_shop.snapshot())
        t, amount, fraud = i * 5_000.0, chance.lognormvariate(3, 1), chance.random() < 0.1
        features = model.features(t, amount, account, shop, f"shop-{i % 70}")
        yield model.score(features)
        model.observe(features)
        model.learn(features, fraud=fraud)
        account.learn(t, amount, f"shop-{i % 70}")
        shop.learn(t, amount)
        shop.learn_label(t, amount, fraud=fraud)
