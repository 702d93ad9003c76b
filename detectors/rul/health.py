"""A health index that no label teaches: how far a machine is from how the fleet is when it is young."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from detectors.rul.condition import OF_LATE, Floats, Layout

YOUTH = 1 / 4
"""Age up to which a machine counts as healthy, in shares of the horizon."""

WORST = 0.97
"""Quantile of the fleet's distances that counts as no health at all: the last moments of most lives."""


@dataclass(frozen=True, slots=True)
class Healthy:
    """How machines are when they are young, and how far from it the worst of the fleet get.

    The distance is Hotelling's T² of the readings of late, whose logarithm falls from 1 to 0 between the median of the
    young and the worst of all.

    Parameters
    ----------
    sensors
        How many features, from the first, are readings of late.
    horizon
        How far ahead remaining life is told.
    centre
        Shape (sensors,).
    whitening
        Shape (sensors, sensors).
    usual, worst
        Distances that count as 1 and as 0.

    """

    sensors: int
    horizon: float
    centre: Floats
    whitening: Floats
    usual: float
    worst: float

    @classmethod
    def fitted(cls, features: Floats, layout: Layout) -> Self:
        """Learn from conditions of machines of all ages.

        Parameters
        ----------
        features
            Shape (rows, features).
        layout
            What they are made of.

        """
        sensors = len(layout.columns)
        readings, ages = features[:, :sensors], features[:, -2]
        young = readings[ages <= YOUTH * layout.horizon]
        centre = np.nan_to_num(np.nanmean(young, axis=0))
        deviations = np.nan_to_num(young - centre)
        covariance = deviations.T @ deviations / len(young)
        # Shrunk to its diagonal (Ledoit and Wolf's idea, of a fixed share), and sensors that never move count nothing.
        variances = np.diag(covariance).copy()
        fixed = variances <= (1e-9 * np.abs(centre)) ** 2
        variances[fixed] = 1.0
        shrunk = 0.9 * covariance + 0.1 * np.diag(variances)
        shrunk[fixed] = shrunk[:, fixed] = 0.0
        shrunk[fixed, fixed] = 1.0
        whitening = np.linalg.inv(np.linalg.cholesky(shrunk)).T
        whitening[fixed] = 0.0
        found = cls(sensors, layout.horizon, centre, whitening, 1.0, 2.0)
        distances = found.distance(features)
        usual = float(np.median(distances[ages <= YOUTH * layout.horizon]))
        return replace(found, usual=usual, worst=max(float(np.quantile(distances, WORST)), 2 * usual))

    def distance(self, features: Floats) -> Floats:
        """Return how far each machine is from healthy ones: shape (rows,)."""
        deviations = np.nan_to_num(features[:, : self.sensors] - self.centre) @ self.whitening
        # The first readings' mean is noise, of which little is believed.
        believed = 1.0 - 0.5 ** (features[:, -2] / (OF_LATE * self.horizon))
        found: Floats = (deviations**2).sum(axis=1) * believed + 1e-12
        return found

    def health(self, features: Floats) -> Floats:
        """Return health from 1 to 0: shape (rows,)."""
        way = np.log(self.distance(features) / self.usual) / np.log(self.worst / self.usual)
        return np.clip(1.0 - way, 0.0, 1.0)
