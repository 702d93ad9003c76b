"""What became of one event of telemetry, put together from the topics: scores, dead letters and the events."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Sequence
from typing import Literal, NamedTuple

import msgspec
from pydantic import BaseModel, ConfigDict, Field

from alerts.alert import Time, iso
from alerts.evidence import strongest_of_each_kind
from alerts.policies import Ruling
from alerts.step import Step
from alerts.summary import duration
from alerts.why import Finding, decided_again, findings, unremarkable
from detectors.base import Detector
from detectors.score import Score, SignalScore, ValueExplanation
from streams.dead_letters import DeadLetter
from streams.policy_book import PolicyBook
from streams.processor import Record
from streams.readings import Reading, ReadingDecoder
from streams.scores import ScoreRecord
from streams.telemetry import STREAM, TelemetryProcessor, TelemetrySettings
from streams.traces import program

NEAR = 60.0
"""Seconds from a time within which an event is meant."""

Outcome = Literal[
    "alert",
    "pending",
    "held",
    "normal",
    "duplicate",
    "dead_letter",
    "not_processed",
    "no_event",
    "unknown_source",
]


class Versions(BaseModel):
    """Who decided: the program, the detector with the format of its state, and the policies that governed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tocsin: str
    detector: str
    detector_format: int
    policies: tuple[str, ...] = ()


class Account(BaseModel):
    """What became of an event, and why."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str
    at: Time = Field(description="Event time; if there is no event, the time that was asked for")
    event_id: str | None = None
    position: str | None = Field(None, description="Topic, partition and offset of the event")
    outcome: Outcome
    reason: str = Field(description="What decided: `alert`, `below_threshold`, `min_deviation`, `warm_up`, …")
    because: str = Field(description="The same in words")
    change: str | None = Field(None, description="What to change, should that not be wanted")
    p_value: float | None = None
    anomaly_score: float | None = None
    warm_up: float | None = Field(None, description="How far the detector had got with learning what is normal")
    missing: tuple[str, ...] = Field((), description="What was still to come before scores are fully usable")
    findings: tuple[Finding, ...] = Field((), description="Each kind of signal that spoke, and what became of it")
    feedback: tuple[str, ...] = Field((), description="What people's labels did")
    versions: Versions | None = None
    evidence: Literal["trace", "score", "replay", "dead_letter", "none"] = Field(
        description="`trace`: the stored decision was made again; `score`: as published; `replay`: scored again from"
        " the events that Kafka still holds, since usual events are not published"
    )
    exact: bool | None = Field(
        None,
        description="Whether what was made again is what was recorded; of a replay, whether it began at the first"
        " event that there was",
    )


class Scored(NamedTuple):
    """A record of topic ``scores`` with the position of its cause, and when that was produced."""

    value: ScoreRecord
    position: str
    produced_at: float


class Explainer:
    """Says what became of a source's events.

    Parameters
    ----------
    settings
        Those of telemetry.
    policies
        All records of topics ``policies`` and ``changes``.
    detector_format
        Format of the detector's state.

    """

    def __init__(self, settings: TelemetrySettings, policies: Sequence[Record], detector_format: int) -> None:
        self._settings, self._format = settings, detector_format
        self._book = PolicyBook(settings.policy, settings.limits, {})
        for _ in self._book.absorb(policies):
            pass  # what cannot be read is a dead letter

    def scored(self, scored: Scored) -> Account:
        """Return what became of an event whose score was published."""
        value = scored.value
        if value.trace is None:
            score = _score_in(value)
            ruling = self._book.ruling(value.source, scored.produced_at)
            found = self._normal(score, ruling)
            account = self._account(value, scored.position, found, "score", self._versions(ruling))
            return account if not value.alert else _going_on(account)
        record = value.trace
        trace = record.trace()
        step = decided_again(trace).step
        versions = Versions(
            tocsin=record.tocsin,
            detector=record.detector,
            detector_format=record.detector_format,
            policies=tuple(record.policies),
        )
        alerts = list(dict.fromkeys(alert.alert_id for alert in step.changes))
        exact = (int(step.alert), step.alert_score, step.held, alerts) == (
            *(value.alert, value.alert_score, value.held),
            record.alerts,
        )
        return self._account(value, scored.position, findings(trace), "trace", versions, exact=exact)

    def rescored(self, event: Replayed, *, whole: bool) -> Account:
        """Return what became of an event whose score was not published: nothing was worth telling.

        Parameters
        ----------
        event
            As it was scored again.
        whole
            Whether that began with the first event that there was.

        """
        ruling = self._book.ruling(event.reading.source, event.record.timestamp)
        base = {"source": event.reading.source, "at": event.reading.time, "event_id": event.reading.event_id}
        base |= {"position": position_of(event.record), "evidence": "replay", "versions": self._versions(ruling)}
        if event.score is None:
            because = f"an event with the id {event.reading.event_id!r} came shortly before: it counts once"
            return Account(outcome="duplicate", reason="duplicate", because=because, exact=whole, **base)
        score = event.score
        reason, because, change = self._why_normal(score, found := self._normal(score, ruling))
        return Account(
            outcome="normal",
            reason=reason,
            because=because,
            change=change,
            p_value=score.p_value,
            anomaly_score=score.anomaly_score,
            warm_up=score.warm_up,
            missing=score.missing,
            findings=tuple(found),
            exact=whole,
            **base,
        )

    def _versions(self, ruling: Ruling) -> Versions:
        return Versions(
            tocsin=program(),
            detector=self._settings.detector.name,
            detector_format=self._format,
            policies=tuple(str(one) for one in ruling.versions),
        )

    def _normal(self, score: Score, ruling: Ruling) -> list[Finding]:
        found = strongest_of_each_kind(score).values()
        return [unremarkable(score, ruling.policy.of(signal.kind), signal) for signal in found]

    def _why_normal(self, score: Score, found: Sequence[Finding]) -> tuple[str, str, str | None]:
        if score.warm_up < 1.0:
            missing = f"; still to come: {', '.join(score.missing)}" if score.missing else ""
            because = f"the detector was still learning what is normal ({score.warm_up:.0%}){missing}"
            return "warm_up", because, "let new sources begin from their peers: give events the attribute of their type"
        if found:
            nearest = min(found, key=lambda one: one.p_value / one.fire_p)
            return "below_threshold", f"{nearest.kind}: {nearest.because}", nearest.change
        least = self._settings.policy.highest_fire_p
        because = f"no signal has anything to say: p {score.p_value:.2g}; alerts begin at p {least:g} of a signal"
        return "below_threshold", because, None

    def _account(
        self,
        value: ScoreRecord,
        position: str,
        found: Sequence[Finding],
        evidence: Literal["trace", "score"],
        versions: Versions,
        *,
        exact: bool | None = None,
    ) -> Account:
        first = next((one for one in found if one.reason != "below_threshold"), None)
        if first is None:
            outcome: Outcome = "normal"
            reason, because, change = self._why_normal(_score_in(value), found)
        else:
            outcome = _OUTCOMES.get(first.reason, "held")
            reason, because, change = first.reason, f"{first.kind}: {first.because}", first.change
        return Account(
            source=value.source,
            at=value.timestamp,
            event_id=value.event_id,
            position=position,
            outcome=outcome,
            reason=reason,
            because=because,
            change=change,
            p_value=value.p_value,
            anomaly_score=value.anomaly_score,
            warm_up=value.warm_up,
            missing=value.missing,
            findings=tuple(found),
            feedback=tuple(one.summary for one in value.feedback),
            versions=versions,
            evidence=evidence,
            exact=exact,
        )


_OUTCOMES: dict[str, Outcome] = {"alert": "alert", "pending": "pending", "just_ended": "normal"}


class Replayed(NamedTuple):
    """An event that was scored again; ``None`` for the score if it was passed over as a repetition."""

    record: Record
    reading: Reading
    score: Score | None


class Replay:
    """Scores a source's events again, by the code that runs live, to find the one that is meant.

    What its peers had learned, labels and commands are left out: they change neither whether an event is a repetition
    nor, but for the first, what a detector says of it.

    Parameters
    ----------
    settings
        Those of telemetry.
    make_detector
        Makes the source's detector.
    source
        Its name.
    at
        The event time that is asked for, epoch seconds.
    partition
        Where its events are.

    Attributes
    ----------
    nearest
        The event that is nearest to that time; one that became a dead letter is none.
    before, after
        Times of the events next to it; ``None`` if there are none.
    events
        How many there have been.

    """

    def __init__(
        self, settings: TelemetrySettings, make_detector: Callable[[], Detector], source: str, at: float, partition: int
    ) -> None:
        self._source, self._at, self._limits = source, at, settings.limits
        self._processor = TelemetryProcessor(settings, partition, {}, make_detector, self._scored)
        self._decoder = ReadingDecoder(settings.limits)
        self._score: Score | None = None
        self._newest = float("-inf")
        self.nearest: Replayed | None = None
        self.before: float | None = None
        self.after: float | None = None
        self.events = 0

    @property
    def is_past(self) -> bool:
        """Whether no event of that time can come any more: it would be too late."""
        return self._newest - self._at > self._limits.max_late

    def take(self, records: Iterable[Record]) -> None:
        """Take the source's records, in their order."""
        for record in records:
            reading = self._decoder.decode(record.value)
            if not isinstance(reading, Reading) or reading.source != self._source:
                continue
            self._score = None
            outcomes = self._processor.process([record]).outcomes
            if outcomes["dead_letter"]:
                continue
            self.events += 1
            self._newest = max(self._newest, reading.time)
            self._note(Replayed(record, reading, self._score))

    def _scored(self, record: Record, score: Score, step: Step) -> None:
        self._score = score

    def _note(self, event: Replayed) -> None:
        time = event.reading.time
        if time <= self._at:
            self.before = time if self.before is None else max(self.before, time)
        if time >= self._at:
            self.after = time if self.after is None else min(self.after, time)
        if self.nearest is None or abs(time - self._at) < abs(self.nearest.reading.time - self._at):
            self.nearest = event


def refused(letter: DeadLetter, source: str, time: float) -> Account:
    """Return what became of an event that could not be taken."""
    return Account(
        source=source,
        at=time,
        position=f"{letter.topic}/{letter.partition}/{letter.offset}",
        outcome="dead_letter",
        reason=letter.reason.value,
        because=f"it could not be taken: {letter.detail}",
        change="send it again as the sentence says",
        evidence="dead_letter",
    )


def letter_time(letter: DeadLetter, key: bytes | None, source: str, decoder: ReadingDecoder) -> float | None:
    """Return the time of a source's event that became a dead letter, as far as it can be known.

    It is the event's own if it can be read, else that of its production; ``None`` if it is of another source.
    """
    if letter.topic != STREAM:
        return None
    value = None if letter.value is None else base64.b64decode(letter.value)
    reading = decoder.decode(value)
    if isinstance(reading, Reading):
        return reading.time if reading.source == source else None
    return letter.timestamp if key == source.encode() or _names(value, source) else None


def nothing_there(
    source: str,
    at: float,
    before: float | None,
    after: float | None,
    *,
    known: bool,
    kept: str,
    forgotten: float | None,
) -> Account:
    """Return that there is no event of that time, or no such source.

    Parameters
    ----------
    source, at
        What was asked for.
    before, after
        Times of the nearest events.
    known
        Whether anything is known of the source: an event, a score, an alert or a dead letter.
    kept
        For how long the events are kept, in words.
    forgotten
        Seconds after which a source is forgotten.

    """
    if not known:
        forget = f"; one that is silent for {duration(forgotten)} is forgotten" if forgotten is not None else ""
        because = f"no event, score, alert or dead letter of {source!r} is there; events are kept for {kept}{forget}"
        change = "check the name, which is that of field `source`, in capitals and small letters as there"
        return _nothing(source, at, "unknown_source", because, change)
    near = [f"the one before at {iso(before)}"] if before is not None else []
    near += [f"the one after at {iso(after)}"] if after is not None else []
    because = f"no event within {duration(NEAR)} of this time; {' and '.join(near) or f'events are kept for {kept}'}"
    return _nothing(source, at, "no_event", because, None)


def not_processed(event: Replayed, committed: int) -> Account:
    """Return that no worker has come to an event yet, as far as the last checkpoint tells."""
    because = f"no worker has come to it by the last checkpoint (offset {committed}): see `tocsin_consumer_lag`"
    return Account(
        source=event.reading.source,
        at=event.reading.time,
        event_id=event.reading.event_id,
        position=position_of(event.record),
        outcome="not_processed",
        reason="not_processed",
        because=because,
        change="wait, start a worker, or start more of them",
        evidence="none",
    )


def position_of(record: Record) -> str:
    """Return where a record stands."""
    return f"{record.topic}/{record.partition}/{record.offset}"


def _nothing(source: str, at: float, outcome: Outcome, because: str, change: str | None) -> Account:
    return Account(
        source=source, at=at, outcome=outcome, reason=outcome, because=because, change=change, evidence="none"
    )


def _going_on(account: Account) -> Account:
    because = "an alert of this source went on; `tocsin explain alert ID` tells of it"
    return account.model_copy(update={"outcome": "alert", "reason": "alert", "because": because, "change": None})


def _score_in(value: ScoreRecord) -> Score:
    signals = tuple(SignalScore(one.kind, one.p_value, one.name) for one in value.signals)
    values = {
        n: ValueExplanation(v.value, v.expected, v.lower, v.upper, v.contribution) for n, v in value.values.items()
    }
    return Score(value.p_value, value.anomaly_score, signals, values, value.warm_up, tuple(value.missing))


def _names(value: bytes | None, source: str) -> bool:
    """Say whether what is no event still names the source."""
    try:
        found = msgspec.json.decode(value or b"")
    except msgspec.DecodeError:
        return False
    return isinstance(found, dict) and found.get("source") == source
