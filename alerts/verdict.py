"""What a person has said of an alert or an event, and what that does to signals that look alike."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import msgspec

from alerts.alert import AlertFeedback
from alerts.policy import Policy
from alerts.signature import Signature
from detectors.score import Score, SignalScore


class Label(NamedTuple):
    """The truth about an alert or an event; a later one (by time, then position in the topic) counts more.

    Parameters
    ----------
    timestamp
        When it was said, epoch seconds.
    id
        What it is about: an alert, an event, or with ``at`` any name.
    partition, offset
        Its position in topic ``labels``.
    label
        True for an anomaly, false for none.
    by
        Who says so.
    at
        Time of the event that it is about, where events have no ids.

    """

    timestamp: float
    id: str
    partition: int
    offset: int
    label: bool
    by: str | None = None
    at: float | None = None

    @property
    def rank(self) -> tuple[float, int, int]:
        """What decides which of two labels counts."""
        return self.timestamp, self.partition, self.offset


class Verdict(msgspec.Struct, array_like=True, frozen=True):
    """The newest label of one alert or event, with what that looked like."""

    subject: str
    alerted: bool
    label: Label
    signatures: list[Signature]

    @property
    def effect(self) -> Literal["held", "raised"] | None:
        """What happens to signals that look alike; a label that agrees with what was done changes nothing."""
        if self.alerted == self.label.label:
            return None
        return "held" if self.alerted else "raised"

    def concerns(self, seen: Signature) -> bool:
        """Say whether a signal looks like what was judged."""
        if self.effect == "held":
            return any(judged.covers(seen) for judged in self.signatures)
        return any(judged.is_matched_by(seen) for judged in self.signatures)

    def note(self, effect: Literal["held", "raised", "retracted"], kind: str, name: str | None = None) -> AlertFeedback:
        """Return what is told of it."""
        said = self.label
        return AlertFeedback(effect=effect, label=said.id, by=said.by, at=said.timestamp, kind=kind, name=name)


@dataclass(frozen=True, slots=True)
class Weighed:
    """A score after feedback.

    Parameters
    ----------
    score
        Without the signals that are held back.
    raised
        By kind, the most significant signal that was once missed, and the verdict that says so.
    held
        By kind, the most significant signal that is held back.
    notes
        What feedback did.

    """

    score: Score
    raised: Mapping[str, tuple[SignalScore, Verdict]] = field(default_factory=dict)
    held: Mapping[str, SignalScore] = field(default_factory=dict)
    notes: tuple[AlertFeedback, ...] = ()

    def p_value(self, policy: Policy) -> float:
        """Return the p-value that counts: what is held counts as normal, what was missed as worth an alert."""
        least = self.score.signals[0].p_value if self.score.signals else 1.0
        return min([least, *(policy.of(kind).fire_p for kind in self.raised)])
