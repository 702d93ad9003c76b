"""The default detector's inner loop: every signal of every value of an event, and what they come to together."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from detectors.calibration import CALIBRATION, calibrate
from detectors.compiled import compiled
from detectors.signals import arrival, counter, flatline, level, pattern, rare, season, spike, trend, variance

KINDS = ("spike", "level", "trend", "variance", "season", "pattern", "rare", "flatline")
"""Signals of one value, in the order of their p-values."""

WEIGHTS = np.array([0.05, 0.05, 0.05, 0.05, 0.05, 0.40, 0.30, 0.05])
"""Share of the false alarms that each may spend; they sum to 1."""

JOINT_SHARE, ARRIVAL_SHARE = 0.5, 0.02
"""Share of all values together, where there are several, and of when the event arrives."""

UNUSUAL = 0.1
"""p-value at or below which a signal counts as going on."""

LASTING_RATE, LASTING_WEIGHT, MOST_EVIDENCE = 0.03, 1.0, 15.0
SPREAD = 4.0
"""Divides evidence, so that all of it finds room in a calibration."""

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
        ("since", "<f8", len(KINDS)),
    ]
)
"""All that is known of one value."""

SOURCE = np.dtype(
    [("n", "<i8"), ("utc_offset", "<f8"), ("arrival", arrival.STATE), ("lasting", "<f8"), ("evidence", CALIBRATION)]
)
"""All that is known of a source besides."""


@compiled
def judge_values(sources: Any, values: Any, places: Any, x: Any, t: float, p_values: Any, told: Any) -> bool:
    """Judge and learn each value of an event; say whether one must be learned anew.

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
    p_values
        Takes a row for each value: the p-value of each signal.
    told
        Takes a row for each value: what was expected of it, and the distance from it that is still normal.

    """
    anew = False
    source = sources[0]
    for i in range(len(x)):
        value = values[places[i]]
        value.season.utc_offset = source.utc_offset
        z = counter.represent(value.counter, x[i], t)
        anew = anew or value.counter.anew
        _expect(value, t, told[i])
        row = p_values[i]
        row[0] = spike.process(value.spike, z, t)
        row[1] = level.process(value.level, z, t)
        row[2] = trend.process(value.trend, z, t)
        row[3] = variance.process(value.variance, z, t)
        row[4] = season.process(value.season, z, t)
        row[5] = pattern.process(value.pattern, z, t)
        row[6] = rare.process(value.rare, z, t)
        row[7] = flatline.process(value.flatline, z, t)
        for kind in range(len(KINDS)):
            if row[kind] > UNUSUAL:
                value.since[kind] = 0.0
            elif value.since[kind] == 0.0:
                value.since[kind] = t
    return anew


@compiled
def _expect(value: Any, t: float, told: Any) -> None:
    """Put what is expected of a value before it is seen, and how far from it is still normal; not a number if unknown."""
    told[0] = told[1] = np.nan
    if value.spike.n == 0:
        return
    profile = season.speaks(value.season, t)
    if profile != season.OVERALL:
        told[0], told[1] = season.expected(value.season, t, profile), season.allowed(value.season, profile)
    else:
        told[0], told[1] = value.spike.level, spike.allowed(value.spike)
    told[0] = counter.as_given(value.counter, told[0])


@compiled
def weigh(sources: Any, p_values: Any, joint_p: float, arrival_p: float) -> float:
    """Correct all p-values for their number and weights, in place, and return the p-value of them together.

    The corrected ones are those of a weighted Bonferroni correction. Together they are pooled by their harmonic mean,
    with what has been of late, and calibrated once more, since how the signals depend on each other is the source's own.
    A ``joint_p`` below 0 means that there is none.
    """
    source = sources[0]
    shared = 1.0 - ARRIVAL_SHARE
    share = shared * (1.0 - JOINT_SHARE) if joint_p >= 0.0 else shared
    pooled = ARRIVAL_SHARE / arrival_p
    if joint_p >= 0.0:
        pooled += shared * JOINT_SHARE / joint_p
    for i in range(p_values.shape[0]):
        for kind in range(p_values.shape[1]):
            weight = share * WEIGHTS[kind] / p_values.shape[0]
            pooled += weight / p_values[i, kind]
            p_values[i, kind] = min(p_values[i, kind] / weight, 1.0)
    evidence = min(math.log(max(pooled, 1.0)), 60.0)
    source.n += 1
    source.lasting += LASTING_RATE * (min(evidence, MOST_EVIDENCE) - source.lasting)
    return calibrate(source.evidence, math.expm1((evidence + LASTING_WEIGHT * source.lasting) / SPREAD))
