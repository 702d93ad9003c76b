"""Seasons: what the time of day, the hour of the week or a period found in the values adds to a level."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from detectors.compiled import compiled
from detectors.signals.cycle import STATE as CYCLE
from detectors.signals.cycle import find_period
from detectors.signals.mean import UNCLIPPED, mean, scale
from detectors.signals.season import DAY, WEEK

NONE, DAILY, WEEKLY, CYCLIC = range(4)
"""Which profile: none, half hours of the day, hours of the week, phases of a found period. Days are those of UTC."""

DAY_CELLS, WEEK_CELLS, PHASES = 48, 168, 32
DAY_RATE, WEEK_RATE, PHASE_RATE = 0.15, 0.3, 0.15
"""How much of a profile one more day, week or period makes up."""

OFFSET_RATE, VISIT_RATE, CLIP, NEAR = 0.005, 0.005, 10.0, 3.0
CENTRE, FASTEST_CENTRE = 2.0, 0.3
"""How much of its centre a profile follows within a period, so that its cells do not take up trends."""
CLEARLY = 0.95
"""Another profile takes over only if it brings the usual distance down to this share."""
LATEST = 0.8
"""A found period must bring it down to this share of what the others leave."""
TRIAL = 4
"""Times for which a found period is tried before another may take its place."""
LONGEST_GAP = 4.0
"""A longer gap between events counts as so many usual ones."""

STATE = np.dtype(
    [
        ("n", "<i8"),
        ("first", "<f8"),
        ("newest", "<f8"),
        ("gap", "<f8"),  # usual seconds between events
        ("origin", "<f8"),  # cells hold distances from it, so that small seasons of huge values keep their digits
        ("period", "<f8"),  # seconds; 0 while none is known
        ("period_from", "<f8"),
        ("offset", "<f8", 4),  # mean distance of the values from each profile
        ("centre", "<f8", 4),  # the same of late: what a cell holds is a distance from it
        ("usual", "<f8", 4),  # mean absolute distance from each profile and its offset
        ("visits", "<i4", 4),
        ("place", "<i4", 4),
        ("day", "<f4", DAY_CELLS),  # not a number where nothing has been seen
        ("week", "<f4", WEEK_CELLS),
        ("phases", "<f4", PHASES),
        ("cycle", CYCLE),
    ]
)


@compiled
def begin(state: Any) -> None:
    """Prepare a record of zeros."""
    state.day[:] = np.nan
    state.week[:] = np.nan
    state.phases[:] = np.nan


@compiled
def learn(state: Any, value: float, t: float) -> None:
    """Take in a value at event time ``t``, epoch seconds."""
    if state.n == 0:
        state.first, state.newest, state.origin = t, t, value
    state.n += 1
    if t > state.newest:
        state.gap = scale(state.gap, t - state.newest, state.n - 1, 0.02, LONGEST_GAP)
        state.newest = t
    x = value - state.origin
    _learn_cell(state, NONE, state.day, int(state.n), 1, 0.0, x)
    _learn_cell(state, DAILY, state.day, _cell(state, DAILY, t), DAY_CELLS, DAY_RATE, x)
    _learn_cell(state, WEEKLY, state.week, _cell(state, WEEKLY, t), WEEK_CELLS, WEEK_RATE, x)
    found = find_period(state.cycle, x) * state.gap
    if found > 0.0 and not _settled(state):
        state.period, state.period_from, state.visits[CYCLIC], state.usual[CYCLIC] = found, t, 0, 0.0
        state.offset[CYCLIC] = state.centre[CYCLIC] = state.offset[NONE]
        state.phases[:] = np.nan
    if state.period > 0.0:
        _learn_cell(state, CYCLIC, state.phases, _cell(state, CYCLIC, t), PHASES, PHASE_RATE, x)


@compiled
def best(state: Any, before: int) -> int:
    """Return which profile foretells the values best, given which has been used so far."""
    age = state.newest - state.first
    least, found = state.usual[before], before
    if before == CYCLIC and state.newest - state.period_from < TRIAL * state.period:
        least, found = state.usual[NONE], NONE  # another period has been found
    for other in range(4):
        if other == DAILY and (age < 2 * DAY or state.gap > DAY / 3):
            continue
        if other == WEEKLY and (age < WEEK + 2 * DAY or state.gap > WEEK / 3):
            continue
        if other == CYCLIC and (state.period <= 0.0 or state.newest - state.period_from < TRIAL * state.period):
            continue
        if state.usual[other] < (LATEST if other == CYCLIC else CLEARLY) * least:
            least, found = state.usual[other], other
    return found


@compiled
def expected(state: Any, which: int, t: float) -> float:
    """Return what a profile, without its offset, says of event time ``t``."""
    if which == DAILY:
        return float(state.origin + _smooth(state.day, t % DAY / DAY, DAY_CELLS, DAY, state.gap))
    if which == WEEKLY:
        return float(state.origin + _smooth(state.week, t % WEEK / WEEK, WEEK_CELLS, WEEK, state.gap))
    if which == CYCLIC:
        part = (t - state.period_from) % state.period / state.period
        return float(state.origin + _smooth(state.phases, part, PHASES, state.period, state.gap))
    return float(state.origin)


@compiled
def season(state: Any, which: int, t: float) -> float:
    """Return how far a profile is from its own mean at event time ``t``."""
    away = expected(state, which, t) - float(state.origin)
    if which == DAILY:
        return away - _mean_of(state.day)
    if which == WEEKLY:
        return away - _mean_of(state.week)
    return away - _mean_of(state.phases) if which == CYCLIC else 0.0


@compiled
def _mean_of(cells: Any) -> float:
    total, seen = 0.0, 0
    for k in range(len(cells)):
        if not math.isnan(cells[k]):
            total += float(cells[k])
            seen += 1
    return total / seen if seen else 0.0


@compiled
def _smooth(cells: Any, part: float, count: int, length: float, gap: float) -> float:
    """Return a cell, or, where a cell holds several events, what lies between the middles of two."""
    here = int(part * count) % count
    if 2.0 * gap > length / count:
        return float(cells[here]) if not math.isnan(cells[here]) else 0.0
    beyond = part * count - here - 0.5
    beside = (here + (1 if beyond > 0.0 else -1)) % count
    if math.isnan(cells[beside]) or math.isnan(cells[here]):
        return float(cells[here]) if not math.isnan(cells[here]) else 0.0
    one, other = np.float64(cells[here]), np.float64(cells[beside])
    return float(one + abs(beyond) * (other - one))


@compiled
def _cell(state: Any, which: int, t: float) -> int:
    if which == DAILY:
        return int(t % DAY / DAY * DAY_CELLS) % DAY_CELLS
    if which == WEEKLY:
        return int(t % WEEK / WEEK * WEEK_CELLS) % WEEK_CELLS
    return int((t - state.period_from) % state.period / state.period * PHASES) % PHASES


@compiled
def _learn_cell(state: Any, which: int, cells: Any, place: int, count: int, rate: float, x: float) -> None:
    """Compare a value with its cell as it was when its time began, then move the cell."""
    cell = 0.0 if which == NONE else float(cells[place])
    if math.isnan(cell):
        cells[place] = x - state.centre[which]
        state.place[which] = place
        return
    off, usual = x - cell - state.offset[which], state.usual[which]
    if place != state.place[which] or which == NONE:
        state.visits[which] += 1
        state.usual[which] = scale(usual, abs(off), int(state.visits[which]), VISIT_RATE, CLIP)
        state.place[which] = place
    state.offset[which] = mean(state.offset[which], x - cell, int(state.n), OFFSET_RATE)
    if which == NONE:
        return
    length, began = DAY, float(state.first)
    if which == WEEKLY:
        length = WEEK
    elif which == CYCLIC:
        length, began = float(state.period), float(state.period_from)
    events = max(1.0, length / state.gap) if state.gap > 0.0 else 1.0
    off = x - cell - state.centre[which]
    if state.visits[which] > UNCLIPPED:
        off = min(max(off, -NEAR * usual), NEAR * usual)
    times = max(1.0, (state.newest - began) / length)
    cells[place] = cell + off * max(rate, 1.0 / times) / max(1.0, events / count)
    centre_rate = min(max(OFFSET_RATE, CENTRE / events), FASTEST_CENTRE)
    state.centre[which] = mean(state.centre[which], x - cell, int(state.n), centre_rate)


@compiled
def _settled(state: Any) -> bool:
    """Say whether the known period is kept although one has just been found: it foretells well, or is on trial."""
    if state.period <= 0.0:
        return False
    on_trial = state.newest - state.period_from < TRIAL * state.period
    return on_trial or state.usual[CYCLIC] < LATEST * state.usual[NONE]
