"""Forecasts need no tuning, their bounds keep what they promise, and what is no number is refused by name."""

from __future__ import annotations

import json
import math
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numba.core.config
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.base import SnapshotError
from detectors.forecasts.auto import AutoForecaster
from detectors.forecasts.base import ForecastError

REPOSITORY = Path(__file__).parents[2]
MINUTE, HOUR, DAY = 60.0, 3600.0, 86_400.0


def noise(count: int) -> Iterator[float]:
    chance = random.Random(1)
    return (chance.gauss(50, 2) for _ in range(count))


def wandering(count: int) -> Iterator[float]:
    chance, at = random.Random(2), 0.0
    for _ in range(count):
        at += chance.gauss(0, 1)
        yield at


def louder(count: int) -> Iterator[float]:
    """Noise that grows twentyfold."""
    chance = random.Random(3)
    return (chance.gauss(0, 1) * math.exp(3 * i / count) for i in range(count))


def shifting(count: int) -> Iterator[float]:
    """A level that jumps every 500 events."""
    chance = random.Random(4)
    return (10 * (i // 500 * 7 % 5) + chance.gauss(0, 1) for i in range(count))


def climbing(count: int) -> Iterator[float]:
    chance = random.Random(5)
    return (0.05 * i + chance.gauss(0, 1) for i in range(count))


def skewed(count: int) -> Iterator[float]:
    chance = random.Random(6)
    return (math.exp(chance.gauss(0, 1.5)) for _ in range(count))


def daily(count: int) -> Iterator[float]:
    """A day of 288 events, the whole rising."""
    chance = random.Random(7)
    return (10 * math.sin(i / 144 * math.pi) + i / 500 + chance.gauss(0, 1) for i in range(count))


DRIFTING = [noise, wandering, louder, shifting, climbing, skewed, daily]


def errors_and_coverage(values: list[float], steps: int, gap: float = 300.0) -> tuple[float, float]:
    """Return the mean absolute error, and the share within the bounds, of forecasts so far ahead."""
    forecaster, foretold = AutoForecaster(), []
    for i, value in enumerate(values):
        forecaster.learn_one(value, gap * i)
        foretold.append(forecaster.forecast(steps))
    pairs = list(zip(foretold, values[steps:], strict=False))
    error = sum(abs(forecast.mean - came) for forecast, came in pairs) / len(pairs)
    return error, sum(forecast.lower <= came <= forecast.upper for forecast, came in pairs) / len(pairs)


@pytest.mark.parametrize("stream", DRIFTING)
@pytest.mark.parametrize("steps", [1, 12])
def test_bounds_keep_what_they_promise_however_the_stream_drifts(stream, steps):
    assert 0.93 <= errors_and_coverage(list(stream(4000)), steps)[1] <= 0.97


@pytest.mark.parametrize("stream", DRIFTING)
def test_bounds_of_a_far_horizon_keep_nearly_what_they_promise(stream):
    assert 0.91 <= errors_and_coverage(list(stream(8000)), 64)[1] <= 0.98


@pytest.mark.parametrize("coverage", [0.85, 0.9, 0.99])
def test_another_coverage_is_kept_too(coverage):
    forecaster, within = AutoForecaster(coverage), 0
    for i, value in enumerate(wandering(5000)):
        if i:
            forecast = forecaster.forecast()
            within += forecast.lower <= value <= forecast.upper
        forecaster.learn_one(value, MINUTE * i)
    assert within / 4999 == pytest.approx(coverage, abs=0.01)


def test_of_noise_the_mean_is_foretold():
    assert errors_and_coverage(list(noise(4000)), 1)[0] == pytest.approx(2 * math.sqrt(2 / math.pi), rel=0.03)


def test_of_a_walk_the_last_value_is_foretold():
    assert errors_and_coverage(list(wandering(4000)), 1)[0] == pytest.approx(math.sqrt(2 / math.pi), rel=0.03)


def test_a_climb_goes_on():
    error, _ = errors_and_coverage(list(climbing(4000)), 64)
    assert error < 0.4 * 64 * 0.05  # of what the last value would be off by


def test_a_day_is_foretold_half_a_day_ahead():
    forecaster = AutoForecaster()
    for i, value in enumerate(daily(288 * 10)):
        forecaster.learn_one(value, 300.0 * i)
    ahead = [forecaster.forecast(seconds=hours * HOUR).mean for hours in (6, 12, 18)]
    assert ahead[0] - ahead[2] == pytest.approx(20, abs=4)


def test_a_quiet_weekend_is_foretold():
    forecaster, chance = AutoForecaster(), random.Random(8)
    for hour in range(24 * 7 * 8 + 24 * 4):  # the first of January 1970 was a Thursday: it is Monday now
        busy = hour // 24 % 7 not in (2, 3) and 8 <= hour % 24 < 18
        forecaster.learn_one((30 if busy else 5) + chance.gauss(0, 1), HOUR * hour)
    at_noon = [forecaster.forecast(seconds=(day * 24 + 13) * HOUR).mean for day in range(7)]
    assert [mean > 17 for mean in at_noon] == [True, True, True, True, True, False, False]


def test_a_period_that_is_no_day_is_found():
    forecaster, chance = AutoForecaster(), random.Random(9)
    for i in range(4000):
        forecaster.learn_one(5 * math.sin(i / 50 * 2 * math.pi) + chance.gauss(0, 0.3), float(i))
    crest = [forecaster.forecast(steps).mean for steps in range(1, 51)]
    assert max(crest) == pytest.approx(5, abs=1.5)
    assert min(crest) == pytest.approx(-5, abs=1.5)


def test_a_constant_that_changes_once_is_foretold_again():
    forecaster = AutoForecaster()
    for i in range(2000):
        forecaster.learn_one(1.0 if i < 1000 else 2.0, MINUTE * i)
    assert forecaster.forecast(4).mean == pytest.approx(2.0, abs=0.01)


@pytest.mark.parametrize("size", [1e-12, 1e12, 1e25])
def test_a_value_s_unit_changes_nothing(size):
    forecaster, same = AutoForecaster(), AutoForecaster()
    for i, value in enumerate(daily(2000)):
        forecaster.learn_one(value, 300.0 * i)
        same.learn_one(value * size, 300.0 * i)
    for steps in (1, 12, 100):
        assert same.forecast(steps).mean / size == pytest.approx(forecaster.forecast(steps).mean, rel=1e-2, abs=1e-2)


def test_small_changes_of_huge_values_are_foretold():
    values = [1e9 + value for value in daily(4000)]
    assert errors_and_coverage(values, 1)[0] < 1.2


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=60), st.floats(0.5, 1000))
@settings(deadline=None, max_examples=50)
def test_whatever_finite_values_come_forecasts_are_finite_and_within_their_bounds(values, steps):
    forecaster = AutoForecaster()
    for i, value in enumerate(values):
        forecaster.learn_one(value, MINUTE * i)
    forecast = forecaster.forecast(steps)
    assert all(math.isfinite(number) for number in (forecast.mean, forecast.lower, forecast.upper))
    assert forecast.lower <= forecast.mean <= forecast.upper


@given(st.lists(st.floats(0.0, 1e9), min_size=2, max_size=60))
@settings(deadline=None, max_examples=50)
def test_events_at_any_times_in_any_order_are_learned(times):
    forecaster = AutoForecaster()
    for i, time in enumerate(times):
        forecaster.learn_one(float(i % 7), time)
    assert math.isfinite(forecaster.forecast(3).mean)


def test_bounds_hold_where_events_come_irregularly_and_some_are_missing():
    forecaster, chance, within, t = AutoForecaster(), random.Random(10), 0, 0.0
    for i in range(4000):
        t += chance.expovariate(1 / MINUTE) + (HOUR if i % 400 == 0 else 0.0)
        value = 5 * math.sin(t / DAY * 2 * math.pi) + chance.gauss(0, 1)
        if i:
            forecast = forecaster.forecast()
            within += forecast.lower <= value <= forecast.upper
        forecaster.learn_one(value, t)
    assert 0.93 <= within / 3999 <= 0.97


def test_a_gap_in_the_events_does_not_change_how_long_a_step_is():
    forecaster = AutoForecaster()
    for i in range(500):
        forecaster.learn_one(float(i % 3), MINUTE * i + (10 * DAY if i >= 480 else 0.0))
    assert forecaster.gap == pytest.approx(MINUTE, rel=0.1)


def test_without_times_events_are_a_second_apart():
    forecaster = AutoForecaster()
    for value in noise(50):
        forecaster.learn_one(value)
    assert forecaster.gap == pytest.approx(1.0)


@pytest.mark.parametrize("steps", [0, -1, math.nan, math.inf])
def test_only_the_future_is_foretold(steps):
    forecaster = AutoForecaster()
    forecaster.learn_one(1.0)
    with pytest.raises(ForecastError, match="not in the future"):
        forecaster.forecast(steps)


def test_seconds_need_two_events():
    forecaster = AutoForecaster()
    forecaster.learn_one(1.0, 0.0)
    with pytest.raises(ForecastError, match="from the second event on"):
        forecaster.forecast(seconds=60.0)


@pytest.mark.parametrize("coverage", [0.5, 1.0, math.nan])
def test_bounds_that_cannot_be_are_refused(coverage):
    with pytest.raises(ForecastError, match=r"^coverage:"):
        AutoForecaster(coverage)


@pytest.mark.parametrize("first", [0, 1, 70, 700])
def test_a_forecaster_taken_up_again_foretells_bit_for_bit_the_same(first):
    whole, before, after = AutoForecaster(0.9), AutoForecaster(0.9), AutoForecaster()
    values = list(daily(first + 600))
    for i, value in enumerate(values[:first]):
        whole.learn_one(value, 300.0 * i)
        before.learn_one(value, 300.0 * i)
    after.restore(before.snapshot())
    for i, value in enumerate(values[first:], first):
        whole.learn_one(value, 300.0 * i)
        after.learn_one(value, 300.0 * i)
    assert after.forecast(7) == whole.forecast(7)
    assert after.snapshot() == whole.snapshot()
    assert after.coverage == pytest.approx(0.9)


def test_a_state_takes_at_most_4_kilobytes():
    assert len(AutoForecaster().snapshot()) <= 4096


@pytest.mark.parametrize(
    ("state", "message"),
    [
        (b"", "no state of the forecaster auto"),
        (b"\x93garbage", "no state of the forecaster auto"),
        (msgspec.msgpack.encode((1, b"too short")), "no state of the forecaster auto"),
        (msgspec.msgpack.encode((1, b"")), "there are 0 records"),
        (msgspec.msgpack.encode((2, b"")), "has format 2, this program reads 1"),
    ],
)
def test_what_is_no_state_is_refused(state, message):
    with pytest.raises(SnapshotError, match=message):
        AutoForecaster().restore(state)


def test_the_errors_told_are_those_that_were_made():
    forecaster, made, naive, seasonal, within = AutoForecaster(), [], [], [], 0
    values = list(daily(288 * 8))
    for i, value in enumerate(values):
        if i:
            forecast = forecaster.forecast()
            made.append(abs(value - forecast.mean))
            naive.append(abs(value - values[i - 1]))
            within += forecast.lower <= value <= forecast.upper
        if i >= 288:
            seasonal.append(abs(value - values[i - 288]))
        forecaster.learn_one(value, 300.0 * i)
    told = forecaster.errors()
    assert told.horizons[0].judged == len(made)
    assert told.horizons[0].mae == pytest.approx(sum(made) / len(made), rel=1e-3)
    assert told.horizons[0].coverage == pytest.approx(within / len(made), abs=0.002)
    assert told.mase == pytest.approx(sum(made) / sum(naive), rel=1e-3)
    assert told.seasonal == pytest.approx((sum(made) / len(made)) / (sum(seasonal) / len(seasonal)), rel=0.2)


def test_before_the_second_day_there_is_no_seasonal_error():
    forecaster = AutoForecaster()
    for i, value in enumerate(noise(200)):
        forecaster.learn_one(value, 300.0 * i)
    assert math.isnan(forecaster.errors().seasonal)


def foretold() -> list[float]:
    forecaster, said = AutoForecaster(), []
    for i, value in enumerate(daily(900)):
        forecaster.learn_one(value, 300.0 * i)
        if i % 10 == 0:
            forecast = forecaster.forecast(1 + i % 40)
            said += [forecast.mean, forecast.lower, forecast.upper]
    return said


@pytest.mark.skipif(bool(numba.core.config.DISABLE_JIT), reason="nothing is compiled in this run")
def test_compiled_forecasts_are_those_of_plain_code():
    ran = subprocess.run(
        [sys.executable, __file__],
        env=os.environ | {"NUMBA_DISABLE_JIT": "1", "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout) == foretold()


if __name__ == "__main__":
    print(json.dumps(foretold()))
