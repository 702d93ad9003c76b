"""What sources of one type teach those that begin: how their signals score while nothing is wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from detectors.calibration import BINS, FULL, spread_highest
from detectors.judgement import KINDS

FORMAT = 1
SOURCE_KEY = ""
"""Stands for the source as a whole among the names of its values."""

LEAST_SCORES = 200
"""Scores that a source must have calibrated by before it teaches others."""

ADOPTED_SCORES = 200
"""What peers teach counts as so many scores of the source's own."""

Counts = NDArray[np.float64]


def prior(source: Any, values: Any, places: Mapping[str, int]) -> bytes | None:
    """Return the distributions of a source's scores, ``None`` while it has too few."""
    if source["evidence"]["total"][0] < LEAST_SCORES:
        return None
    counts = {SOURCE_KEY: source["evidence"]["counts"][0].tobytes()}
    for name, place in places.items():
        counts[name] = b"".join(values[kind]["calibration"]["counts"][place].tobytes() for kind in KINDS)
    return msgspec.msgpack.encode((FORMAT, counts))


def pool(priors: Sequence[bytes]) -> dict[str, Counts]:
    """Return the mean distributions of several sources' scores, by value; of each kind a row that sums to 1 or 0."""
    gathered: dict[str, list[Counts]] = {}
    for each in priors:
        try:
            version, counts = msgspec.msgpack.decode(each, type=tuple[int, dict[str, bytes]])
        except msgspec.DecodeError:
            continue
        for name, row in counts.items() if version == FORMAT else ():
            if len(row) != 2 * BINS * (1 if name == SOURCE_KEY else len(KINDS)):
                continue
            rows = np.frombuffer(row, "<u2").reshape(-1, BINS).astype(float)
            gathered.setdefault(name, []).append(rows / np.maximum(rows.sum(axis=1, keepdims=True), 1.0))
    return {name: np.mean(rows, axis=0) for name, rows in gathered.items()}


def adopt(pooled: Mapping[str, Counts], source: Any, values: Any, places: Mapping[str, int]) -> None:
    """Let a source that begins calibrate by what its peers' scores were."""
    for name, rows in pooled.items():
        if name == SOURCE_KEY:
            _begin(source["evidence"], 0, rows[0])
            continue
        for kind, row in zip(KINDS, rows, strict=True):
            _begin(values[kind]["calibration"], places[name], row)


def _begin(calibrations: Any, place: int, distribution: Counts) -> None:
    counts = np.round(distribution * ADOPTED_SCORES * FULL).astype(np.uint16)
    total = float(counts.sum()) / FULL
    calibrations["counts"][place] = counts
    calibrations["total"][place] = total
    calibrations["seen"][place] = int(total)
    spread_highest(calibrations[place])
