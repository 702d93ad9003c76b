"""What a decision rested on: enough to decide again, and to say why."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from alerts.alert import Alert
from alerts.budget import Allowance
from alerts.policies import Ruling
from detectors.score import Score

FORMAT = 1


class TraceError(ValueError):
    """A trace cannot be read; the message says why."""


class Asked(msgspec.Struct, array_like=True, frozen=True):
    """What all sources together were asked for, and up to which rarity they had something left for it."""

    rarity: float
    level: float

    @property
    def granted(self) -> bool:
        """Whether the alert could begin."""
        return self.rarity <= self.level


class Trace(msgspec.Struct, array_like=True, frozen=True):
    """One event's decision: what the lifecycle knew before it, and all that it was told.

    It is of the event's source alone. Of the budget that sources share, it holds what was left when it was asked.

    Parameters
    ----------
    stream, source
        What the alerts are about.
    time
        Event time, epoch seconds.
    event_id
        The event's id, if it has one.
    readings
        Its values.
    score
        What the detector said.
    ruling
        What governed the source.
    before
        The lifecycle before the event, as its ``snapshot`` has it; of people's labels, only what they hold or raise.
    asked
        What the sources' common budget was asked for; ``None`` if they have none.

    """

    stream: str
    source: str
    time: float
    event_id: str | None
    readings: dict[str, float]
    score: Score
    ruling: Ruling
    before: list[Any]
    asked: tuple[Asked, ...] | None = None

    def encode(self) -> bytes:
        """Return the bytes; equal decisions give equal ones."""
        score = msgspec.structs.replace(self.score, values=dict(self.score.values))
        return _encoder.encode(
            (
                FORMAT,
                *(self.stream, self.source, self.time, self.event_id, self.readings),
                *(score, self.ruling.snapshot(), self.before, self.asked),
            )
        )

    @classmethod
    def decode(cls, data: bytes) -> Trace:
        """Return the trace that ``encode`` wrote.

        Raises
        ------
        alerts.trace.TraceError
            If it is damaged, or of another format.

        """
        try:
            found, *parts = msgspec.msgpack.decode(data, type=list[Any])
            if found != FORMAT:
                raise TraceError(f"the trace has format {found}, this program reads {FORMAT}: use the version it names")
            stream, source, time, event_id, readings, score, ruling, before, asked = parts
            return cls(
                *(stream, source, time, event_id, readings),
                msgspec.convert(score, Score),
                Ruling.restored(ruling),
                before,
                msgspec.convert(asked, tuple[Asked, ...] | None),
            )
        except (msgspec.MsgspecError, ValueError, TypeError) as error:
            if isinstance(error, TraceError):
                raise
            raise TraceError(f"the trace is damaged: {error}") from error


class Witness:
    """Notes what an allowance is asked for.

    Parameters
    ----------
    allowance
        What all sources may spend together.

    """

    __slots__ = ("_allowance", "_asked")

    def __init__(self, allowance: Allowance) -> None:
        self._allowance = allowance
        self._asked: list[Asked] = []

    def level(self, t: float) -> float:
        """Return the rarity up to which an alert may begin."""
        return self._allowance.level(t)

    def affords(self, t: float, rarity: float) -> bool:
        """Say whether an alert may begin, and spend it if so."""
        self._asked.append(Asked(rarity, self._allowance.level(t)))
        return self._allowance.affords(t, rarity)

    def take(self) -> tuple[Asked, ...]:
        """Return what was asked for since the last call."""
        asked, self._asked = tuple(self._asked), []
        return asked


class Remembered:
    """An allowance that has what one had that was asked before, in the same order.

    Examples
    --------
    >>> allowance = Remembered([Asked(0.5, 1.0), Asked(0.5, 0.2)])
    >>> [allowance.affords(t, 0.5) for t in (0.0, 1.0)]
    [True, False]

    """

    __slots__ = ("_left",)

    def __init__(self, asked: Sequence[Asked]) -> None:
        self._left = list(asked)

    def level(self, t: float) -> float:
        """Return the rarity up to which an alert may begin."""
        return self._left[0].level

    def affords(self, t: float, rarity: float) -> bool:
        """Say whether an alert may begin."""
        return rarity <= self._left.pop(0).level


def _plain(value: object) -> object:
    # Not as JSON: that rounds times to milliseconds, and what is decided again must be exact.
    if isinstance(value, Alert):
        return value.model_dump()
    raise NotImplementedError(f"a trace holds no {type(value).__name__}")


_encoder = msgspec.msgpack.Encoder(enc_hook=_plain)
