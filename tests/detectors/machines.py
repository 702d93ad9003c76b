"""Machines that wear: a drift that begins late and grows, in some of their sensors, beside noise."""

from __future__ import annotations

import numpy as np

from detectors.rul import History

COLUMNS = ("heat", "vibration", "speed")


def machines(count: int, seed: int = 0, modes: tuple[str, ...] = ("bearing",)) -> list[History]:
    """Return the lives of machines that failed; each mode of failure shows in another sensor."""
    draw = np.random.default_rng(seed)
    found = []
    for number in range(count):
        mode = number % len(modes)
        life = int(draw.integers(80, 160))
        wear = np.maximum(np.arange(life) - (life - 50), 0) / 50.0
        values = draw.normal(0.0, 0.2, (life, 3))
        values[:, mode] += 4.0 * wear**1.5
        values[:, 2] += 100.0
        found.append(History(f"m{number}", np.arange(1.0, life + 1), values, modes[mode]))
    return found
