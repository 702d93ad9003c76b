"""From a raw score to a p-value: how often a normal event of this source looks at least this odd."""

from __future__ import annotations

import math
from typing import Any

import msgspec
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

TAIL = 8.0
PRIOR_EXCESS = 0.10 * SCALE
PRIOR_WEIGHT = 2.0
LEAST_EXCESS = 0.5
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
        ("total", "<f8"),
        ("seen", "<i8"),
        ("waiting_older", "<i4"),
        ("waiting_newer", "<i4"),
        ("fresh", "<i4"),
        ("start", "<f8"),
        ("share", "<f8"),
        ("rate", "<f8"),
        ("limit", "<f8"),
    ]
)
"""State of one calibration; all zeros to begin with. About 99 % of normal events keep below ``limit``."""

NORMAL_P = 0.01


@compiled
def p_value_of(calibration: Any, score: float) -> float:
    """Return the p-value of a raw score that is at least 0; 1 while nothing is known."""
    total = calibration.total
    if total <= 0.0:
        return 1.0
    if calibration.fresh <= 0:
        fit_tail(calibration)
    place = math.log1p(min(score, LARGEST_SCORE)) * SCALE
    if place > calibration.start:
        one = 1.0 / (total + 1.0)
        beyond = calibration.share * math.exp(calibration.rate * (calibration.start - place))
        return max(beyond, one * one * one, SMALLEST)
    bin_ = int(place)
    above = float(calibration.counts[bin_]) * (bin_ + 1 - place)
    for higher in range(bin_ + 1, BINS):
        above += float(calibration.counts[higher])
    return min((above / FULL + 1.0) / (total + 1.0), 1.0)


@compiled
def learn_score(calibration: Any, score: float, part: int, block: int) -> None:
    """Take a raw score in; it counts once as many others as one ``part``-th or two of all have come after it."""
    calibration.seen += 1
    bin_ = min(int(math.log1p(min(score, LARGEST_SCORE)) * SCALE), BINS - 1)
    calibration.newer[bin_] += 1
    calibration.waiting_newer += 1
    if calibration.waiting_newer >= min(max(calibration.seen // part, 1), block):
        _count(calibration)


@compiled
def _count(calibration: Any) -> None:
    """Count the older of the two blocks that wait, and let the newer take its place."""
    halved = calibration.total + calibration.waiting_older > MEMORY
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


@compiled
def calibrate(calibration: Any, score: float, part: int = PART, block: int = BLOCK) -> float:
    """Return the p-value of a raw score, then take it in."""
    p_value = p_value_of(calibration, score)
    learn_score(calibration, score, part, block)
    return p_value


@compiled
def score_at(calibration: Any, p_value: float) -> float:
    """Return the raw score whose p-value is this one: the inverse of ``p_value_of``, to within a bin."""
    if calibration.total <= 0.0:
        return 0.0
    if p_value <= calibration.share:
        place = calibration.start + math.log(calibration.share / p_value) / calibration.rate
        return min(math.expm1(place / SCALE), LARGEST_SCORE)
    above, wanted = 1.0, p_value * (calibration.total + 1.0)
    for bin_ in range(BINS - 1, -1, -1):
        count = float(calibration.counts[bin_]) / FULL
        above += count
        if above >= wanted and count > 0.0:
            return math.expm1((bin_ + (above - wanted) / count) / SCALE)
    return 0.0


@compiled
def fit_tail(calibration: Any) -> None:
    """Fit the tail to the highest scores; while they are few, a prior steadies it."""
    wanted = min(TAIL, 0.1 * calibration.total)
    above, moment, bin_ = 0.0, 0.0, BINS
    while bin_ > 0 and above < wanted:
        bin_ -= 1
        count = float(calibration.counts[bin_]) / FULL
        above += count
        moment += count * (bin_ + 0.5)
    excess = (moment - above * bin_ + PRIOR_WEIGHT * PRIOR_EXCESS) / (above + PRIOR_WEIGHT)
    calibration.start = float(bin_)
    calibration.share = (above + 1.0) / (calibration.total + 1.0)
    calibration.rate = 1.0 / max(excess, LEAST_EXCESS)
    calibration.fresh = REFIT_EVERY
    calibration.limit = score_at(calibration, NORMAL_P)


class Calibrator(msgspec.Struct, array_like=True):
    """A calibration by itself, for a detector that is written in plain Python; its state is in ``state``.

    A conformal p-value is the share of a source's recent scores that are at least as high (Vovk et al. 2005). Some
    4,000 to 8,000 scores, old ones counting half, are kept in a histogram of ``log(1 + score)``. Beyond the highest
    eight the tail is extrapolated: a power law in the score, fitted by its mean excess (Hill 1975). However far that
    reaches, ``n`` scores give no p-value below ``1/n³``. A score counts only after some others have come, so that
    what goes on at the moment is not yet normal. Cost: about 3 µs, within compiled code 0.1 µs. State: 0.3 KB.

    References
    ----------
    Vovk, V., Gammerman, A., Shafer, G. (2005). Algorithmic Learning in a Random World. Springer.
    https://doi.org/10.1007/b106715
    Hill, B. M. (1975). A simple general approach to inference about the tail of a distribution.
    Annals of Statistics 3(5), 1163-1174. https://doi.org/10.1214/aos/1176343247

    Examples
    --------
    >>> calibrator = Calibrator()
    >>> usual = [calibrator.process_one(i % 100 / 50) for i in range(1000)]
    >>> round(calibrator.process_one(0.98), 1), calibrator.process_one(30.0) < 1e-4
    (0.5, True)

    """

    state: bytearray = msgspec.field(default_factory=lambda: bytearray(CALIBRATION.itemsize))

    def process_one(self, score: float) -> float:
        """Return the p-value of a raw score that is at least 0, then take it in."""
        return float(calibrate(np.frombuffer(self.state, CALIBRATION)[0], score))

    def p_value(self, score: float) -> float:
        """Return the p-value of a raw score that is at least 0."""
        return float(p_value_of(np.frombuffer(self.state, CALIBRATION)[0], score))
