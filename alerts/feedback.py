"""What people have said of a source's alerts, and of what it should have alerted on."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Literal

import msgspec

from alerts.alert import alert_id
from alerts.signature import MARGIN, NOTEWORTHY_P, Signature, noteworthy, of_signal
from alerts.verdict import Label, Verdict, Weighed
from detectors.score import Score, SignalScore

REMEMBERED_ALERTS = 16
REMEMBERED_EVENTS = 12
REMEMBERED_LABELS = 16
SIGNALS_PER_EVENT = 2
LONGEST_MEMORY = 30 * 86_400.0
"""Event time, in seconds, after which an event that nobody has labelled is forgotten."""

Outcome = Literal["label_learned", "label_repeated", "label_unmatched"]


class _Alerted(msgspec.Struct, array_like=True):
    began: float
    signature: Signature

    @property
    def kind(self) -> str:
        return self.signature.kind


class _Event(msgspec.Struct, array_like=True, frozen=True):
    time: float
    event_id: str | None
    signatures: list[Signature]
    alerts: list[tuple[str, float]]


class _State(msgspec.Struct, array_like=True):
    alerts: list[_Alerted] = []
    events: list[_Event] = []
    verdicts: list[Verdict] = []
    unmatched: list[tuple[float, int, int]] = []


class Feedback:
    """The verdicts on one source, and what they can still be passed on.

    It remembers what the last alerts and the most improbable events of late looked like. A label finds one of them by
    the id of the alert or event, or by its time. *Not an anomaly* holds back signals of the same kind, value and
    direction that deviate no more than a quarter further; *missed* raises those that come within a quarter of what was
    missed, if their p-value is at most 0.05. Of all labels on one thing the newest counts, whatever the order in which
    they come; among verdicts on like things, the newest too.

    Parameters
    ----------
    stream, source
        What the alerts are about.

    Examples
    --------
    >>> from detectors.score import ValueExplanation
    >>> feedback = Feedback("telemetry", "pump-7")
    >>> odd = Score(
    ...     0.003, 0.77, (SignalScore("spike", 0.003, "x", 1),), {"x": ValueExplanation(16.0, 10.0, 9.0, 11.0, 1.0)}
    ... )
    >>> feedback.saw(60.0, "e1", odd, {})
    >>> feedback.judge(Label(99.0, "e1", 0, 0, True, "ann"))
    ('label_learned', [])
    >>> [note.sentence for note in feedback.weigh(odd).notes]
    ['raised: feedback of ann, 1970-01-01, label e1']
    >>> feedback.judge(Label(100.0, "e1", 0, 1, False, "ann")), feedback.weigh(odd)
    (('label_learned', []), None)

    """

    __slots__ = ("_active", "_source", "_state", "_stream", "tolerated_silence")

    def __init__(self, stream: str, source: str) -> None:
        self._stream, self._source = stream, source
        self._state = _State()
        self._active: list[Verdict] = []
        self.tolerated_silence = 0.0

    def weigh(self, score: Score) -> Weighed | None:
        """Return what is left of a score after feedback, ``None`` if feedback has nothing to do with it."""
        if not self._active:
            return None
        kept, notes = [], []
        raised: dict[str, tuple[SignalScore, Verdict]] = {}
        held: dict[str, SignalScore] = {}
        for signal in score.signals:
            verdict = self._verdict_on(signal, score) if signal.p_value <= NOTEWORTHY_P else None
            if verdict is not None and verdict.effect is not None:
                notes.append(verdict.note(verdict.effect, signal.kind, signal.name))
            if verdict is not None and verdict.effect == "held":
                held.setdefault(signal.kind, signal)
                continue
            kept.append(signal)
            if verdict is not None:
                raised.setdefault(signal.kind, (signal, verdict))
        if not notes:
            return None
        return Weighed(msgspec.structs.replace(score, signals=tuple(kept)), raised, held, tuple(notes))

    def saw(self, time: float, event_id: str | None, score: Score, alerts: dict[str, float]) -> None:
        """Remember an event that has something to say.

        Parameters
        ----------
        time
            Event time, epoch seconds.
        event_id
            Its id, if it has one.
        score
            What the detector found.
        alerts
            When the alerts began that it is part of, by kind.

        """
        events = self._state.events
        events.append(_Event(time, event_id, noteworthy(score, SIGNALS_PER_EVENT), sorted(alerts.items())))
        if len(events) > REMEMBERED_EVENTS:
            # The newest half is kept as it is, so that what has just happened can be labelled however mild it was.
            older = range(REMEMBERED_EVENTS // 2)
            oldest = min(older, key=lambda i: events[i].time)
            if events[oldest].time >= time - LONGEST_MEMORY:
                oldest = min(older, key=lambda i: _strength(events[i]))
            del events[oldest]

    def alerted(self, began: float, signature: Signature) -> None:
        """Remember what an alert looks like, or that it has gone further."""
        for alert in self._state.alerts:
            if alert.began == began and alert.kind == signature.kind:
                alert.signature = alert.signature.widen(signature)
                return
        self._state.alerts = [*self._state.alerts[1 - REMEMBERED_ALERTS :], _Alerted(began, signature)]

    def judge(self, label: Label, near: float = 60.0) -> tuple[Outcome, list[Verdict]]:
        """Take a label, and return what became of it and the verdicts by which alerts are no longer true.

        Parameters
        ----------
        label
            The label.
        near
            How many seconds from ``label.at`` the event may be that is meant.

        """
        if label.rank in self._state.unmatched:
            return "label_repeated", []
        verdicts = self._subjects(label, near)
        if not verdicts:
            # It may come again after a crash, and must find nothing then either.
            self._state.unmatched = [*self._state.unmatched[1 - REMEMBERED_LABELS :], label.rank]
            return "label_unmatched", []
        learned = [verdict for verdict in verdicts if self._learn(verdict)]
        return (
            "label_learned" if learned else "label_repeated",
            [verdict for verdict in learned if verdict.effect == "held"],
        )

    def ids(self) -> Iterator[str]:
        """Return every id by which a label may find something here."""
        yield from (self._id(alert.kind, alert.began) for alert in self._state.alerts)
        yield from (event.event_id for event in self._state.events if event.event_id is not None)
        for verdict in self._state.verdicts:
            yield verdict.subject
            yield verdict.label.id

    def snapshot(self) -> list[object]:
        """Return the state as plain values."""
        state = self._state
        return [msgspec.to_builtins(part) for part in (state.alerts, state.events, state.verdicts, state.unmatched)]

    def judging(self) -> list[object]:
        """Return what ``snapshot`` does of what holds or raises signals, without what may still be labelled."""
        return [[], [], list(self._active), []]

    def restore(self, state: list[object]) -> None:
        """Take up what ``snapshot`` gave."""
        self._state = msgspec.convert(state, _State)
        self._activate()

    def _verdict_on(self, signal: SignalScore, score: Score) -> Verdict | None:
        seen = of_signal(signal, score)
        for verdict in self._active:
            if verdict.concerns(seen):
                return verdict
        return None

    def _subjects(self, label: Label, near: float) -> list[Verdict]:
        """Return the verdicts that a label passes: on an alert, on each alert of an event, or on an event."""
        for alert in self._state.alerts:
            if self._id(alert.kind, alert.began) == label.id:
                return [Verdict(label.id, True, label, [alert.signature])]
        known = [one for one in self._state.verdicts if label.id in (one.subject, one.label.id)]
        if known:
            return [Verdict(one.subject, one.alerted, label, one.signatures) for one in known]
        event = next((event for event in self._state.events if event.event_id == label.id), None)
        if event is None and label.at is not None:
            event = self._nearest(label.at, near)
        if event is None:
            return []
        if not event.alerts:
            return [Verdict(event.event_id or f"@{event.time!r}", False, label, event.signatures)]
        looked = {(alert.kind, alert.began): alert.signature for alert in self._state.alerts}
        return [
            Verdict(self._id(*alert), True, label, [looked[alert]] if alert in looked else event.signatures)
            for alert in event.alerts
        ]

    def _nearest(self, at: float, near: float) -> _Event | None:
        close = [event for event in self._state.events if abs(event.time - at) <= near]
        return min(close, key=lambda event: (abs(event.time - at), -_strength(event)), default=None)

    def _learn(self, verdict: Verdict) -> bool:
        """Let a verdict count if no newer one on the same is known, and say whether it does."""
        others = [one for one in self._state.verdicts if one.subject != verdict.subject]
        before = next((one for one in self._state.verdicts if one.subject == verdict.subject), None)
        if before is not None and before.label.rank >= verdict.label.rank:
            return False
        newest = sorted([*others, verdict], key=lambda one: (one.label.rank, one.subject), reverse=True)
        self._state.verdicts = newest[:REMEMBERED_LABELS]
        self._activate()
        return verdict in self._state.verdicts

    def _activate(self) -> None:
        self._active = [verdict for verdict in self._state.verdicts if verdict.effect is not None]
        self.tolerated_silence = max(
            (
                signature.high * (1 + MARGIN)
                for verdict in self._active
                for signature in verdict.signatures
                if signature.kind == "silence" and math.isfinite(signature.high)
            ),
            default=0.0,
        )

    def _id(self, kind: str, began: float) -> str:
        return alert_id(self._stream, self._source, kind, began)


def _strength(event: _Event) -> int:
    return event.signatures[0].strength if event.signatures else 0
