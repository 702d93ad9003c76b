"""What a detector says of one event."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping

import msgspec


class Foreseen(msgspec.Struct, frozen=True):
    """What is likely to come: that a value crosses its limit, or that a machine fails.

    Parameters
    ----------
    event
        ``limit`` or ``failure``.
    probability
        That it comes within the horizon, 0…1.
    within
        The horizon, from the event on, in the unit.
    unit
        Unit of the times here: ``s``, or what a machine's life is counted in, such as ``cycle``.
    soonest, median, latest
        Times until it comes: that of the first tenth or twentieth of what may happen, of half, and of the last;
        infinite beyond the horizon. All are 0 once it has come.
    limit
        The value's limit.
    per_hour
        By how much the value is foretold to move in an hour.
    reasons
        What it rests on, in words.

    """

    event: str
    probability: float
    within: float
    unit: str
    soonest: float
    median: float
    latest: float
    limit: float | None = None
    per_hour: float | None = None
    reasons: tuple[str, ...] = ()


class SignalScore(msgspec.Struct, frozen=True):
    """One named signal's verdict on one event.

    Parameters
    ----------
    kind
        What kind of anomaly the signal looks for: ``spike``, ``level``, ``flatline``, ``silence``, …
        An alert is raised per source and kind.
    p_value
        Probability, in (0, 1], of a signal at least this strong while nothing is wrong.
    name
        The value (feature) that drove the signal, ``None`` when it concerns the source as a whole.
    direction
        ``1`` above what was expected, ``-1`` below, ``0`` when direction has no meaning.
    started_at
        Approximate start of what the signal sees, epoch seconds; ``None`` means this event.
    expected, lower, upper
        What this signal compares the value with, and its bounds, where these are its own.
    foreseen
        What an early warning foretells.

    """

    kind: str
    p_value: float
    name: str | None = None
    direction: int = 0
    started_at: float | None = None
    expected: float | None = None
    lower: float | None = None
    upper: float | None = None
    foreseen: Foreseen | None = None


class ValueExplanation(msgspec.Struct, frozen=True):
    """One value of an event beside what was expected of it.

    Parameters
    ----------
    value
        The value as it came.
    expected
        What the detector expected before it saw the value; ``None`` while it does not know.
    lower, upper
        Bounds that about 99 % of normal values keep to; ``None`` while unknown.
    contribution
        Share of this value in the anomaly, in 0…1; the shares of an event sum to 1.

    """

    value: float
    expected: float | None
    lower: float | None
    upper: float | None
    contribution: float


class Explanations(Mapping[str, ValueExplanation]):
    """The explanation of each value of an event, made when it is first asked for: of most events nobody asks.

    Parameters
    ----------
    x
        The event's values.
    explain
        Makes the explanations.

    Examples
    --------
    >>> values = Explanations({"x": 1.0}, lambda x: {"x": ValueExplanation(x["x"], 0.5, None, None, 1.0)})
    >>> values["x"].expected
    0.5

    """

    __slots__ = ("_explain", "_made", "_x")

    def __init__(
        self, x: Mapping[str, float], explain: Callable[[Mapping[str, float]], Mapping[str, ValueExplanation]]
    ) -> None:
        self._x, self._explain = x, explain
        self._made: Mapping[str, ValueExplanation] | None = None

    def __getitem__(self, name: str) -> ValueExplanation:
        return self._all()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._x)

    def __len__(self) -> int:
        return len(self._x)

    def __repr__(self) -> str:
        return repr(self._all())

    def _all(self) -> Mapping[str, ValueExplanation]:
        if self._made is None:
            self._made = self._explain(self._x)
        return self._made


class Score(msgspec.Struct, frozen=True):
    """A detector's calibrated and explained verdict on one event.

    Parameters
    ----------
    p_value
        Conformal p-value in (0, 1] of the event as a whole: how often a normal event looks at least this odd.
    anomaly_score
        The p-value on a scale of 0 (usual) to 1 (never seen), comparable across sources and detectors.
    signals
        The signals that have something to say, most significant first; one that is not there found nothing.
    values
        Explanation per value, by name.
    warm_up
        How far the detector has got with learning what is normal, 0…1; 1 once its scores are fully usable.
    missing
        What is still to come before scores are fully usable, in plain words.

    Examples
    --------
    >>> Score(p_value=0.5, anomaly_score=0.0).signals
    ()

    """

    p_value: float
    anomaly_score: float
    signals: tuple[SignalScore, ...] = ()
    values: Mapping[str, ValueExplanation] = msgspec.field(default_factory=dict)
    warm_up: float = 1.0
    missing: tuple[str, ...] = ()


def anomaly_score(p_value: float) -> float:
    """Return a p-value on a scale of 0 (usual) to 1 (never seen).

    Examples
    --------
    >>> [round(anomaly_score(p_value), 2) for p_value in (1.0, 0.1, 0.01, 1e-4, 1e-8)]
    [0.0, 0.44, 0.68, 0.9, 0.99]

    """
    return 1.0 - math.sqrt(math.sqrt(p_value))
