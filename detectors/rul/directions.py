"""Directions in which conditions tell most about the time that is left."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from detectors.rul.condition import Floats

RIDGE = 0.006
"""Penalty of the regression, in shares of a feature's variance."""

HALFWAY = 0.48
"""Share of the horizon below which the second direction is found: wear that begins late shows in other sensors."""

NEAR = 0.16
"""Scale, in shares of the horizon, on which the third tells the last moments apart."""

MOST_MODES = 5
"""Modes of failure that are told apart, the most frequent ones."""

BINS = 25


@dataclass(frozen=True, slots=True)
class Directions:
    """Three directions and more, in units of how much machines with as much time left differ along them.

    Parameters
    ----------
    centre
        Of each feature; it stands in for one that is missing. Shape (features,).
    weights
        Shape (features, directions).

    """

    centre: Floats
    weights: Floats

    @classmethod
    def fitted(cls, features: Floats, left: Floats, horizon: float, modes: Sequence[str] = ()) -> Self:
        """Find the directions by ridge regression on three views of the time left, then whiten within equal times.

        Parameters
        ----------
        features
            Shape (rows, features).
        left
            Time left, at most the horizon. Shape (rows,).
        horizon
            How far ahead remaining life is told.
        modes
            What failed in the end, by row; empty where nobody knows. Of several, each but the most frequent has a
            direction of its own.

        """
        centre = np.nan_to_num(np.nanmean(features, axis=0))
        deviations = np.nan_to_num(features - centre)
        every = np.ones(len(left), dtype=bool)
        late = left < HALFWAY * horizon
        views = [(every, left), (late, left), (every, np.exp(-left / (NEAR * horizon)))]
        for mode, _ in Counter(mode for mode in modes if mode).most_common(MOST_MODES)[1:]:
            views.append((late, np.array([one == mode for one in modes], dtype=np.float64)))
        found = np.column_stack([_ridge(deviations[rows], target[rows]) for rows, target in views])
        return cls(centre, found @ _whitening(deviations @ found, left, horizon))

    def project(self, features: Floats) -> Floats:
        """Return conditions along the directions: shape (rows, directions)."""
        found: Floats = np.nan_to_num(features - self.centre) @ self.weights
        return found


def _ridge(features: Floats, target: Floats) -> Floats:
    if len(target) < 2:
        return np.zeros(features.shape[1])
    deviations = features - features.mean(axis=0)
    scale = deviations.std(axis=0)
    scale[scale <= 1e-9 * np.abs(features).max(axis=0)] = np.inf
    standard = deviations / scale
    gram = standard.T @ standard / len(target) + RIDGE * np.eye(len(scale))
    found: Floats = np.linalg.solve(gram, standard.T @ (target - target.mean()) / len(target)) / scale
    return found


def _whitening(points: Floats, left: Floats, horizon: float) -> Floats:
    """Return the matrix that makes the differences between machines with as much time left of unit size."""
    bins = np.minimum((left / horizon * BINS).astype(int), BINS)
    means = np.zeros((BINS + 1, points.shape[1]))
    np.add.at(means, bins, points)
    means /= np.maximum(np.bincount(bins, minlength=BINS + 1), 1)[:, None]
    within = points - means[bins]
    covariance = within.T @ within / len(points)
    floor = 1e-9 * max(float(np.trace(covariance)), 1e-300)
    inverse: Floats = np.linalg.inv(np.linalg.cholesky(covariance + floor * np.eye(len(covariance)))).T
    return inverse
