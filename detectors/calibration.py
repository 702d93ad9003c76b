"""From a raw score to a p-value: how often a normal event of this source looks at least this odd."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from detectors.compiled import compiled

BINS = 48
TOP = 200.0
SCALE = BINS / math.log1p(TOP)
LARGEST_SCORE = 1e9
MEMORY = 8_000
"""Scores that are counted in full; once there are so many, all that are counted so far count half."""

FULL = 2
"""Count of one score: an old one counts 1, a very old one 0."""

HIGHEST, HIGHEST_OF_BLOCK = 16, 8
"""How many of the highest scores are kept one by one: of those that count, and of those that wait."""

FINE = 1_000.0
"""Parts of a bin in which they are kept."""

PARTS, NEAR = 255, 16
"""Parts of a bin in which the middle of its scores is known; that of the last sixteen or so."""

FEW = 4
"""Fewer of them than this are no longer enough to tell."""

ALIKE = 2.0
"""Scores that a new one is taken to share its place with: those around it are like it, and do not count yet."""

TAIL = 8
PRIOR_EXCESS = 0.10 * SCALE
PRIOR_WEIGHT = 2.0
LEAST_EXCESS = 0.3
REFIT_EVERY = 16
PART, BLOCK = 32, 128
"""A score waits for a 32nd to a 16th of all scores so far, later for 128 to 256."""

PATIENT_PART, PATIENT_BLOCK = 2, 250
"""The same where an anomaly is often a large part of all there is: half of all scores, later 250 to 500."""

SMALLEST = 1e-15
"""Smallest p-value there is."""

CALIBRATION = np.dtype(
    [
        ("counts", "<u2", BINS),
        ("older", "u1", BINS),
        ("newer", "u1", BINS),
        ("middle", "u1", BINS),  # where in each bin its scores lie of late, in 255ths; 0 while there were none
        ("highest", "<u2", HIGHEST),  # in parts of a bin, from the highest down; 0 where there are no more
        ("highest_older", "<u2", HIGHEST_OF_BLOCK),
        ("highest_newer", "<u2", HIGHEST_OF_BLOCK),
        ("whole_from", "<u2"),  # all that count from here on are among the highest
        ("total", "<f4"),
        ("seen", "<i4"),
        ("waiting_older", "<i4"),
        ("waiting_newer", "<i4"),
        ("fresh", "<i4"),
        ("start", "<f4"),
        ("share", "<f4"),
        ("rate", "<f4"),
        ("limit", "<f4"),
    ]
)
"""State of one calibration; all zeros to begin with. About 99 % of normal events keep below ``limit``."""

NORMAL_P = 0.01


@compiled
def _place(score: float) -> float:
    return math.log1p(min(score, LARGEST_SCORE)) * SCALE


@compiled
def _part(place: float) -> int:
    """Return a place as it is kept among the highest."""
    return int(min(place, BINS - 1.0) * FINE)


@compiled
def p_value_of(calibration: Any, score: float) -> float:
    """Return the p-value of a raw score that is at least 0; 1 while nothing is known."""
    total = float(calibration.total)
    if total <= 0.0:
        return 1.0
    if calibration.fresh <= 0:
        fit_tail(calibration)
    place, one = _place(score), 1.0 / (total + 1.0)
    start = float(calibration.start)
    if _part(place) > start * FINE + 0.5:
        beyond = float(calibration.share) * math.exp(float(calibration.rate) * (start - place))
        return max(beyond, one * one * one, SMALLEST)
    return min((_at_least(calibration, place) + ALIKE) * one, 1.0)


@compiled
def _at_least(calibration: Any, place: float) -> float:
    """Return how many scores from a place on count: exactly among the highest, below them by their bins."""
    part, rank = _part(place), 0
    while rank < HIGHEST and calibration.highest[rank] >= max(part, 1):
        rank += 1
    whole_from = max(int(calibration.whole_from), 1)
    if part >= whole_from:
        return float(rank)
    bin_, above = part // int(FINE), 0.0
    for higher in range(bin_ + 1, BINS):
        above += calibration.counts[higher] / FULL
    end, known = bin_ + 1.0, whole_from / FINE
    low = above + calibration.counts[bin_] / FULL
    if part + 1 == whole_from:
        return low  # so many are equal to this one that not all could be kept
    if known < end:
        end, above = known, min(float(rank), low)
    start, middle = float(bin_), bin_ + calibration.middle[bin_] / PARTS
    if place < middle < end:
        end, above = middle, 0.5 * (low + above)
    elif start < middle <= place:
        start, low = middle, 0.5 * (low + above)
    # From one to the next, counts fall about exponentially.
    return (low + 1.0) * ((above + 1.0) / (low + 1.0)) ** ((place - start) / (end - start)) - 1.0


@compiled
def learn_score(calibration: Any, score: float, part: int, block: int) -> None:
    """Take a raw score in; it counts once as many others as one ``part``-th or two of all have come after it."""
    calibration.seen += 1
    place = _place(score)
    bin_ = min(int(place), BINS - 1)
    calibration.newer[bin_] += 1
    calibration.middle[bin_] = _follow(int(calibration.middle[bin_]), min(int((place - bin_) * PARTS), PARTS))
    _insert(calibration.highest_newer, _part(place))
    calibration.waiting_newer += 1
    if calibration.waiting_newer >= min(max(calibration.seen // part, 1), block):
        _count(calibration)


@compiled
def _follow(middle: int, part: int) -> int:
    """Return the middle of a bin's scores after one more."""
    if middle == 0:
        return max(part, 1)
    step = (part - middle) / NEAR
    return max(middle + int(math.ceil(step) if step > 0.0 else math.floor(step)), 1)


@compiled
def _insert(highest: Any, part: int) -> int:
    """Put a place among the highest and return the one that has to go, 0 if none has."""
    lowest = int(highest[-1])
    if part <= lowest:
        return part
    at = len(highest) - 1
    while at > 0 and highest[at - 1] < part:
        highest[at] = highest[at - 1]
        at -= 1
    highest[at] = part
    return lowest


@compiled
def _count(calibration: Any) -> None:
    """Count the older of the two blocks that wait, and let the newer take its place."""
    halved = float(calibration.total) + calibration.waiting_older > MEMORY
    counted = 0
    for bin_ in range(BINS):
        count = int(calibration.counts[bin_]) + FULL * int(calibration.older[bin_])
        if halved:
            count //= 2
        counted += count
        calibration.counts[bin_] = count
        calibration.older[bin_] = calibration.newer[bin_]
        calibration.newer[bin_] = 0
    calibration.total = counted / FULL
    calibration.fresh -= calibration.waiting_older
    calibration.waiting_older = calibration.waiting_newer
    calibration.waiting_newer = 0
    _count_highest(calibration, halved)


@compiled
def _count_highest(calibration: Any, halved: bool) -> None:
    """Do the same with the highest: each stays only while all that count from there on are known."""
    highest, older, newer = calibration.highest, calibration.highest_older, calibration.highest_newer
    if halved:
        for i in range(HIGHEST):
            highest[i] = highest[2 * i + 1] if 2 * i + 1 < HIGHEST else 0
    whole_from = int(calibration.whole_from)
    if older[-1] > 0:
        whole_from = max(whole_from, older[-1] + 1)
    for i in range(HIGHEST_OF_BLOCK):
        dropped = _insert(highest, int(older[i]))
        if dropped > 0:
            whole_from = max(whole_from, dropped + 1)
        older[i] = newer[i]
        newer[i] = 0
    kept = 0
    while kept < HIGHEST and highest[kept] >= max(whole_from, 1):
        kept += 1
    highest[kept:] = 0
    calibration.whole_from = whole_from
    if halved and kept < FEW:
        spread_highest(calibration)


@compiled
def spread_highest(calibration: Any) -> None:
    """Take the highest to lie in their bins as scores mostly do, where they are not known one by one."""
    above, rank, bin_ = 0.0, 0, BINS
    calibration.highest[:] = 0
    while bin_ > 0 and rank < HIGHEST:
        bin_ -= 1
        low = above + calibration.counts[bin_] / FULL
        while rank < HIGHEST and rank + 1.0 <= low:
            rank += 1
            share = math.log((low + 1.0) / (rank + 1.0)) / math.log((low + 1.0) / (above + 1.0))
            calibration.highest[rank - 1] = max(int((bin_ + min(share, 0.999)) * FINE), 1)
        above = low
    calibration.whole_from = calibration.highest[max(rank - 1, 0)]
    calibration.fresh = 0


@compiled
def calibrate(calibration: Any, score: float, part: int = PART, block: int = BLOCK) -> float:
    """Return the p-value of a raw score, then take it in."""
    p_value = p_value_of(calibration, score)
    learn_score(calibration, score, part, block)
    return p_value


@compiled
def clear(calibration: Any) -> None:
    """Forget all scores."""
    calibration.counts[:] = 0
    calibration.older[:] = 0
    calibration.newer[:] = 0
    calibration.middle[:] = 0
    calibration.highest[:] = 0
    calibration.highest_older[:] = 0
    calibration.highest_newer[:] = 0
    calibration.whole_from = calibration.seen = calibration.waiting_older = calibration.waiting_newer = 0
    calibration.total = calibration.start = calibration.share = calibration.rate = calibration.limit = 0.0
    calibration.fresh = 0


@compiled
def score_at(calibration: Any, p_value: float) -> float:
    """Return the raw score whose p-value is this one: the inverse of ``p_value_of``, to within a bin."""
    total, share = float(calibration.total), float(calibration.share)
    if total <= 0.0:
        return 0.0
    if p_value <= share:
        place = float(calibration.start) + math.log(share / p_value) / float(calibration.rate)
        return min(math.expm1(place / SCALE), LARGEST_SCORE)
    above, wanted = 0.0, max(p_value * (total + 1.0) - 1.0, 0.0)
    for bin_ in range(BINS - 1, -1, -1):
        low = above + calibration.counts[bin_] / FULL
        if low > above and low >= wanted:
            part = math.log((low + 1.0) / (wanted + 1.0)) / math.log((low + 1.0) / (above + 1.0))
            return math.expm1((bin_ + part) / SCALE)
        above = low
    return 0.0


@compiled
def fit_tail(calibration: Any) -> None:
    """Fit the tail to the highest scores; while they are few, a prior steadies it."""
    highest, count, excess = calibration.highest, 0, 0.0
    while count < TAIL and highest[count] > 0 and count + 1 <= max(0.1 * float(calibration.total), 1.0):
        count += 1
    start = (highest[count - 1] if count > 0 else calibration.whole_from) / FINE
    for i in range(count):
        excess += highest[i] / FINE - start
    excess = (excess + PRIOR_WEIGHT * PRIOR_EXCESS) / (count + PRIOR_WEIGHT)
    calibration.start = start
    calibration.share = (count + ALIKE) / (float(calibration.total) + 1.0)
    calibration.rate = 1.0 / max(excess, LEAST_EXCESS)
    calibration.fresh = REFIT_EVERY
    calibration.limit = score_at(calibration, NORMAL_P)
