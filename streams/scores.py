"""The record of topic ``scores``: one per scored event."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any, Literal

import msgspec

from alerts.alert import iso
from alerts.step import Step
from detectors.score import Score
from streams.processor import Output, Record
from streams.readings import Reading
from streams.traces import Model, TraceRecord

TYPE = "tocsin.score.v1"


class SignalRecord(msgspec.Struct):
    """One signal's verdict; ``started_at`` is the approximate start of what it sees, null if that is this event."""

    kind: str
    p_value: float
    name: str | None
    started_at: str | None


class ValueRecord(msgspec.Struct):
    """One value beside what was expected of it; contributions sum to 1."""

    value: float
    expected: float | None
    lower: float | None
    upper: float | None
    contribution: float


class FeedbackRecord(msgspec.Struct):
    """What a person's label did to a signal of this event."""

    effect: str
    label: str
    by: str | None
    at: str
    kind: str
    name: str | None
    summary: str


class ScoreRecord(msgspec.Struct, omit_defaults=True):
    """The JSON value of topic ``scores``; the record key is the source.

    Parameters
    ----------
    timestamp, source, event_id, attributes
        The event, as it came; the time in ISO 8601.
    anomaly_score
        How unusual the event is, 0…1; 0.9 is a p-value of 1e-4.
    p_value
        How often a normal event of this source looks at least this odd.
    alert_score
        The strongest signal's anomaly score, at most that of ``fire_p``, if something new begins here, else 0.
    alert
        1 while an alert of this source fires.
    warm_up
        How far the detector has got with learning what is normal, 0…1.
    missing
        What is still to come before scores are fully usable, in plain words; left out if nothing is.
    prior
        Version of what its peers had learned when the source began; left out if it began from nothing.
    held
        What holds back an alert that would go on now: ``calendar``, if alerts are muted; ``feedback``, if a label says
        that the like is no anomaly; ``source_budget`` or ``stream_budget``, if too many have begun today. Of several
        the first of these. Left out if nothing is held back.
    windows
        The calendar's windows that hold something back, as ``policy/window``.
    signals
        What each signal found, most significant first, with its approximate start.
    values
        Each value beside what was expected of it.
    feedback
        What labels on like events did here: ``effect`` is ``held`` if the signal counts as normal, ``raised`` if it
        counts as worth an alert; ``summary`` says so in a sentence.
    rescored
        How many events that had come before it, but are of later times, were scored again, since it came late; left
        out if none were.
    trace
        Where something was to be decided, what the decision rested on: ``tocsin explain`` reads it. Left out where all
        was normal, and while an alert just goes on.

    """

    timestamp: str
    source: str
    anomaly_score: float
    p_value: float
    alert_score: float
    alert: int
    warm_up: float
    signals: list[SignalRecord]
    values: dict[str, ValueRecord]
    event_id: str | None = None
    attributes: dict[str, Any] | None = None
    missing: tuple[str, ...] = ()
    prior: int | None = None
    held: str | None = None
    feedback: list[FeedbackRecord] = []
    windows: tuple[str, ...] = ()
    rescored: int = 0
    trace: TraceRecord | None = None


ScoreSink = Callable[[Record, Score, Step], None]
"""Takes every score, in place of topic ``scores``: a backtest wants them all, and not as JSON."""


class ScoreChoice:
    """Which scores are published.

    Parameters
    ----------
    which
        All, only the anomalous, or a sample; events of alerts, also of those that a gate, a budget or feedback held
        back, are always among them.
    anomalous_p
        p-value at or below which a score counts as anomalous.
    sample
        Share of the sample; the same events each time.

    """

    def __init__(self, which: Literal["all", "anomalous", "sample"], anomalous_p: float, sample: float) -> None:
        self._all = which == "all"
        self._sampled = round(sample * 2**32) if which == "sample" else 0
        self._anomalous_p = anomalous_p

    def takes(self, source: str, record: Record, score: Score, step: Step) -> bool:
        """Say whether the score of a record is published."""
        if self._all or step.alert or step.trace is not None:
            return True
        if self._sampled:
            return zlib.crc32(f"{source}/{record.offset}".encode()) < self._sampled
        return score.p_value <= self._anomalous_p


def score_output(
    source: str,
    record: Record,
    event: Reading,
    score: Score,
    step: Step,
    model: Model,
    prior: int | None = None,
    rescored: int = 0,
) -> Output:
    """Return the score of an event, to be published."""
    value = ScoreRecord(
        iso(event.time),
        source,
        score.anomaly_score,
        score.p_value,
        step.alert_score,
        int(step.alert),
        score.warm_up,
        [
            SignalRecord(s.kind, s.p_value, s.name, None if s.started_at is None else iso(s.started_at))
            for s in score.signals
        ],
        {n: ValueRecord(v.value, v.expected, v.lower, v.upper, v.contribution) for n, v in score.values.items()},
        event.event_id,
        event.attributes or None,
        score.missing,
        prior,
        step.held,
        [FeedbackRecord(f.effect, f.label, f.by, iso(f.at), f.kind, f.name, f.sentence) for f in step.feedback],
        step.windows,
        rescored,
        model.traced(step),
    )
    return Output("scores", source.encode(), msgspec.json.encode(value), TYPE, record)
