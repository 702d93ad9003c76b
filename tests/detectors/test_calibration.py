"""A p-value means what it says where nothing is wrong: p ≤ 0.1, 0.01, 0.001 as often, within a factor of 1.5.

Exceptions, all on the side of calm but the last:

- A distribution with bounds (uniform; a few discrete values; on a daily wave the means that ``level`` and ``trend``
  compare) has no tail to extrapolate: at 0.01 and 0.001 signals may say less than they might.
- ``season`` speaks while it foretells better than the mean. ``flatline`` speaks while a value repeats itself.
- ``joint`` corrects for two looks that are not independent, in bins that are wide beside its distances.
- Raw scores of River's detectors that have bounds (``GaussianScorer``, ``HalfSpaceTrees``) never come to 0.01.
- ``trend`` remembers a thousand events, so few of its p-values are independent: at 0.001 up to 1.7 is chance.
"""

from __future__ import annotations

from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.calibration import DETECTORS, SHAPES, Ratios, measure, measure_detector, measure_joint
from detectors.calibration import Calibrator

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
    least = 0.5 if detector == "pattern" else 1.0 / WITHIN  # while patterns are learned, the distances shrink
    assert least <= rarely <= (1.7 if detector == "trend" else WITHIN)


@pytest.mark.parametrize("detector", ["auto", "spike", "variance", "season", "pattern", "rare"])
def test_they_do_so_on_a_wave_that_is_the_same_each_day(detector):
    assert all(honest(ratio) for ratio in measured("daily season")[detector])


@pytest.mark.parametrize("shape", ["uniform", "five values"])
def test_the_default_does_so_where_values_have_bounds(shape):
    assert all(honest(ratio) for ratio in measured(shape)["auto"])


@pytest.mark.parametrize("shape", SHAPES)
def test_no_signal_cries_wolf_on_any_shape(shape):
    for detector in DETECTORS:
        often, seldom, rarely = measured(shape).get(detector, (0.0, 0.0, 0.0))
        assert max(often, seldom) <= WITHIN, detector
        assert rarely <= (1.7 if detector == "trend" else WITHIN), detector


def test_a_value_that_repeats_itself_by_nature_is_no_flatline():
    assert 0.0 < measured("five values")["flatline"][0] <= WITHIN


@pytest.mark.parametrize("shape", ["gaussian", "exponential", "autoregressive 0.9"])
def test_several_values_together_do_not_cry_wolf(shape):
    often, seldom, rarely = measure_joint(shape, SEEDS[:6], COUNT, BURN_IN)
    assert 0.4 <= often <= WITHIN
    assert max(seldom, rarely) <= WITHIN


def test_the_default_means_what_it_says_of_several_values():
    often, seldom, _ = measure_detector("auto", "exponential", SEEDS[:3], 12_000, 4_000, values=3)
    assert honest(often)
    assert honest(seldom)


def test_a_detector_of_river_means_what_it_says_where_its_scores_have_no_bounds():
    often, seldom, _ = measure_detector("river.StandardAbsoluteDeviation", "gaussian", SEEDS[:3], 10_000, 3_000)
    assert honest(often)
    assert honest(seldom)


@pytest.mark.parametrize("name", ["river.GaussianScorer", "river.HalfSpaceTrees"])
def test_one_whose_scores_have_bounds_does_not_cry_wolf(name):
    often, seldom, _ = measure_detector(name, "gaussian", SEEDS[:2], 6_000, 2_000)
    assert 0.4 <= often <= WITHIN
    assert seldom <= WITHIN


@given(st.lists(st.floats(0, 1e9), min_size=1, max_size=200))
@settings(max_examples=50, deadline=None)
def test_a_higher_score_never_has_a_higher_p_value(scores):
    calibrator = Calibrator()
    for score in scores:
        calibrator.process_one(score)
    p_values = [calibrator.p_value(score) for score in sorted(scores)]
    assert p_values == sorted(p_values, reverse=True)
