"""The default detector's inner loop: every signal of every value of an event, and what they come to together."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from detectors.calibration import BLOCK, CALIBRATION, calibrate
from detectors.compiled import compiled
from detectors.signals import arrival, counter, flatline, level, pattern, rare, season, spike, trend, variance
from detectors.signals.mean import UNCLIPPED

KINDS = ("spike", "level", "trend", "variance", "season", "pattern", "rare", "flatline")
SPIKE, LEVEL, TREND, VARIANCE, SEASON, PATTERN, RARE, FLATLINE = range(len(KINDS))
"""Signals of one value, in the order of their p-values."""

WEIGHTS = np.array([0.05, 0.05, 0.05, 0.05, 0.05, 0.35, 0.35, 0.05])
"""Share of the false alarms that each may spend; they sum to 1."""

STILL_WEIGHTS = np.array([0.0, 0.02, 0.0, 0.0, 0.02, 0.14, 0.72, 0.10])
"""Weights in the event's own p-value of a value that mostly stays as it is, as a switch does: of such a value distances
and scatter say little, and most which of its states it is in, for how long, and after which others."""

FIRST_CHANGE = 2
"""The first value counts as one. A constant's first change is odd in every way, and is taken as that of any value."""

ARRIVAL_SHARE = 0.02
"""Share of when the event arrives."""

JOINT_WEIGHT = 0.5 * (1.0 - ARRIVAL_SHARE)
"""Share of all values together, where there are several."""

UNUSUAL = 0.1
"""p-value at or below which a signal counts as going on."""

LASTING_RATE, LASTING_WEIGHT, MOST_EVIDENCE = 0.03, 1.0, 15.0
SPREAD = 10.0
YOUNG = 150.0
"""While there is less evidence to compare with, an event's p-value is not below the smallest corrected one."""

TYPICAL_FROM, TYPICAL_SLOPE, TYPICAL_SHARE = 1.1, 1.08, 0.3
"""Evidence of stationary streams, whatever their shape, is above ``e`` in a share of ``exp((1.1 - e) / 1.08)``."""

EVIDENCE_PART = 4
"""Divides evidence, so that all of it finds room in a calibration."""

TOLD = ("expected", "lower", "upper", "contribution", "level", "level_lower", "level_upper")
"""What is told of a value: what its season foretells, else its level of the moment; not a number where unknown."""

WILDEST = 1e4
"""A value farther than so many usual distances from the level of the moment is taken for one that far."""

LARGEST_VALUE, LARGEST = 1e150, 1e30
"""Larger values are taken for the first, larger multiples of a value's unit for the second."""

VALUE = np.dtype(
    [
        ("spike", spike.STATE),
        ("level", level.STATE),
        ("trend", level.STATE),
        ("variance", variance.STATE),
        ("season", season.STATE),
        ("pattern", pattern.STATE),
        ("rare", rare.STATE),
        ("flatline", flatline.STATE),
        ("counter", counter.STATE),
        ("since", "<f8", len(KINDS)),  # event time from which each signal has been unusual; 0 while it is not
    ]
)
"""All that is known of one value."""

SOURCE = np.dtype(
    [
        ("n", "<i8"),
        ("utc_offset", "<f8"),
        ("arrival", arrival.STATE),
        ("joint_since", "<f8"),
        ("lasting", "<f8"),
        ("evidence", CALIBRATION),
    ]
)
"""All that is known of a source besides."""


@compiled
def judge(
    sources: Any, values: Any, places: Any, x: Any, t: float, joint_p: float, p_values: Any, told: Any
) -> tuple[float, float, bool]:
    """Judge an event and learn it; return its p-value, that of its arrival, and whether a value must be learned anew.

    Parameters
    ----------
    sources, values
        Arrays of records: one ``SOURCE``, and a ``VALUE`` for each value that has ever been.
    places
        Which record each value of the event belongs to.
    x
        The event's values.
    t
        Event time, epoch seconds.
    joint_p
        p-value of the values together; below 0 if there is none.
    p_values
        Takes a row for each value: the corrected p-value of each signal.
    told
        Takes a row for each value: what ``TOLD`` names.

    """
    source, anew = sources[0], False
    for i in range(len(x)):
        value = values[places[i]]
        value.season.utc_offset = source.utc_offset
        _expect(value, t, told[i])
        _judge_value(value, min(max(x[i], -LARGEST_VALUE), LARGEST_VALUE), t, p_values[i])
        anew = anew or value.counter.anew
    arrival_p = arrival.process(source.arrival, 0.0, t)
    if joint_p < 0.0 or joint_p > UNUSUAL:
        source.joint_since = 0.0
    elif source.joint_since == 0.0:
        source.joint_since = t
    p_value = _weigh(source, values, places, p_values, joint_p, arrival_p)
    _share(p_values, told)
    return p_value, min(arrival_p / ARRIVAL_SHARE, 1.0), anew


@compiled
def _judge_value(value: Any, x: float, t: float, row: Any) -> None:
    z = min(max(counter.represent(value.counter, x, t), -LARGEST), LARGEST)
    if value.spike.n > UNCLIPPED and value.spike.usual > 0.0:
        most = WILDEST * value.spike.usual  # a wilder one would be learned for thousands of events
        z = min(max(z, value.spike.level - most), value.spike.level + most)
    row[SPIKE] = spike.process(value.spike, z, t)
    row[LEVEL] = level.process(value.level, z, t)
    row[TREND] = trend.process(value.trend, z, t)
    row[VARIANCE] = variance.process(value.variance, z, t)
    row[SEASON] = season.process(value.season, z, t)
    profile = season.speaks(value.season, t)
    usual = value.level.slow if profile == season.OVERALL else season.expected(value.season, t, profile)
    row[PATTERN] = pattern.process(value.pattern, z - usual, t)
    row[RARE] = rare.process(value.rare, z, t)
    row[FLATLINE] = flatline.process(value.flatline, z, t)
    for kind in range(len(KINDS)):
        if row[kind] > UNUSUAL:
            value.since[kind] = 0.0
        elif value.since[kind] == 0.0:
            value.since[kind] = t


@compiled
def _expect(value: Any, t: float, told: Any) -> None:
    """Put what is expected of a value before it is seen, and the bounds that about 99 % of normal values keep to."""
    told[:] = np.nan
    if value.spike.n == 0:
        return
    _bound(value, value.spike.level, spike.allowed(value.spike), told[4:7])
    profile = season.speaks(value.season, t)
    if season.tells(value.season, profile, t):
        middle = season.expected(value.season, t, profile)
        _bound(value, middle, season.allowed(value.season, profile), told[0:3])
    else:
        told[0:3] = told[4:7]


@compiled
def _bound(value: Any, middle: float, around: float, told: Any) -> None:
    """Put what is expected, and its bounds: within the range of what has been, since nothing else is usual."""
    told[0] = counter.as_given(value.counter, middle)
    if around > 0.0:
        told[1] = counter.as_given(value.counter, min(max(middle - around, value.rare.low), middle))
        told[2] = counter.as_given(value.counter, max(min(middle + around, value.rare.high), middle))


@compiled
def expect_of(values: Any, place: int, kind: int, told: Any) -> int:
    """Put what a signal of a value compares with, if it is a mean of its own, and return the direction it is off.

    The direction of a changed variance is that of the variance.
    """
    value = values[place]
    if kind == VARIANCE:
        return 1 if value.variance.spread > value.variance.usual else -1
    state = value.level if kind == LEVEL else value.trend
    _bound(value, state.slow, level.allowed(state) if kind == LEVEL else trend.allowed(state), told)
    return 1 if state.fast > state.slow else -1


@compiled
def _weigh(source: Any, values: Any, places: Any, p_values: Any, joint_p: float, arrival_p: float) -> float:
    """Correct all p-values for their number and weights, in place, and return the p-value of them together.

    The corrected ones are those of a weighted Bonferroni correction. Together they are pooled by their harmonic mean,
    with what has been of late, and calibrated once more, since how signals depend on each other is the source's own.
    """
    share = 1.0 - ARRIVAL_SHARE - (JOINT_WEIGHT if joint_p >= 0.0 else 0.0)
    pooled, smallest = ARRIVAL_SHARE / arrival_p, min(arrival_p / ARRIVAL_SHARE, 1.0)
    if joint_p >= 0.0:
        pooled += JOINT_WEIGHT / joint_p
        smallest = min(smallest, joint_p / JOINT_WEIGHT)
    for i in range(p_values.shape[0]):
        each, flat = share / p_values.shape[0], values[places[i]].flatline
        moving = flat.moving if flat.changes > FIRST_CHANGE else 1.0
        for kind in range(p_values.shape[1]):
            weight = WEIGHTS[kind]
            pooled += each * (STILL_WEIGHTS[kind] + moving * (weight - STILL_WEIGHTS[kind])) / p_values[i, kind]
            p_values[i, kind] = min(p_values[i, kind] / (each * weight), 1.0)
            smallest = min(smallest, p_values[i, kind])
    evidence = min(math.log(max(pooled, 1.0)), 60.0)
    source.n += 1
    source.lasting += LASTING_RATE * (min(evidence, MOST_EVIDENCE) - source.lasting)
    young = source.evidence.total < YOUNG
    evidence += LASTING_WEIGHT * source.lasting
    own = calibrate(source.evidence, math.expm1(evidence / SPREAD), EVIDENCE_PART, BLOCK)
    typical = math.exp(min((TYPICAL_FROM - evidence) / TYPICAL_SLOPE, 0.0))
    p_value = own ** (1.0 - TYPICAL_SHARE) * typical**TYPICAL_SHARE
    return max(p_value, smallest) if young else p_value


@compiled
def _share(p_values: Any, told: Any) -> None:
    """Put each value's share in the anomaly: of the logarithms of their smallest p-values."""
    total, count = 0.0, p_values.shape[0]
    for i in range(count):
        told[i, 3] = -math.log(p_values[i].min())
        total += told[i, 3]
    for i in range(count):
        told[i, 3] = told[i, 3] / total if total > 0.0 else 1.0 / count
