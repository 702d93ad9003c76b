"""The promise of an alert budget: never more, the rarest first, and nothing that matters lost."""

from __future__ import annotations

import math
import random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.alert import Alert, State
from alerts.budget import DAY, Budget
from alerts.lifecycle import Lifecycle
from alerts.policy import BudgetLimits, Policy, Thresholds
from detectors.score import Score, SignalScore

NORMAL = Score(1.0, 0.0)

budgets = st.sampled_from([0.25, 0.5, 1, 2, 2.5, 3, 10])
candidates = st.lists(st.tuples(st.floats(-3600.0, 40_000.0), st.floats(1e-12, 1.0)), max_size=120)


def odd(p_value: float, kind: str = "spike") -> Score:
    return Score(p_value, 1.0 - p_value**0.25, (SignalScore(kind, p_value, "x", 1),))


def lifecycle(a_day: float | None = None, allowance: Budget | None = None, **thresholds: float) -> Lifecycle:
    limits = BudgetLimits(per_source_a_day=a_day)
    policy = Policy(default=Thresholds(**thresholds), budget=limits)
    return Lifecycle("telemetry", "pump-7", policy, allowance=allowance)


def begun(budget: Budget, events: list[tuple[float, float]], t: float = 0.0) -> list[float]:
    """When alerts begin, in the time that never goes back."""
    times, now = [], -math.inf
    for gap, rarity in events:
        t += gap
        now = max(now, t)
        if budget.affords(t, rarity):
            times.append(now)
    return times


def at_most(times: list[float], count: int, span: float) -> bool:
    return all(later - earlier >= span for earlier, later in zip(times, times[count:], strict=False))


@given(budgets, candidates)
def test_never_more_alerts_begin_in_any_day_than_the_budget_has(a_day, events):
    times = begun(Budget(a_day), events)
    assert at_most(times, max(1, int(a_day)), DAY if a_day >= 1 else DAY / a_day)


@given(budgets, candidates, st.data())
def test_what_is_more_improbable_is_never_worse_off(a_day, events, data):
    if not events:
        return
    place = data.draw(st.integers(0, len(events) - 1))
    gap, rarity = events[place]
    rarer = data.draw(st.floats(1e-13, 1.0).map(lambda share: rarity * share))
    one, other = Budget(a_day), Budget(a_day)
    t = sum(gap for gap, _ in events[:place]) + gap
    begun(one, events[:place])
    begun(other, events[:place])
    assert one.affords(t, rarity) <= other.affords(t, rarer)


@given(budgets, candidates, candidates)
def test_a_budget_put_away_and_taken_up_again_goes_on_the_same(a_day, before, after):
    whole, first, second = Budget(a_day), Budget(a_day), Budget(a_day)
    begun(whole, before)
    begun(first, before)
    second.restore(msgspec.msgpack.decode(msgspec.msgpack.encode(first.snapshot())))
    assert begun(second, after, 1e5) == begun(whole, after, 1e5)
    assert second.snapshot() == whole.snapshot()


@pytest.mark.parametrize("a_day", [0.5, 1, 3, 10])
@pytest.mark.parametrize("noise", [2, 20, 200])
def test_with_noise_of_any_amount_the_budget_holds_and_what_is_real_gets_through(a_day, noise):
    chance, budget, days = random.Random(1), Budget(a_day), 120
    false = [(chance.uniform(0, days * DAY), chance.uniform(1e-9, 1.0)) for _ in range(noise * days)]
    real = [(day * DAY + chance.uniform(0, DAY), 1e-7) for day in range(1, days, max(4, round(3 / a_day)))]
    times = [(t, rarity == 1e-7) for t, rarity in sorted(false + real) if budget.affords(t, rarity)]
    assert len(times) <= a_day * days + 1
    assert sum(is_real for _, is_real in times) >= {0.5: 0.3, 1: 0.4, 3: 0.9, 10: 1.0}[a_day] * len(real)


def test_where_candidates_are_few_all_of_them_pass():
    chance = random.Random(3)
    times = begun(Budget(6), [(chance.expovariate(2 / DAY), chance.random()) for _ in range(500)])
    assert len(times) >= 450


def test_of_a_noisy_source_the_most_improbable_alerts_win():
    chance, budget = random.Random(2), Budget(5)
    rarities = [chance.random() for _ in range(20_000)]
    passed = [rarity for i, rarity in enumerate(rarities) if budget.affords(i * DAY / 500, rarity)]
    assert len(passed) >= 60
    assert sorted(passed[20:])[len(passed[20:]) * 9 // 10] < 0.02


def play(life: Lifecycle, scores: list[Score], start: float = 0.0, gap: float = 60.0) -> list[Alert]:
    return [alert for i, score in enumerate(scores) for alert in life.step(start + i * gap, score).changes]


def test_what_the_budget_holds_back_is_not_published_and_says_so():
    life = lifecycle(1)
    assert [alert.state for alert in play(life, [odd(1e-5), *[NORMAL] * 5])] == [State.FIRING, State.RESOLVED]
    step = life.step(600.0, odd(1e-5))
    assert (step.changes, step.alert, step.held, step.newly_held) == ((), False, "source_budget", ("source_budget",))
    again = life.step(660.0, odd(1e-5))
    assert (again.changes, again.held, again.newly_held) == ((), "source_budget", ())
    assert [life.step(700.0 + i, NORMAL).held for i in range(5)] == ["source_budget"] * 4 + [None]


def test_what_is_held_back_fires_after_all_if_it_becomes_much_more_improbable():
    life = lifecycle(3)
    for hour in range(2):
        assert play(life, [odd(9e-5), *[NORMAL] * 5], hour * 3600.0)
    assert play(life, [odd(9e-5), odd(2e-5)], 7200.0) == []
    (alert,) = play(life, [odd(1e-7)], 7400.0)
    assert (alert.state, alert.started_at, alert.fired_at) == (State.FIRING, 7200.0, 7400.0)


def test_an_alert_that_would_fire_after_a_while_stays_pending_while_it_is_held():
    life = lifecycle(1, fire_after=100.0)
    play(life, [odd(1e-5)] * 3 + [NORMAL] * 5)
    assert [alert.state for alert in play(life, [odd(1e-5)] * 10, 3600.0)] == [State.PENDING]
    assert life.step(5000.0, odd(1e-5)).held == "source_budget"
    (over,) = play(life, [NORMAL], 6000.0)
    assert over.state is State.RESOLVED
    assert life.step(6100.0, NORMAL).held is None


def test_what_the_stream_refuses_does_not_cost_the_source():
    stream = Budget(1)
    stream.affords(0.0, 1e-9)
    life = lifecycle(1, stream)
    assert life.step(10.0, odd(1e-5)).held == "stream_budget"
    assert play(life, [NORMAL] * 5, 20.0) == []
    assert len(play(life, [odd(1e-5)], DAY)) == 1


def test_silence_is_not_counted():
    life = lifecycle(1)
    play(life, [odd(1e-5), *[NORMAL] * 5])
    assert life.silent(300.0, 600.0)
    life.heard(5000.0)
    assert life.silent(5000.0, 600.0)


events = st.lists(st.tuples(st.floats(-5.0, 20_000.0), st.floats(1e-12, 1.0)), max_size=80)


def changes_of(life: Lifecycle, steps: list[tuple[float, float]], t: float = 0.0) -> list[tuple[object, ...]]:
    told = []
    for gap, p_value in steps:
        t += gap
        told.append(life.step(t, odd(p_value**3)))
    return [(step.changes, step.alert, step.held, step.newly_held) for step in told]


@given(events, st.sampled_from([0.0, 50.0]))
def test_a_source_never_fires_more_often_than_its_budget(steps, fire_after):
    life = lifecycle(2, fire_after=fire_after)
    fired = {alert.alert_id: alert.fired_at for changes, *_ in changes_of(life, steps) for alert in changes}
    assert at_most(sorted(at for at in fired.values() if at is not None), 2, DAY)


@given(events, events, st.sampled_from([None, 2]), st.sampled_from([0.0, 50.0]))
def test_a_life_with_budgets_put_away_and_taken_up_again_goes_on_the_same(before, after, a_day, fire_after):
    streams = [Budget(3) for _ in range(2)]
    whole = lifecycle(a_day, streams[0], fire_after=fire_after)
    first, second = (lifecycle(a_day, streams[1], fire_after=fire_after) for _ in range(2))
    changes_of(whole, before)
    changes_of(first, before)
    second.restore(msgspec.msgpack.decode(msgspec.msgpack.encode(first.snapshot())))
    assert changes_of(second, after, 1e5) == changes_of(whole, after, 1e5)


def test_a_budget_that_is_taken_away_holds_nothing_back_any_more():
    held = lifecycle(1)
    play(held, [odd(1e-5), *[NORMAL] * 5, odd(1e-5)])
    life = lifecycle()
    life.restore(held.snapshot())
    assert [alert.state for alert in play(life, [odd(1e-5)], 1000.0)] == [State.FIRING]
