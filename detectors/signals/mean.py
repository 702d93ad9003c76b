"""Running means that begin as plain averages and then forget exponentially."""

from __future__ import annotations

import msgspec


class Mean(msgspec.Struct, array_like=True):
    """Mean of the values so far, until there are ``1 / rate`` of them; from then on exponentially weighted.

    Parameters
    ----------
    rate
        Weight of a new value, in the long run.

    Examples
    --------
    >>> mean = Mean(0.1)
    >>> for value in (1.0, 2.0, 3.0):
    ...     mean.learn_one(value)
    >>> mean.value
    2.0

    """

    rate: float
    value: float = 0.0
    n: int = 0

    def learn_one(self, value: float) -> None:
        """Take a value in."""
        self.n += 1
        rate = self.rate
        self.value += (value - self.value) * (rate if self.n * rate > 1.0 else 1.0 / self.n)


class Scale(msgspec.Struct, array_like=True):
    """Mean absolute deviation; one wild deviation counts no more than ``clip`` usual ones.

    Parameters
    ----------
    rate
        Weight of a new deviation, in the long run.
    clip
        A deviation larger than this many usual ones is taken for this many.

    Examples
    --------
    >>> scale = Scale(0.1, clip=4.0)
    >>> for deviation in [1.0] * 30 + [1000.0]:
    ...     scale.learn_one(deviation)
    >>> round(scale.value, 2)
    1.3

    """

    rate: float
    clip: float
    value: float = 0.0
    n: int = 0

    def learn_one(self, deviation: float) -> None:
        """Take an absolute deviation in."""
        self.n += 1
        value = self.value
        if self.n > 20 and value and deviation > self.clip * value:
            deviation = self.clip * value
        self.value = value + (deviation - value) * (self.rate if self.n * self.rate > 1.0 else 1.0 / self.n)
