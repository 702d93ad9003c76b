"""What a decision on a transaction rested on: enough to decide again."""

from __future__ import annotations

from array import array

import msgspec

from detectors.base import SnapshotError
from detectors.transactions.model import FEATURES, FraudScore, named

FORMAT, FORMAT_DECLARED = 1, 2
"""Of a trace of built-in features alone, and of one with declared features, which it names."""


class DecisionTrace(msgspec.Struct, array_like=True, frozen=True):
    """A decision's features, the parts of its score, and the settings that made a decision of it.

    Parameters
    ----------
    format
        Of this trace.
    features
        As the model saw them, packed.
    contributions
        What each feature added to the log-odds of fraud, in the order of the features.
    settings
        Thresholds.
    breaker
        Whether the breaker was open.

    Features that the configuration declared are named in it, so it can be read under any other configuration.

    Examples
    --------
    >>> from detectors.transactions.decision import DecisionSettings
    >>> score = FraudScore(0.9, 0.01, {"amount": 1.5}, {"amount": 8.0})
    >>> features = array("f", [0.0] * len(FEATURES)).tobytes()
    >>> trace = DecisionTrace.of(features, score, DecisionSettings().model_dump(), breaker=False)
    >>> again = DecisionTrace.decode(trace.encode())
    >>> again.score(0.9, 0.01).contributions["amount"], again.settings["review_at"]
    (1.5, 0.3)

    """

    format: int
    features: bytes
    contributions: list[float]
    settings: dict[str, float | int | None]
    breaker: bool

    @property
    def names(self) -> tuple[str, ...]:
        """The features' names, in their order."""
        return FEATURES

    @classmethod
    def of(
        cls,
        features: bytes,
        score: FraudScore,
        settings: dict[str, float | int | None],
        *,
        breaker: bool,
        names: tuple[str, ...] = FEATURES,
    ) -> DecisionTrace:
        """Return the trace of a decision; ``settings`` are its thresholds as plain values."""
        contributions = [score.contributions.get(name, 0.0) for name in names]
        declared = names[len(FEATURES) :]
        if declared:
            return _DeclaredTrace(FORMAT_DECLARED, features, contributions, settings, breaker, declared)
        return cls(FORMAT, features, contributions, settings, breaker)

    def score(self, probability: float, p_value: float) -> FraudScore:
        """Return the score that was given."""
        found = dict(zip(self.names, self.contributions, strict=True))
        return FraudScore(probability, p_value, found, named(self.features, self.names))

    def encode(self) -> bytes:
        """Return the bytes; equal decisions give equal ones."""
        return msgspec.msgpack.encode(self)

    @classmethod
    def decode(cls, data: bytes) -> DecisionTrace:
        """Return the trace that ``encode`` wrote.

        Raises
        ------
        detectors.base.SnapshotError
            If it is damaged, or of another format.

        """
        try:
            trace = msgspec.msgpack.decode(data, type=_DeclaredTrace)
        except msgspec.DecodeError as error:
            raise SnapshotError(f"the trace is damaged: {error}") from error
        size = array("f").itemsize * len(trace.names)
        if trace.format not in (FORMAT, FORMAT_DECLARED) or len(trace.features) != size:
            raise SnapshotError(f"the trace has format {trace.format}: use the version of Tocsin that it names")
        return trace


class _DeclaredTrace(DecisionTrace, frozen=True):
    declared: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        return (*FEATURES, *self.declared)
