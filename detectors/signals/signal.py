"""What all signals have in common: a detector that looks at each value for one kind of anomaly."""

from __future__ import annotations

import abc
from collections.abc import Mapping
from typing import Any, ClassVar

import msgspec
import numpy as np

from detectors.base import Detector, SnapshotError, parts_of
from detectors.calibration import SMALLEST
from detectors.score import Score, SignalScore, ValueExplanation, anomaly_score

FORMAT = 3
LARGEST = 1e30
"""Larger values are taken for this one."""


class Signal(Detector):
    """A detector of one kind of anomaly, value by value; with several values the smallest p-value counts, corrected.

    What it knows of a value is one record of numbers, so that its bytes are its snapshot. A subclass says how such a
    record looks and what one more value does to it.
    """

    state_format = FORMAT
    kind: ClassVar[str]
    """Kind of anomaly that it finds, and so of alert."""
    state: ClassVar[np.dtype[np.void]]
    """What is known of one value; all zeros to begin with."""

    def __init__(self) -> None:
        self._events = 0
        self._states: dict[str, Any] = {}

    @staticmethod
    @abc.abstractmethod
    def process(state: Any, value: float, t: float) -> float:
        """Return the p-value of a value at event time ``t``, then learn it."""

    def process_one(self, x: Mapping[str, float], t: float | None = None) -> Score:
        """Score an event, explain it, then learn from it."""
        time = float(self._events) if t is None else t
        self._events += 1
        found: list[SignalScore] = []
        for name, value in x.items():
            record = self._states.get(name)
            if record is None:
                record = self._states[name] = np.zeros(1, self.state)[0]
            p_value = self.process(record, max(-LARGEST, min(float(value), LARGEST)), time) * len(x)
            if p_value < 1.0:
                found.append(SignalScore(self.kind, max(p_value, SMALLEST), name))
        found.sort(key=lambda signal: signal.p_value)
        p_value = found[0].p_value if found else 1.0
        values = {
            name: ValueExplanation(value, None, None, None, float(name == found[0].name) if found else 1.0 / len(x))
            for name, value in x.items()
        }
        return Score(p_value, anomaly_score(p_value), tuple(found), values)

    def score_one(self, x: Mapping[str, float], t: float | None = None) -> float:
        """Return the anomaly score of an event without learning it."""
        copy = type(self)()
        copy._events = self._events
        copy._states = {name: record.copy() for name, record in self._states.items()}
        return copy.process_one(x, t).anomaly_score

    def learn_one(self, x: Mapping[str, float], t: float | None = None) -> None:
        """Learn from an event."""
        self.process_one(x, t)

    def snapshot(self) -> bytes:
        """Return the whole learned state: numbers and names."""
        states = {name: record.tobytes() for name, record in self._states.items()}
        return msgspec.msgpack.encode((FORMAT, self.kind, self._events, states))

    def restore(self, state: bytes) -> None:
        """Take up a state that ``snapshot`` gave."""
        parts = parts_of(state, FORMAT, f"the detector {self.kind}")
        try:
            kind, events, states = msgspec.convert(parts, tuple[str, int, dict[str, bytes]])
            if kind != self.kind:
                raise ValueError(f"it is one of {kind}")  # noqa: TRY301
            restored = {name: _record(state, self.state) for name, state in states.items()}
        except ValueError as error:
            raise SnapshotError(
                f"this is no state of the detector {self.kind} ({error}): reset the source's state"
            ) from error
        self._events, self._states = events, restored


def _record(state: bytes, kind: np.dtype[np.void]) -> Any:
    if len(state) != kind.itemsize:
        raise ValueError(f"a record has {len(state)} bytes, not {kind.itemsize}")
    return np.frombuffer(state, kind).copy()[0]
