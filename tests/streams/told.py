"""A small real detector: events say how improbable they are, and what is usual is learned, and begun from peers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from detectors.base import Detector, SnapshotError
from detectors.score import Score, SignalScore, ValueExplanation, anomaly_score

ENOUGH = 5


class Mean(msgspec.Struct, array_like=True):
    """What has been learned of one value."""

    events: int = 0
    mean: float = 0.0


class Told(Detector):
    """Takes the p-value from the value ``p``, and expects of the value ``x`` its mean, at first that of its peers."""

    def __init__(self) -> None:
        self._learned = Mean()

    def process_one(self, x: Mapping[str, float], t: float | None = None) -> Score:
        p_value = x.get("p", 1.0)
        if p_value < 0:
            raise ValueError("a p-value is not negative")
        learned = self._learned
        values = {"x": ValueExplanation(x["x"], learned.mean if learned.events else None, None, None, 1.0)}
        missing = () if learned.events >= ENOUGH else (f"{ENOUGH - learned.events} more events",)
        warm_up = min(1.0, learned.events / ENOUGH)
        self.learn_one(x, t)
        signals = (SignalScore("spike", p_value, "x", 1),)
        return Score(p_value, anomaly_score(p_value), signals, values, warm_up, missing)

    def score_one(self, x: Mapping[str, float], t: float | None = None) -> float:
        return anomaly_score(x.get("p", 1.0))

    def learn_one(self, x: Mapping[str, float], t: float | None = None) -> None:
        learned = self._learned
        learned.events += 1
        learned.mean += (x["x"] - learned.mean) / learned.events

    def prior(self) -> bytes | None:
        return self.snapshot() if self._learned.events >= ENOUGH else None

    def adopt(self, priors: Sequence[bytes]) -> None:
        peers = [msgspec.msgpack.decode(prior, type=Mean) for prior in priors]
        self._learned = Mean(ENOUGH, sum(peer.mean for peer in peers) / len(peers))

    def snapshot(self) -> bytes:
        return msgspec.msgpack.encode(self._learned)

    def restore(self, state: bytes) -> None:
        try:
            self._learned = msgspec.msgpack.decode(state, type=Mean)
        except msgspec.DecodeError as error:
            raise SnapshotError("this is no state of Told") from error
