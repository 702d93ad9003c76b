"""Declared features: each is what it says of the whole past, in bounded state."""

from __future__ import annotations

import math
import random
from typing import Any, NamedTuple

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
from detectors.transactions.account import DAY, HOUR, MINUTE
from detectors.transactions.classifier import AdditiveLogisticRegression, Curve
from detectors.transactions.declared import Declared, DeclaredFeatures, Facts, width_of
from detectors.transactions.entity import MOST_DISTINCT, EntityHistory

WINDOWS = (5 * MINUTE, HOUR, DAY, 7 * DAY, 30 * DAY)
FEATURES = [
    *(Declared(f"count_{w:g}", ("device",), "count", window=w) for w in WINDOWS),
    *(Declared(f"accounts_{w:g}", ("device",), "distinct", "account", w) for w in WINDOWS),
    Declared("sum", ("device",), "sum", window=2 * DAY),
    Declared("mean", ("device",), "mean", "points", window=12 * HOUR),
    Declared("maximum", ("device",), "maximum", window=HOUR),
    Declared("to_mean", ("device",), "mean", window=7 * DAY, ratio=True),
    Declared("busy", ("device",), "count", window=HOUR, ratio=True),
    Declared("since_last", ("device",), "since_last"),
    Declared("first_seen", ("device",), "first_seen"),
    Declared("risk", ("device",), "risk", window=30 * DAY),
]
DECLARED = DeclaredFeatures(FEATURES)


class Paid(NamedTuple):
    """A payment with one device."""

    t: float
    amount: float
    points: float | None
    account: str
    fraud: bool | None

    @property
    def facts(self) -> Facts:
        return DECLARED.facts({"device": "d", "account": self.account, "points": self.points}, self.amount)


PAST = st.lists(
    st.builds(
        Paid,
        t=st.one_of(st.integers(0, 40 * 24 * 60).map(lambda minutes: minutes * 60.0), st.floats(0, 2 * DAY)),
        amount=st.integers(1, 1000).map(float),
        points=st.one_of(st.none(), st.integers(0, 9).map(float)),
        account=st.sampled_from("abcde"),
        fraud=st.sampled_from((None, True, False)),
    ),
    min_size=1,
    max_size=40,
)


def history_of(past: list[Paid], declared: DeclaredFeatures = DECLARED) -> EntityHistory:
    history = EntityHistory(declared.group_of("device/d"))
    for paid in past:
        learn(history, paid)
    return history


def learn(history: EntityHistory, paid: Paid) -> None:
    history.learn(paid.t, paid.facts)
    if paid.fraud is not None:
        history.learn_label(paid.t, fraud=paid.fraud)


def looked_up(one: Declared, past: list[Paid], now: Paid) -> float:
    """Return a feature from all that has ever been, at the resolution that its window has."""
    if one.of == "since_last":
        return now.t - max(paid.t for paid in past) if past else -1.0
    if one.of == "first_seen":
        return float(not past)

    def within(window: float, width: float) -> list[Paid]:
        last = now.t // width
        return [paid for paid in past if last - window / width < paid.t // width <= last]

    inside = within(one.window, one.width)
    if one.of == "risk":
        said = [paid.fraud for paid in inside if paid.fraud is not None]
        return sum(said) / (len(said) + 1)
    if one.of == "distinct":
        return float(len({paid.account for paid in inside}))
    numbers = [value for paid in inside if (value := paid.points if one.what == "points" else paid.amount) is not None]
    if one.of == "count" and one.ratio:
        month = len(within(30 * DAY, DAY))
        days = min(max(now.t - min((paid.t for paid in past), default=0.0), DAY) / DAY, 30.0)
        return math.log2((len(inside) + 1) / ((month + 1) / (days + 1) * (one.window / DAY))) if month else 0.0
    if one.of == "count":
        return float(len(inside))
    if one.of == "sum":
        return sum(numbers)
    if one.of == "maximum":
        return max(numbers, default=0.0)
    mean = sum(numbers) / len(numbers) if numbers else 0.0
    if one.ratio:
        return math.log2(now.amount / mean) if mean else 0.0
    return mean


@given(PAST)
@settings(max_examples=200, deadline=None)
def test_each_feature_is_that_of_the_whole_past(paid: list[Paid]) -> None:
    paid.sort(key=lambda one: one.t)
    *past, now = paid
    found = dict(zip(DECLARED.names, history_of(past).features(now.t, now.facts), strict=True))
    expected = {one.name: looked_up(one, past, now) for one in FEATURES}
    assert found == pytest.approx(expected, rel=1e-12, abs=1e-12)


@given(PAST)
@settings(max_examples=100, deadline=None)
def test_what_comes_late_counts_at_its_own_time(paid: list[Paid]) -> None:
    now = Paid(40 * DAY, 20.0, None, "a", None)
    in_order, late = history_of(sorted(paid, key=lambda one: one.t)), history_of(paid)
    assert late.features(now.t, now.facts) == pytest.approx(in_order.features(now.t, now.facts))


@given(PAST, st.integers(0, 40))
@settings(max_examples=100, deadline=None)
def test_a_history_that_was_put_away_goes_on_bit_for_bit(paid: list[Paid], cut: int) -> None:
    whole, first = history_of(paid), history_of(paid[:cut])
    again = EntityHistory(DECLARED.group_of("device/d"))
    again.restore(first.snapshot())
    for one in paid[cut:]:
        learn(again, one)
    assert again.snapshot() == whole.snapshot()


def test_a_history_stays_small_whatever_happens_at_the_entity() -> None:
    chance, history = random.Random(1), EntityHistory(DECLARED.group_of("device/d"))
    t = 0.0
    for i in range(20_000):
        t += chance.expovariate(1 / 300)
        paid = Paid(t, chance.uniform(0, 1e6), 1.0, f"account-{i}", chance.random() < 0.5)
        learn(history, paid)
    assert len(history.snapshot()) < 40_000


def test_more_different_values_than_can_be_told_apart_count_as_so_many() -> None:
    history = EntityHistory(DECLARED.group_of("device/d"))
    for i in range(MOST_DISTINCT + 50):
        history.learn(i * 1.0, Paid(i * 1.0, 20.0, None, f"account-{i}", None).facts)
    now = Paid(MOST_DISTINCT + 50.0, 20.0, None, "a", None)
    assert dict(zip(DECLARED.names, history.features(now.t, now.facts), strict=True))["accounts_86400"] == MOST_DISTINCT


def test_a_corrected_label_takes_the_risk_back() -> None:
    now = Paid(2 * DAY, 20.0, None, "a", None)
    history = history_of([Paid(0.0, 20.0, None, "a", True)])
    assert history.features(now.t, now.facts)[-1] == 0.5
    history.correct_label(0.0, fraud=False)
    assert history.features(now.t, now.facts)[-1] == 0.0


def test_what_is_declared_later_begins_then_and_the_rest_goes_on() -> None:
    before = DeclaredFeatures(FEATURES[:5])
    past = [Paid(i * HOUR, 20.0, None, "a", None) for i in range(5)]
    again = EntityHistory(DECLARED.group_of("device/d"))
    again.restore(history_of(past, before).snapshot())
    now = Paid(5 * HOUR, 20.0, None, "a", None)
    found = dict(zip(DECLARED.names, again.features(now.t, now.facts), strict=True))
    assert (found["count_86400"], found["accounts_86400"]) == (5.0, 0.0)


def test_a_damaged_state_is_refused_with_a_reason() -> None:
    for state in (b"", b"\xff", b"\x93\x01\x02\x03"):
        with pytest.raises(SnapshotError, match=r"\w"):
            EntityHistory(DECLARED.group_of("device/d")).restore(state)


@pytest.mark.parametrize("device", [None, "", ["d"], {"d": 1}, math.nan, math.inf, 10**400])
def test_a_transaction_without_the_attribute_is_of_no_entity(device: Any) -> None:
    assert DECLARED.facts({"account": "ann"}, 20.0).entities == ()
    assert DECLARED.facts({"account": "ann", "device": device}, 20.0).entities == ()


@pytest.mark.parametrize(("one", "other"), [(17, "17"), (17.0, 17), (True, "true")])
def test_numbers_and_texts_that_read_alike_are_the_same_entity(one: Any, other: Any) -> None:
    assert DECLARED.facts({"device": one}, 1.0) == DECLARED.facts({"device": other}, 1.0)


@pytest.mark.parametrize("points", [0, 3.5, math.inf, 10**400])
def test_a_number_of_any_size_is_summed_as_amounts_are(points: Any) -> None:
    found = DECLARED.facts({"device": "d", "points": points}, 1.0).numbers["points"]
    assert found == min(points, 1e15)


@pytest.mark.parametrize("points", ["9", -1.0, True, math.nan, None])
def test_what_is_no_number_from_0_up_is_not_summed(points: Any) -> None:
    assert DECLARED.facts({"device": "d", "points": points}, 1.0).numbers == {"amount": 1.0}


def test_a_key_of_two_fields_is_the_same_entity_in_any_order_and_never_another_ones() -> None:
    pairs = DeclaredFeatures([Declared("n", ("a", "b"), "first_seen"), Declared("m", ("b", "a"), "since_last")])
    assert len(pairs.facts({"a": "1", "b": "23"}, 1.0).entities) == 1
    assert pairs.facts({"a": "1", "b": "23"}, 1.0) != pairs.facts({"a": "12", "b": "3"}, 1.0)


@pytest.mark.parametrize("window", [30.0, 31 * DAY, 2 * HOUR + MINUTE, 2 * DAY + HOUR])
def test_a_window_that_is_made_of_no_buckets_is_refused(window: float) -> None:
    with pytest.raises(ValueError, match=r"\d s"):
        width_of(window)


def test_a_new_feature_changes_no_score_until_labels_have_taught_it() -> None:
    plain, more = FraudModel(FraudModelSettings()), FraudModel(FraudModelSettings(), DECLARED)
    pay = 0.0, 20.0, AccountHistory(), CounterpartyHistory(), "shop"
    extra = [5.0] * len(FEATURES)
    assert more.score(more.features(*pay, extra)).probability == plain.score(plain.features(*pay)).probability


def test_a_classifier_learns_a_count_over_several_orders_of_magnitude() -> None:
    chance, model = random.Random(4), AdditiveLogisticRegression({"n": Curve(0.0, 12.0, 0.5, log=True)}, base_rate=0.5)
    for _ in range(20_000):
        n = 2.0 ** chance.uniform(0, 11)
        model.learn_one({"n": n}, n > 300)
    assert [model.predict_proba_one({"n": n})[True] > 0.5 for n in (2, 150, 600, 2_000)] == [False, False, True, True]


A, B, C = Curve(0.0, 1.0, 0.5), Curve(0.0, 12.0, 0.5, log=True), Curve(0.0, 2.0, 0.25)


def learned(curves: dict[str, Curve]) -> AdditiveLogisticRegression:
    chance, model = random.Random(7), AdditiveLogisticRegression(curves)
    for _ in range(500):
        x = {name: chance.random() for name in "abc"}
        model.learn_one(x, x["b"] > 0.7)
    return model


def test_a_classifier_keeps_the_curves_that_remain_when_features_come_and_go() -> None:
    before, after = learned({"a": A, "b": B}), AdditiveLogisticRegression({"c": C, "b": B})
    after.restore(before.snapshot())
    x = {"b": 0.9}
    assert after.predict_proba_one(x) == before.predict_proba_one(x)
    assert after.predict_proba_one(x | {"c": 1.5}) == after.predict_proba_one(x)
    assert after.learned == before.learned


def test_a_classifier_that_was_put_away_goes_on_bit_for_bit_with_logarithmic_curves() -> None:
    before, after = learned({"a": A, "b": B}), AdditiveLogisticRegression({"a": A, "b": B})
    after.restore(before.snapshot())
    assert after.snapshot() == before.snapshot()


def test_a_feature_that_has_become_another_kind_is_refused_by_its_name() -> None:
    with pytest.raises(SnapshotError, match=r"b has other knots.*another name"):
        AdditiveLogisticRegression({"b": C}).restore(learned({"a": A, "b": B}).snapshot())


def test_what_a_declared_feature_says_for_fraud_is_among_the_reasons() -> None:
    score = FraudScore(0.9, 0.001, {"device_count_1h": 2.0}, {"device_count_1h": 7.0})
    assert decide(DecisionSettings(), score, 20.0, 100).reasons == ("device_count_1h is 7, as in earlier frauds",)


def at(latitude: Any, longitude: Any) -> Facts:
    return TRAVEL.facts({"account": "ann", "latitude": latitude, "longitude": longitude}, 20.0)


TRAVEL = DeclaredFeatures([Declared("account_speed", ("account",), "speed")])
BRUSSELS, NEW_YORK = at(50.85, 4.35), at(40.71, -74.01)


def test_who_pays_at_two_places_must_have_travelled_between_them() -> None:
    history = EntityHistory(TRAVEL.group_of(BRUSSELS.entities[0]))
    assert history.features(0.0, BRUSSELS) == [0.0]
    history.learn(0.0, BRUSSELS)
    assert history.features(2 * HOUR, NEW_YORK) == [pytest.approx(2945, abs=1)]
    assert history.features(2 * HOUR, BRUSSELS) == [0.0]
    assert history.features(1.0, NEW_YORK) == [pytest.approx(5890 * 60, rel=1e-3)]


def test_a_payment_without_a_place_changes_nothing_of_where_somebody_was() -> None:
    history = EntityHistory(TRAVEL.group_of(BRUSSELS.entities[0]))
    history.learn(0.0, BRUSSELS)
    for nowhere in (at(None, 4.0), at("north", 4.0), at(91.0, 0.0), at(0.0, -181.0), at(True, 0.0)):
        assert nowhere.place is None
        assert history.features(HOUR, nowhere) == [0.0]
        history.learn(HOUR, nowhere)
    again = EntityHistory(TRAVEL.group_of(BRUSSELS.entities[0]))
    again.restore(history.snapshot())
    assert again.features(2 * HOUR, NEW_YORK) == [pytest.approx(2945, abs=1)]


def test_a_payment_that_comes_late_does_not_move_where_somebody_is_now() -> None:
    history = EntityHistory(TRAVEL.group_of(BRUSSELS.entities[0]))
    history.learn(2 * HOUR, NEW_YORK)
    history.learn(0.0, BRUSSELS)
    assert history.features(4 * HOUR, NEW_YORK) == [0.0]
