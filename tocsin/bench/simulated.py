"""Simulated sources of a few types, seeded: each has its own level and noise, as machines of one make do."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass

INTERVAL = 60.0
"""Seconds between events."""

A_DAY = 86_400.0 / INTERVAL


@dataclass(frozen=True, slots=True)
class Source:
    """A simulated source.

    Parameters
    ----------
    next_value
        Returns the value of the next event, by its number.
    sigma
        Standard deviation of what cannot be foretold.

    """

    next_value: Callable[[int], float]
    sigma: float


def temperature(chance: random.Random) -> Source:
    """Return a daily wave with noise."""
    level, swing, phase = chance.gauss(60.0, 8.0), chance.uniform(2.0, 6.0), chance.uniform(0.0, 2 * math.pi)
    sigma = chance.uniform(0.3, 0.8)
    return Source(lambda i: level + swing * math.sin(2 * math.pi * i / A_DAY + phase) + chance.gauss(0, sigma), sigma)


def utilisation(chance: random.Random) -> Source:
    """Return a percentage that wanders about its level."""
    level, keeps, sigma = chance.uniform(20.0, 60.0), chance.uniform(0.5, 0.9), chance.uniform(1.0, 3.0)
    away = 0.0

    def next_value(_: int) -> float:
        nonlocal away
        away = keeps * away + chance.gauss(0.0, sigma)
        return min(100.0, max(0.0, level + away))

    return Source(next_value, sigma / math.sqrt(1 - keeps**2))


def requests(chance: random.Random) -> Source:
    """Return counts: a Poisson process, as far as a rounded normal is one."""
    rate = chance.uniform(30.0, 300.0)
    return Source(lambda i: max(0.0, round(chance.gauss(rate, math.sqrt(rate)))), math.sqrt(rate))


def vibration(chance: random.Random) -> Source:
    """Return positive readings with a heavy upper tail."""
    level, width = chance.uniform(0.5, 2.0), chance.uniform(0.15, 0.3)
    sigma = level * math.exp(width**2 / 2) * math.sqrt(math.exp(width**2) - 1)
    return Source(lambda i: level * math.exp(chance.gauss(0.0, width)), sigma)


def pressure(chance: random.Random) -> Source:
    """Return a steady level, read in steps of a tenth."""
    level, sigma = chance.uniform(4.0, 10.0), chance.uniform(0.15, 0.3)
    return Source(lambda i: round(level + chance.gauss(0.0, sigma), 1), sigma)


TYPES: dict[str, Callable[[random.Random], Source]] = {
    one.__name__: one for one in (temperature, utilisation, requests, vibration, pressure)
}


def simulated(kind: str, number: int, seed: int = 0) -> Source:
    """Return a source of a type; the same number and seed give the same events.

    Parameters
    ----------
    kind
        One of ``TYPES``.
    number, seed
        Which one.

    Examples
    --------
    >>> simulated("pressure", 1).next_value(0) == simulated("pressure", 1).next_value(0)
    True

    """
    return TYPES[kind](random.Random(f"{seed} {kind} {number}"))  # noqa: S311  nothing secret
