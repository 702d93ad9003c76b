"""When a value will cross its limit: a probability that means what it says, and the time to it."""

from __future__ import annotations

import math
import random

import pytest

from detectors.forecasts.auto import AutoForecaster
from detectors.forecasts.base import ForecastError
from detectors.forecasts.breach import time_to_breach
from detectors.forecasts.registry import forecaster_factory

MINUTE, HOUR = 60.0, 3600.0


def learned(values, make=AutoForecaster):
    forecaster = make()
    for i, value in enumerate(values):
        forecaster.learn_one(value, MINUTE * i)
    return forecaster


def climb(count: int, slope: float, seed: int = 1) -> list[float]:
    chance = random.Random(seed)
    return [slope * i + chance.gauss(0, 1) for i in range(count)]


def test_a_steady_climb_reaches_its_limit_when_it_will():
    breach = time_to_breach(learned(climb(2000, 0.05)), 105.0, "above", within=4 * HOUR)
    assert breach.probability > 0.9
    assert breach.seconds[0.5] == pytest.approx(80 * MINUTE, rel=0.4)  # noise reaches it before the mean does
    assert breach.trend_per_hour == pytest.approx(3.0, rel=0.4)


def test_a_fall_is_a_climb_turned_over():
    up = time_to_breach(learned(climb(2000, 0.05)), 105.0, "above", within=4 * HOUR)
    down = time_to_breach(learned([-value for value in climb(2000, 0.05)]), -105.0, "below", within=4 * HOUR)
    assert down.probability == pytest.approx(up.probability, abs=0.05)
    assert down.trend_per_hour == pytest.approx(-up.trend_per_hour, rel=0.05)


def test_noise_does_not_reach_a_far_limit():
    breach = time_to_breach(learned(climb(2000, 0.0)), 20.0, "above", within=2 * HOUR)
    assert breach.probability == 0.0
    assert breach.seconds[0.9] == math.inf


def test_a_limit_already_crossed_is_reached_at_once():
    breach = time_to_breach(learned(climb(300, 0.05)), 5.0, "above", within=HOUR)
    assert (breach.probability, breach.seconds[0.9]) == (1.0, 0.0)


def test_a_longer_horizon_makes_a_breach_no_less_likely():
    forecaster = learned(climb(1000, 0.01))
    chances = [time_to_breach(forecaster, 14.0, "above", within=within * HOUR).probability for within in (1, 2, 4)]
    assert chances == sorted(chances)
    assert chances[-1] > 0.0


def test_a_nearer_limit_is_reached_no_later():
    forecaster = learned(climb(1000, 0.02))
    near, far = (time_to_breach(forecaster, limit, "above", within=4 * HOUR) for limit in (23.5, 25.0))
    assert near.probability >= far.probability
    assert near.seconds[0.5] <= far.seconds[0.5]


@pytest.mark.parametrize("drift", [0.0, 0.05])
def test_of_many_walks_as_many_cross_as_was_said(drift):
    said, crossed = 0.0, 0
    for seed in range(60):
        chance, at, values = random.Random(seed), 0.0, []
        for _ in range(660):
            at += chance.gauss(drift, 1)
            values.append(at)
        limit = values[599] + 8.0
        said += time_to_breach(learned(values[:600]), limit, "above", within=60 * MINUTE).probability
        crossed += max(values[600:]) >= limit
    assert said / 60 == pytest.approx(crossed / 60, abs=0.15)


def test_a_new_trend_is_seen_before_the_far_forecasts_have_learned_it():
    flat = climb(1500, 0.0)
    rising = [value + 10.0 / 200 * i for i, value in enumerate(climb(100, 0.0, seed=2))]
    limit, within = 10.0, 400 * MINUTE
    before = time_to_breach(learned(flat), limit, "above", within)
    halfway = time_to_breach(learned(flat + rising), limit, "above", within)
    assert before.probability < 0.05
    assert halfway.probability > 0.8


def test_a_trend_that_ends_is_no_longer_told():
    flat = climb(1500, 0.0)
    rising = [value + 10.0 / 200 * i for i, value in enumerate(climb(100, 0.0, seed=2))]
    turned = [value + 5.0 for value in climb(300, 0.0, seed=3)]
    halfway = time_to_breach(learned(flat + rising), 10.0, "above", 100 * MINUTE)
    after = time_to_breach(learned(flat + rising + turned), 10.0, "above", 100 * MINUTE)
    assert after.probability < 0.5 < halfway.probability
    assert after.trend_per_hour < 0.2 * halfway.trend_per_hour


def test_the_same_state_gives_the_same_answer():
    one, other = learned(climb(1000, 0.02)), AutoForecaster()
    other.restore(one.snapshot())
    assert time_to_breach(one, 25.0, "above", 4 * HOUR) == time_to_breach(other, 25.0, "above", 4 * HOUR)


def test_river_s_forecasters_tell_it_too():
    forecaster = learned(climb(400, 0.05), forecaster_factory("river.HoltWinters", {"alpha": 0.2, "beta": 0.02}))
    assert time_to_breach(forecaster, 25.0, "above", within=4 * HOUR).probability > 0.8


@pytest.mark.parametrize(
    ("limit", "direction", "within", "message"),
    [
        (math.nan, "above", HOUR, "^limit: nan is not a finite number"),
        (1.0, "beside", HOUR, "^direction: 'beside' is neither"),
        (1.0, "above", math.inf, "^within: inf is not a finite number"),
        (1.0, "above", 1.0, "^within: 1 s is less than the 60 s between events"),
    ],
)
def test_what_cannot_be_asked_is_refused_by_name(limit, direction, within, message):
    with pytest.raises(ForecastError, match=message):
        time_to_breach(learned(climb(100, 0.0)), limit, direction, within)


def test_before_two_events_nothing_is_told():
    with pytest.raises(ForecastError, match="from the second event on"):
        time_to_breach(learned([1.0]), 2.0, "above", HOUR)
