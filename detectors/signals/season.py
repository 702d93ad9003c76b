"""Seasonal deviations: a value unusual for this hour of the day or week, or for this phase of its own period."""

from __future__ import annotations

from typing import Any

import numpy as np

from detectors.calibration import CALIBRATION, calibrate
from detectors.compiled import compiled
from detectors.signals.cycle import STATE as CYCLE
from detectors.signals.cycle import find_period
from detectors.signals.mean import mean, scale
from detectors.signals.signal import Signal

HOUR, DAY, WEEK = 3600.0, 86_400.0, 604_800.0
HOURS, WEEK_HOURS, PHASES = 24, 168, 32
HOUR_RATE, WEEK_RATE, PHASE_RATE = 0.03, 0.06, 0.03
OVERALL_RATE, VISIT_RATE, CLIP = 0.005, 0.005, 10.0
MOST_SEEN = 200
LEAST_SHARE = 0.5
"""A deviation smaller than this share of the values' usual distance from their mean is none worth telling."""
TRIAL = 4
"""Times for which a found period is tried."""
CLEARLY = 0.8
"""A found period must bring the usual distance down to this share of what it is without."""
TELLING = 0.6
"""So must any profile before a deviation from it is an anomaly; until then it only helps to see patterns."""

KNOWN_VISITS = 3
"""An hour or phase must have come so often before a deviation from it is an anomaly."""

OVERALL, DAILY, WEEKLY, CYCLIC = 0, 1, 2, 3

STATE = np.dtype(
    [
        ("n", "<i8"),
        ("first", "<f8"),
        ("newest", "<f8"),
        ("utc_offset", "<f8"),
        ("gap", "<f8"),
        ("period", "<f8"),  # seconds; 0 while none is known
        ("period_from", "<f8"),
        ("overall", "<f8"),
        ("usual", "<f8", 4),  # distance from the overall mean, and from what each profile foretells
        ("place", "<i4", 4),  # which hour or phase it is, of each profile
        ("visits", "<i8", 4),
        ("hours", "<f4", HOURS),
        ("hours_seen", "u1", HOURS),
        ("week", "<f4", WEEK_HOURS),
        ("week_seen", "u1", WEEK_HOURS),
        ("phases", "<f4", PHASES),
        ("phases_seen", "u1", PHASES),
        ("cycle", CYCLE),
        ("calibration", CALIBRATION),
    ]
)


@compiled
def process(state: Any, value: float, t: float) -> float:
    """Return the p-value of a value at event time ``t``, then learn it."""
    if state.n == 0:
        state.first = state.newest = t
    profile = speaks(state, t)
    telling = tells(state, profile, t)
    best = DAILY if profile == OVERALL else profile  # before it speaks, it learns how far off it is
    p_value = 1.0
    if state.usual[best] > 0.0:
        distance = abs(value - expected(state, t, best))
        if best == CYCLIC:  # its steps come an event early or late
            for beside in (t - state.gap, t + state.gap):
                distance = min(distance, abs(value - expected(state, beside, best)))
        telling = telling and distance >= LEAST_SHARE * state.usual[OVERALL]
        p_value = calibrate(state.calibration, distance / state.usual[best])
    _learn(state, value, t)
    return p_value if telling else 1.0


@compiled
def speaks(state: Any, t: float) -> int:
    """Return which profile foretells the values best; ``OVERALL`` if none does better than their mean."""
    best, least = OVERALL, state.usual[OVERALL]
    age = t - state.first
    if age >= 2 * DAY and state.usual[DAILY] < least:
        best, least = DAILY, state.usual[DAILY]
    if age >= WEEK + 2 * DAY and state.usual[WEEKLY] < least:
        best, least = WEEKLY, state.usual[WEEKLY]
    known = state.period > 0.0 and t - state.period_from >= 3 * state.period
    if known and state.usual[CYCLIC] < CLEARLY * least:
        best = CYCLIC
    return best


@compiled
def tells(state: Any, profile: int, t: float) -> bool:
    """Say whether a profile foretells the values so well that a deviation from it, now, is an anomaly."""
    if profile == OVERALL or state.usual[profile] >= TELLING * state.usual[OVERALL]:
        return False
    length = state.period / PHASES if profile == CYCLIC else HOUR
    if profile == DAILY:
        seen = int(state.hours_seen[hour_of_day(state, t)])
    elif profile == WEEKLY:
        seen = int(state.week_seen[hour_of_week(state, t)])
    else:
        seen = int(state.phases_seen[phase(state, t)])
    return seen >= min(KNOWN_VISITS * max(1.0, length / max(state.gap, 1e-9)), float(MOST_SEEN))


@compiled
def expected(state: Any, t: float, profile: int) -> float:
    """Return what a profile foretells for event time ``t``."""
    if profile == DAILY:
        return float(state.hours[hour_of_day(state, t)])
    if profile == WEEKLY:
        return float(state.week[hour_of_week(state, t)])
    if profile == CYCLIC:
        return float(state.phases[phase(state, t)])
    return state.overall


@compiled
def allowed(state: Any, profile: int) -> float:
    """Return the distance from what a profile foretells that about 99 % of normal values keep to."""
    return float(state.calibration.limit) * state.usual[profile]


@compiled
def hour_of_day(state: Any, t: float) -> int:
    """Return the hour in local time, 0 to 23."""
    return int((t + state.utc_offset) % DAY // HOUR)


@compiled
def hour_of_week(state: Any, t: float) -> int:
    """Return the hour of the week in local time, 0 to 167."""
    return int((t + state.utc_offset) % WEEK // HOUR)


@compiled
def phase(state: Any, t: float) -> int:
    """Return the part of the found period, 0 to 31."""
    return int((t - state.period_from) % state.period / state.period * PHASES) % PHASES


@compiled
def _learn(state: Any, value: float, t: float) -> None:
    state.n += 1
    if t > state.newest:
        state.gap = mean(state.gap, t - state.newest, state.n, 0.01)
        state.newest = t
    if state.n > 1:
        state.usual[OVERALL] = scale(state.usual[OVERALL], abs(value - state.overall), state.n, OVERALL_RATE, CLIP)
    state.overall = mean(state.overall, value, state.n, OVERALL_RATE)
    hour, week = hour_of_day(state, t), hour_of_week(state, t)
    _learn_profile(state, DAILY, state.hours, state.hours_seen, hour, value, HOUR_RATE)
    _learn_profile(state, WEEKLY, state.week, state.week_seen, week, value, WEEK_RATE)
    found = find_period(state.cycle, value) * state.gap
    if found > 0.0 and not _settled(state):
        state.period, state.period_from, state.visits[CYCLIC] = found, t, 0
        state.usual[CYCLIC] = 0.0
        for each in range(PHASES):
            state.phases_seen[each] = 0
    if state.period > 0.0:
        place = phase(state, t)
        _learn_profile(state, CYCLIC, state.phases, state.phases_seen, place, value, PHASE_RATE)


@compiled
def _settled(state: Any) -> bool:
    """Say whether the known period is kept although one has just been found: it foretells well, or is on trial."""
    if state.period <= 0.0:
        return False
    on_trial = state.newest - state.period_from < TRIAL * state.period
    return on_trial or state.usual[CYCLIC] < TELLING * state.usual[OVERALL]


@compiled
def _learn_profile(state: Any, profile: int, means: Any, seen: Any, place: int, value: float, rate: float) -> None:
    if place != state.place[profile] or seen[place] == 0:
        state.place[profile] = place
        if seen[place] > 0:  # only what was known before this hour or phase began is a forecast
            state.visits[profile] += 1
            distance = abs(value - float(means[place]))
            state.usual[profile] = scale(state.usual[profile], distance, state.visits[profile], VISIT_RATE, CLIP)
    seen[place] = min(int(seen[place]) + 1, MOST_SEEN)
    means[place] = mean(float(means[place]), value, int(seen[place]), rate)


class Season(Signal):
    """Distance of a value from what its season foretells, in units of the usual distance.

    Three profiles are learned: the hour of the day, the hour of the week, both in local time, and the phase of a period
    that is found in the values. The one that foretells them best speaks, if it does better than their overall mean: the
    day's from the third day, the week's from the tenth, a found period's from its fourth time.

    Cost: about 0.6 µs an event. State: 2.2 KB for each value.

    Examples
    --------
    >>> import math
    >>> season = Season()
    >>> wave = [10 * math.sin(hour / 24 * 2 * math.pi) for hour in range(24)]
    >>> usual = [season.process_one({"x": wave[h % 24] + h % 5 / 10}, 3600.0 * h) for h in range(24 * 40)]
    >>> season.process_one({"x": wave[6]}, 3600.0 * 24 * 40).p_value < 0.01  # at midnight, what is usual at six
    True

    """

    kind = "season"
    state = STATE
    process = staticmethod(process)
