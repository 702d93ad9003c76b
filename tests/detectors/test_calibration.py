"""A p-value means what it says where nothing is wrong: p ≤ 0.1, 0.01, 0.001 as often, within a factor of 1.5.

Exceptions, all on the side of calm:

- Few discrete values, and on a daily wave the means that ``level`` and ``trend`` compare, are no continuous
  distribution: at 0.01 and 0.001 signals may say less than they might.
- ``rare`` says nothing below half a power of e, so that p ≤ 0.1 may be seldom; nothing at all where nothing is rare.
- ``season`` speaks while it foretells better than the mean. ``flatline`` speaks while a value repeats itself.
- Scores of ``HalfSpaceTrees`` have few different values: at 0.001 they say less than they might.
"""

from __future__ import annotations

from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.calibration import DETECTORS, SHAPES, Ratios, measure, measure_detector, measure_joint
from detectors.calibrator import Calibrator

SEEDS, COUNT, BURN_IN = range(1, 13), 40_000, 15_000
WITHIN = 1.5
OPEN = ("gaussian", "exponential", "Student t, 5 degrees", "autoregressive 0.5", "autoregressive 0.9")
ALWAYS = ("spike", "level", "trend", "variance", "pattern", "rare", "arrival", "auto")


@cache
def measured(shape: str) -> Ratios:
    return measure(shape, SEEDS, COUNT, BURN_IN)


def honest(ratio: float) -> bool:
    return 1.0 / WITHIN <= ratio <= WITHIN


@pytest.mark.parametrize("shape", OPEN)
@pytest.mark.parametrize("detector", ALWAYS)
def test_p_values_mean_what_they_say(shape, detector):
    often, seldom, rarely = measured(shape)[detector]
    assert honest(often)
    assert honest(seldom)
    assert honest(rarely)


@pytest.mark.parametrize("detector", ["auto", "spike", "variance", "season", "pattern"])
def test_they_do_so_on_a_wave_that_is_the_same_each_day(detector):
    assert all(honest(ratio) for ratio in measured("daily season")[detector])


@pytest.mark.parametrize("shape", ["uniform", "five values"])
@pytest.mark.parametrize("detector", ["auto", "level", "trend", "variance", "pattern", "arrival"])
def test_they_do_so_where_values_have_bounds(shape, detector):
    assert all(honest(ratio) for ratio in measured(shape)[detector])


@pytest.mark.parametrize("shape", SHAPES)
def test_no_signal_cries_wolf_on_any_shape(shape):
    for detector in DETECTORS:
        often, seldom, rarely = measured(shape).get(detector, (0.0, 0.0, 0.0))
        assert max(often, seldom, rarely) <= WITHIN, detector


def test_a_value_that_repeats_itself_by_nature_is_no_flatline():
    assert 0.0 < measured("five values")["flatline"][0] <= WITHIN


@pytest.mark.parametrize("shape", ["gaussian", "exponential", "autoregressive 0.5", "uniform"])
def test_several_values_together_mean_what_they_say(shape):
    assert all(honest(ratio) for ratio in measure_joint(shape, SEEDS, COUNT, BURN_IN))


def test_the_default_means_what_it_says_of_several_values():
    often, seldom, _ = measure_detector("auto", "exponential", SEEDS[:3], 25_000, 12_000, values=3)
    assert honest(often)
    assert honest(seldom)


def test_a_detector_of_river_means_what_it_says_where_its_scores_have_no_bounds():
    often, seldom, _ = measure_detector("river.StandardAbsoluteDeviation", "gaussian", SEEDS[:3], 10_000, 3_000)
    assert honest(often)
    assert honest(seldom)


@pytest.mark.parametrize("name", ["river.GaussianScorer", "river.HalfSpaceTrees"])
def test_one_whose_scores_have_bounds_does_so_too(name):
    often, seldom, rarely = measure_detector(name, "gaussian", SEEDS[:3], 12_000, 4_000)
    assert honest(often)
    assert honest(seldom)
    assert rarely <= WITHIN


@given(st.lists(st.floats(0, 1e9), min_size=1, max_size=200))
@settings(max_examples=50, deadline=None)
def test_a_higher_score_never_has_a_higher_p_value(scores):
    calibrator = Calibrator()
    for score in scores:
        calibrator.process_one(score)
    p_values = [calibrator.p_value(score) for score in sorted(scores)]
    assert p_values == sorted(p_values, reverse=True)
