"""The default detector: several signals per value, one p-value, one explanation."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from detectors.base import Detector, SnapshotError
from detectors.calibration import SMALLEST
from detectors.score import Score, SignalScore, ValueExplanation, anomaly_score
from detectors.signals.arrival import Arrival
from detectors.signals.flatline import Flatline
from detectors.signals.joint import Joint
from detectors.signals.level import Level
from detectors.signals.pattern import Pattern
from detectors.signals.season import Season
from detectors.signals.spike import Spike

FORMAT = 1
WARM_UP = 100
LARGEST = 1e150
"""Larger values are taken for this one: its square is still a number."""

PATTERN, SPIKE, LEVEL, SEASON, FLATLINE = "pattern", "spike", "level", "season", "flatline"
WEIGHTS = {PATTERN: 0.75, SEASON: 0.10, SPIKE: 0.05, LEVEL: 0.05, FLATLINE: 0.05}
"""Share of the false alarms that each kind of signal may spend; they sum to 1."""

JOINT = "joint"
JOINT_WEIGHT = 0.5
"""Share of all values together, where there are several."""

KINDS = (*WEIGHTS, JOINT)
"""Kinds of signals, and so of alerts."""

WORTH_TELLING = 0.05
"""p-value above which the joint signal keeps silent."""

SPECIFIC = 0.1
"""A signal at or below this p-value says what kind of thing a new pattern is."""


class _Value(msgspec.Struct, array_like=True):
    """The signals of one value of a source."""

    pattern: Pattern = msgspec.field(default_factory=Pattern)
    season: Season = msgspec.field(default_factory=Season)
    spike: Spike = msgspec.field(default_factory=Spike)
    level: Level = msgspec.field(default_factory=Level)
    flatline: Flatline = msgspec.field(default_factory=Flatline)

    def process_one(
        self, name: str, value: float, t: float, tests: float, found: list[SignalScore]
    ) -> ValueExplanation:
        """Explain a value, put what the signals find of it to the others', and learn it.

        Their p-values are multiplied by ``tests``, for as many values as are looked at. The explanation's contribution
        is not a share yet, but how much there is to explain.
        """
        expected, allowed = self._expected(t)
        specific, kind = 1.0, PATTERN
        for p_value, weighted in (
            (self.season.process_one(value, t) * tests / WEIGHTS[SEASON], SEASON),
            (self.level.process_one(value) * tests / WEIGHTS[LEVEL], LEVEL),
            (self.flatline.process_one(value, t) * tests / WEIGHTS[FLATLINE], FLATLINE),
            (self.spike.process_one(value) * tests / WEIGHTS[SPIKE], SPIKE),
        ):
            if p_value < 1.0:
                found.append(self._signal(weighted, p_value, name, value, expected))
                if p_value < specific or (weighted == SPIKE and p_value <= SPECIFIC):
                    specific, kind = p_value, weighted  # what has just jumped is a spike until it stays
        p_value = self.pattern.process_one(value) * tests / WEIGHTS[PATTERN]
        if p_value < 1.0:
            found.append(self._signal(kind if specific <= SPECIFIC else PATTERN, p_value, name, value, expected))
        lower = expected - allowed if expected is not None and allowed else None
        upper = expected + allowed if expected is not None and allowed else None
        return ValueExplanation(value, expected, lower, upper, -math.log(min(p_value, specific, 1.0)))

    def _expected(self, t: float) -> tuple[float | None, float]:
        """Return the value to expect at event time ``t``, and how far from it is still normal; 0 if nobody knows."""
        if self.season.speaks(t):
            return self.season.expected(t), self.season.allowed
        return (self.spike.level.value if self.spike.level.n else None), self.spike.allowed

    def _signal(self, kind: str, p_value: float, name: str, value: float, expected: float | None) -> SignalScore:
        direction = 0 if expected is None or kind == FLATLINE else (value > expected) - (value < expected)
        started_at = self.flatline.since if kind == FLATLINE else None
        return SignalScore(kind, max(p_value, SMALLEST), name, direction, started_at)


class _State(msgspec.Struct, array_like=True):
    """All that the detector knows."""

    format: int = FORMAT
    events: int = 0
    arrival: Arrival = msgspec.field(default_factory=Arrival)
    values: dict[str, _Value] = msgspec.field(default_factory=dict)
    joint: Joint | None = None


class Auto(Detector):
    """The default: needs no tuning, knows from the first tens of events, and says why.

    Each value of a source is watched by five signals: a *pattern* that it has never shown, a *spike*, a shifted
    *level*, a deviation from its daily *season*, a *flatline*. Each gives a conformal p-value. The smallest counts,
    each divided by its signal's share of the false alarms and multiplied by the number of values (a weighted
    Bonferroni correction), so the result is a p-value again, whatever the signals have in common. A new pattern in
    which another signal speaks too is reported under that signal's name. Where there are several values, half of the
    false alarms are kept for what they look like together: the signal *joint*.

    Its cost is about 22 µs for each value of an event, its state mostly 7 and at most 13 KB for each value.

    Examples
    --------
    >>> import random
    >>> chance, detector = random.Random(1), Auto()
    >>> for second in range(500):
    ...     score = detector.process_one({"temperature": 70 + chance.gauss(0, 1)}, float(second))
    >>> score = detector.process_one({"temperature": 95.0}, 500.0)
    >>> score.signals[0].kind, score.p_value < 1e-4, round(score.values["temperature"].expected)
    ('spike', True, 70)

    References
    ----------
    Genovese, C. R., Roeder, K., Wasserman, L. (2006). False discovery control with p-value weighting. Biometrika 93(3).

    """

    def __init__(self) -> None:
        self._state = _State()

    def process_one(self, x: Mapping[str, float], t: float | None = None) -> Score:
        """Score an event, explain it, then learn from it."""
        state = self._state
        time = float(state.events) if t is None else t
        state.events += 1
        state.arrival.learn_one(time)
        values = {name: max(-LARGEST, min(float(reading), LARGEST)) for name, reading in x.items()}
        if state.joint is None and len(values) > 1:
            state.joint = Joint()
        tests = len(values) / (1.0 - JOINT_WEIGHT if state.joint is not None and state.joint.speaks else 1.0)
        found: list[SignalScore] = []
        explained: dict[str, ValueExplanation] = {}
        for name, value in values.items():
            known = state.values.get(name)
            if known is None:
                known = state.values[name] = _Value()
            explained[name] = known.process_one(name, value, time, tests, found)
        explained = _shared(explained)
        if state.joint is not None:
            explained = _judge_together(state.joint, values, found, explained)
        found.sort(key=_by_p_value)
        p_value = found[0].p_value if found else 1.0
        return Score(p_value, anomaly_score(p_value), tuple(found), explained, self._warm_up())

    def score_one(self, x: Mapping[str, float], t: float | None = None) -> float:
        """Return the anomaly score of an event without learning it.

        The service never asks this: it costs a copy of the state; ``process_one`` costs none.
        """
        copy = Auto()
        copy.restore(self.snapshot())
        return copy.process_one(x, t).anomaly_score

    def learn_one(self, x: Mapping[str, float], t: float | None = None) -> None:
        """Learn from an event."""
        self.process_one(x, t)

    def silent_after(self) -> float | None:
        """Seconds without an event after which this source counts as silent; ``None`` while unknown."""
        return self._state.arrival.silent_after()

    def snapshot(self) -> bytes:
        """Return the whole learned state as MessagePack."""
        return _encoder.encode(self._state)

    def restore(self, state: bytes) -> None:
        """Take up a state that ``snapshot`` gave."""
        try:
            fields = msgspec.msgpack.decode(state, type=list[msgspec.Raw])
            version = msgspec.msgpack.decode(fields[0], type=int)
            if version == FORMAT:
                self._state = _decoder.decode(state)
        except (msgspec.DecodeError, ValueError, TypeError, IndexError) as error:
            raise SnapshotError(f"this is no state of the detector auto ({error}): reset the source's state") from error
        if version != FORMAT:
            raise SnapshotError(
                f"the state of the detector auto has format {version}, this program reads {FORMAT}: run the version"
                " that wrote it, or reset the source's state"
            )

    def _warm_up(self) -> float:
        return min(1.0, min((value.level.recent.n for value in self._state.values.values()), default=0) / WARM_UP)


def _judge_together(
    joint: Joint, values: dict[str, float], found: list[SignalScore], explained: dict[str, ValueExplanation]
) -> dict[str, ValueExplanation]:
    """Put what the values together look like to what was found; return the explanation of what is most significant."""
    p_value = max(joint.process_one(values) / JOINT_WEIGHT, SMALLEST)
    if p_value > WORTH_TELLING or not values:
        return explained
    told = joint.explain(values)
    name = max(told, key=lambda name: told[name].contribution)
    value, expected = told[name].value, told[name].expected or 0.0
    strongest = all(p_value <= signal.p_value for signal in found)
    found.append(SignalScore(JOINT, p_value, name, (value > expected) - (value < expected)))
    return told if strongest else explained


def _shared(explained: dict[str, ValueExplanation]) -> dict[str, ValueExplanation]:
    """Turn the contributions into shares that sum to 1."""
    if len(explained) == 1:
        return {name: _with(value, 1.0) for name, value in explained.items()}
    total = sum(value.contribution for value in explained.values())
    equal = 1.0 / max(len(explained), 1)
    return {name: _with(value, value.contribution / total if total else equal) for name, value in explained.items()}


def _with(value: ValueExplanation, contribution: float) -> ValueExplanation:
    return ValueExplanation(value.value, value.expected, value.lower, value.upper, contribution)


def _by_p_value(signal: SignalScore) -> float:
    return signal.p_value


def _encode(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.shape, value.tobytes()
    raise NotImplementedError(type(value))


def _decode(kind: type, value: Any) -> NDArray[Any]:
    dtype, shape, data = value
    return np.frombuffer(data, np.dtype(dtype)).reshape(shape).copy()


_encoder = msgspec.msgpack.Encoder(enc_hook=_encode)
_decoder = msgspec.msgpack.Decoder(_State, dec_hook=_decode)
