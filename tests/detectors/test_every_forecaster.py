"""What holds of every forecaster: River's, the default, and the default with covariates."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.base import SnapshotError
from detectors.forecasts import AutoForecaster, Forecaster
from detectors.forecasts.base import ForecastError
from detectors.forecasts.covariate_forecaster import CovariateForecaster
from detectors.forecasts.registry import RIVER, forecaster_factory, names

KEY = b"secret"
MINUTE = 60.0
MAKERS: dict[str, Callable[[], Forecaster]] = {
    **{name: forecaster_factory(name, state_key=KEY) for name in names()},
    "covariates": forecaster_factory(covariates=["inlet"], state_key=KEY),
    "SNARIMAX with covariates": forecaster_factory("river.SNARIMAX", covariates=["inlet"], state_key=KEY),
}
every_forecaster = pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)


def tank(count: int, behind: int = 4) -> list[tuple[float, dict[str, float]]]:
    """Return levels that follow the inlet, some events behind."""
    draw, inlet = random.Random(11), [0.0] * (behind + 1)
    found = []
    for _ in range(count):
        inlet.append(0.8 * inlet[-1] + draw.gauss(0, 1))
        found.append((50 + 3 * inlet[-1 - behind] + draw.gauss(0, 0.5), {"inlet": inlet[-1]}))
    return found


def learned(forecaster: Forecaster, events: list[tuple[float, dict[str, float]]], first: int = 0) -> Forecaster:
    for i, (value, x) in enumerate(events, first):
        forecaster.learn_one(value, MINUTE * i, x)
    return forecaster


@every_forecaster
def test_a_constant_is_foretold_as_it_is(make: Callable[[], Forecaster]) -> None:
    forecast = learned(make(), [(7.25, {"inlet": 1.0})] * 400).forecast(100)
    assert forecast.mean == pytest.approx(7.25, abs=0.02)
    assert forecast.lower <= 7.25 + 0.02
    assert forecast.upper >= 7.25 - 0.02


@every_forecaster
def test_bounds_keep_what_they_promise(make: Callable[[], Forecaster]) -> None:
    forecaster, within = make(), 0
    for i, (value, x) in enumerate(tank(1500)):
        if i:
            forecast = forecaster.forecast()
            within += forecast.lower <= value <= forecast.upper
        forecaster.learn_one(value, MINUTE * i, x)
    assert 0.93 <= within / 1499 <= 0.97
    assert forecaster.errors().horizons[0].coverage == pytest.approx(within / 1499, abs=0.002)


@every_forecaster
@pytest.mark.parametrize("first", [0, 1, 300])
def test_a_forecaster_taken_up_again_foretells_bit_for_bit_the_same(make: Callable[[], Forecaster], first: int) -> None:
    events = tank(first + 200)
    whole, before, after = make(), learned(make(), events[:first]), make()
    after.restore(before.snapshot())
    learned(whole, events)
    learned(after, events[first:], first)
    assert after.forecast(7) == whole.forecast(7)
    assert after.coverage == pytest.approx(whole.coverage)


@every_forecaster
def test_what_is_no_state_is_refused(make: Callable[[], Forecaster]) -> None:
    for state in (b"", b"\x93garbage", msgspec.msgpack.encode((1, b"too short")), msgspec.msgpack.encode((9, b""))):
        with pytest.raises(SnapshotError):
            make().restore(state)


@every_forecaster
@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=2, max_size=40), st.floats(0.5, 40))
@settings(deadline=None, max_examples=25)
def test_whatever_finite_values_come_forecasts_are_finite_and_within_their_bounds(
    make: Callable[[], Forecaster], values: list[float], steps: float
) -> None:
    events = [(value, {"inlet": other}) for value, other in zip(values, values[1:] + values[:1], strict=True)]
    forecast = learned(make(), events).forecast(steps)
    assert all(math.isfinite(number) for number in (forecast.mean, forecast.lower, forecast.upper))
    assert forecast.lower <= forecast.mean <= forecast.upper


@every_forecaster
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_no_finite_number_is_refused_by_name_and_not_learned(
    make: Callable[[], Forecaster], value: float
) -> None:
    forecaster = learned(make(), tank(50))
    before = forecaster.forecast()
    with pytest.raises(ForecastError, match=rf"^value: {value} is not a finite number"):
        forecaster.learn_one(value)
    with pytest.raises(ForecastError, match=rf"^time: {value} is not a finite number"):
        forecaster.learn_one(1.0, value)
    assert forecaster.forecast() == before


@every_forecaster
def test_before_the_first_value_nothing_is_foretold(make: Callable[[], Forecaster]) -> None:
    with pytest.raises(ForecastError, match="nothing has been learned yet"):
        make().forecast()


@pytest.mark.parametrize(("behind", "horizon"), [(1, 0), (4, 1), (16, 2), (64, 3)])
def test_a_covariate_that_is_ahead_makes_forecasts_so_far_ahead_better(behind: int, horizon: int) -> None:
    events = tank(3000, behind)
    better, plain = learned(CovariateForecaster(["inlet"]), events), learned(AutoForecaster(), events)
    assert better.errors().horizons[horizon].mae < 0.7 * plain.errors().horizons[horizon].mae
    assert 0.93 <= better.errors().horizons[horizon].coverage <= 0.97


def test_a_covariate_that_tells_nothing_does_no_harm() -> None:
    draw = random.Random(12)
    events = [(draw.gauss(0, 1), {"inlet": draw.gauss(0, 1)}) for _ in range(3000)]
    with_it, without = learned(CovariateForecaster(["inlet"]), events), learned(AutoForecaster(), events)
    for one, other in zip(with_it.errors().horizons, without.errors().horizons, strict=True):
        assert one.mae < 1.02 * other.mae


def test_a_covariate_that_is_missing_now_and_then_stays_what_it_was() -> None:
    events = [(value, x if i % 7 else {}) for i, (value, x) in enumerate(tank(3000))]
    with_it, without = learned(CovariateForecaster(["inlet"]), events), learned(AutoForecaster(), events)
    assert with_it.errors().horizons[1].mae < 0.8 * without.errors().horizons[1].mae


def test_with_other_covariates_the_rest_of_what_is_known_is_taken_up() -> None:
    events = tank(1000)
    after = CovariateForecaster(["outlet"])
    after.restore(learned(CovariateForecaster(["inlet"]), events).snapshot())
    assert after.forecast(64).mean == learned(AutoForecaster(), events).forecast(64).mean


def test_river_s_snarimax_learns_from_covariates() -> None:
    events = tank(3000, behind=1)
    better = learned(MAKERS["SNARIMAX with covariates"](), events)
    plain = learned(MAKERS["river.SNARIMAX"](), events)
    assert better.errors().horizons[0].mae < 0.9 * plain.errors().horizons[0].mae


@pytest.mark.parametrize("name", sorted(RIVER))
def test_without_a_key_river_s_forecasters_have_no_snapshot(name: str) -> None:
    with pytest.raises(SnapshotError, match=r"set state.key.*or use the forecaster auto"):
        forecaster_factory(name)().snapshot()


@pytest.mark.parametrize("name", sorted(RIVER))
def test_a_state_signed_with_another_key_is_refused(name: str) -> None:
    state = forecaster_factory(name, state_key=b"another")().snapshot()
    with pytest.raises(SnapshotError, match="not signed with this state key"):
        MAKERS[name]().restore(state)


def test_a_wrong_parameter_of_a_forecaster_is_named_with_those_there_are() -> None:
    with pytest.raises(ForecastError, match=r"'river.SNARIMAX' cannot be made.*its parameters: p, d, q"):
        forecaster_factory("river.SNARIMAX", {"order": 3})


@pytest.mark.parametrize("wrong", [[], ["a", "a"], ["a", "b", "c", "d", "e"]])
def test_too_many_covariates_or_one_twice_are_refused(wrong: list[str]) -> None:
    with pytest.raises(ForecastError, match="name 1 to 4 values, each once"):
        CovariateForecaster(wrong)
