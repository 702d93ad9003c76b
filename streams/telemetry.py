"""What is done with telemetry: each source's events are scored, learned, and turned into alerts."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Literal

import msgspec
from pydantic import Field

from alerts.alert import Alert
from alerts.feedback import Feedback
from alerts.lifecycle import Lifecycle, Step
from alerts.policy import Policy
from alerts.signature import NOTEWORTHY_P
from detectors.base import Detector
from detectors.registry import DetectorSettings
from detectors.score import Score
from streams.codec import Reason, Rejected, decode, misplaced, mistimed
from streams.dead_letters import dead_letter
from streams.processor import Output, Record, Result
from streams.schemas import EventLimits, TelemetryEvent
from streams.scores import ScoreChoice, ScoreSink, score_output
from streams.settings import Settings
from streams.source_labels import SourceLabels, WaitingLabel, take_due

STREAM = "telemetry"
RESERVED = "\x1f"
"""With it begin the keys of states that are of the whole partition; no source has such a name."""

FORMAT = 1
REMEMBERED_IDS = 16
USUALLY_NEAR = 60.0
"""Seconds from the time in a label within which an event is meant, while no gap is known to be usual."""

OUTCOMES = (
    *("scored", "duplicate", "dead_letter", "replayed"),
    *("label_learned", "label_repeated", "label_unmatched"),
)


class TelemetrySettings(Settings):
    """How telemetry is scored and when it alerts."""

    detector: DetectorSettings = Field(default_factory=DetectorSettings, description="Which detector, and how.")
    policy: Policy = Field(default_factory=Policy, description="When a score is worth an alert.")
    limits: EventLimits = Field(default_factory=EventLimits, description="What an event may be.")
    scores: Literal["all", "anomalous", "sample"] = Field("anomalous", description="Which scores are published.")
    anomalous_p: float = Field(0.01, gt=0, le=1, description="p-value at or below which a score counts as anomalous.")
    sample: float = Field(0.01, gt=0, le=1, description="Share of scores published with `scores: sample`.")
    min_silence: float = Field(
        10.0, ge=0, description="Seconds without an event that never count as silence, however busy the source."
    )


class _Snapshot(msgspec.Struct, array_like=True):
    """A source's state as it is written."""

    format: int
    offset: int
    newest: float
    heard: float
    ids: list[str]
    detector: bytes
    lifecycle: list[object]
    labels: list[WaitingLabel] = []


class _Source:
    """One source: its detector, its alerts, and how far it has been learned."""

    __slots__ = ("detector", "event_ids", "heard", "labels", "lifecycle", "name", "newest", "offset")

    def __init__(self, name: str, detector: Detector, lifecycle: Lifecycle) -> None:
        self.name, self.detector, self.lifecycle = name, detector, lifecycle
        self.offset = -1
        self.newest = float("-inf")
        self.heard = float("-inf")
        self.event_ids: list[str] = []
        self.labels: list[WaitingLabel] = []

    def ids(self) -> Iterator[str]:
        """Return the ids by which a label may find something here."""
        return self.lifecycle.ids()

    def snapshot(self) -> bytes:
        return msgspec.msgpack.encode(
            _Snapshot(
                FORMAT,
                self.offset,
                self.newest,
                self.heard,
                self.event_ids,
                self.detector.snapshot(),
                self.lifecycle.snapshot(),
                self.labels,
            )
        )

    def restore(self, state: bytes) -> None:
        snapshot = msgspec.msgpack.decode(state, type=_Snapshot)
        if snapshot.format != FORMAT:
            raise StateFormatError(
                f"the state of source {self.name!r} has format {snapshot.format}, this program reads {FORMAT}:"
                " run the version that wrote it, or reset the state"
            )
        self.offset, self.newest, self.heard = snapshot.offset, snapshot.newest, snapshot.heard
        self.event_ids, self.labels = snapshot.ids, snapshot.labels
        self.detector.restore(snapshot.detector)
        self.lifecycle.restore(snapshot.lifecycle)


class StateFormatError(ValueError):
    """A stored state cannot be read; the message says why and what to do."""


class TelemetryProcessor:
    """All that is done with one partition of telemetry.

    Parameters
    ----------
    settings
        How to score and when to alert.
    partition
        Its number.
    states
        What was written at the last checkpoint, by source.
    make_detector
        Makes a new source's detector.
    sink
        Takes every score, in place of topic ``scores``.

    """

    broadcasts: tuple[str, ...] = ("labels",)

    def __init__(
        self,
        settings: TelemetrySettings,
        partition: int,
        states: Mapping[str, bytes],
        make_detector: Callable[[], Detector],
        sink: ScoreSink | None = None,
    ) -> None:
        self._settings, self._partition = settings, partition
        self.detector = settings.detector.name
        self._sink = sink
        self._states, self._make_detector = states, make_detector
        self._choice = ScoreChoice(settings.scores, settings.anomalous_p, settings.sample)
        self._sources: dict[str, _Source] = {}
        self._changed: dict[str, _Source] = {}
        self._labels = SourceLabels(settings.limits, states, self._all_sources)
        self._awaited: list[tuple[float, str]] | None = None
        self._deadlines: dict[str, float] = {}

    def process(self, records: Sequence[Record]) -> Result:
        """Score and learn a batch, source by source, each in its order."""
        result = Result()
        by_source: dict[str, list[tuple[Record, TelemetryEvent]]] = {}
        for record in records:
            event = decode(TelemetryEvent, record.value, self._settings.limits)
            if not isinstance(event, Rejected):
                by_source.setdefault(event.source, []).append((record, event))
            else:
                self._reject(record, event, result)
        for name, events in by_source.items():
            source = self._source(name)
            self._changed[name] = source
            for record, event in events:
                self._take(source, record, event, result)
            self._await(source)
        self._labels.passed(records)
        result.outputs.sort(key=lambda output: output.cause.offset)
        return result

    def absorb(self, records: Sequence[Record]) -> Result:
        """Take in labels; a source learns them when it has reached their time."""
        self._changed |= {source.name: self._source(source.name) for source in self._labels.absorb(records)}
        return Result()

    def absorbed(self) -> Mapping[tuple[str, int], int]:
        """Last offset taken in, by broadcast topic and partition."""
        return dict(self._labels.absorbed)

    def tick(self, now: float) -> Result:
        """Say which sources have fallen silent by ``now``."""
        result = Result()
        if self._awaited is None:
            self._awaited = []
            for source in self._all_sources():
                self._await(source)
        while self._awaited and self._awaited[0][0] < now:
            _, name = heapq.heappop(self._awaited)
            due = self._deadlines.pop(name)
            source = self._sources[name]
            if due >= now or (allowed := self._allowed(source)) is None:
                continue
            if source.heard + allowed >= now:
                self._await(source)
                continue
            cause = Record(STREAM, self._partition, source.offset, source.heard, None, None)
            self._publish(source, source.lifecycle.silent(source.newest, allowed), cause, result)
            self._changed[name] = source
        return result

    def changes(self) -> Iterator[tuple[str, bytes | None]]:
        """Return the states of the sources that have changed since the last call."""
        changed, self._changed = self._changed, {}
        for name, source in changed.items():
            yield name, source.snapshot()
        yield from self._labels.changes()

    def models(self) -> int:
        """Return how many sources' detectors are in memory."""
        return len(self._sources)

    def _all_sources(self) -> list[_Source]:
        names = dict.fromkeys((*(name for name in self._states if not name.startswith(RESERVED)), *self._sources))
        return [self._source(name) for name in names]

    def _source(self, name: str) -> _Source:
        source = self._sources.get(name)
        if source is None:
            lifecycle = Lifecycle(STREAM, name, self._settings.policy, Feedback(STREAM, name))
            source = self._sources[name] = _Source(name, self._make_detector(), lifecycle)
            state = self._states.get(name)
            if state is not None:
                source.restore(state)
            self._labels.appeared(source, source.ids())
        return source

    def _take(self, source: _Source, record: Record, event: TelemetryEvent, result: Result) -> None:
        if record.offset <= source.offset:
            result.outcomes["replayed"] += 1
            return
        source.offset = record.offset
        time = event.time
        refused = mistimed(time, source.newest, record, self._settings.limits) or misplaced(
            record, source.name, "source"
        )
        if refused is None and len(event.values) > self._settings.limits.max_values:
            refused = Rejected(
                Reason.OUT_OF_RANGE,
                f"values: {len(event.values)} are more than max_values ({self._settings.limits.max_values})",
            )
        if refused is not None:
            self._reject(record, refused, result)
        elif event.event_id is not None and event.event_id in source.event_ids:
            result.outcomes["duplicate"] += 1
        else:
            self._score(source, record, event, time, result)

    def _score(self, source: _Source, record: Record, event: TelemetryEvent, time: float, result: Result) -> None:
        if source.labels:
            self._learn_labels(source, record, time, result)
        self._end_silence(source, record, time, result)
        try:
            score = source.detector.process_one(event.readings, time)
        except Exception as error:
            refused = Rejected(Reason.DETECTOR_ERROR, f"the detector failed: {type(error).__name__}: {error}")
            self._reject(record, refused, result)
            return
        step = source.lifecycle.step(time, score, event.event_id)
        source.newest = max(source.newest, time)
        source.heard = max(source.heard, record.timestamp)
        if event.event_id is not None:
            source.event_ids = [*source.event_ids[1 - REMEMBERED_IDS :], event.event_id]
            if score.p_value <= NOTEWORTHY_P:
                self._labels.appeared(source, (event.event_id,))
        result.outcomes["scored"] += 1
        result.scores.append(score.anomaly_score)
        self._put_out_score(source, record, event, score, step, result)
        if step.changes:
            self._publish(source, step.changes, record, result)

    def _learn_labels(self, source: _Source, record: Record, time: float, result: Result) -> None:
        near = max(USUALLY_NEAR, self._allowed(source) or 0.0)
        for label in take_due(source, max(source.newest, time), max(source.heard, record.timestamp)):
            outcome, changes = source.lifecycle.judge(time, label, near)
            result.outcomes[outcome] += 1
            self._publish(source, changes, record, result)

    def _end_silence(self, source: _Source, record: Record, time: float, result: Result) -> None:
        allowed = self._allowed(source)
        silent = allowed is not None and time - source.newest > allowed
        begun = source.lifecycle.silent(source.newest, allowed) if silent and allowed is not None else ()
        self._publish(source, (*begun, *source.lifecycle.heard(time, really=silent)), record, result)

    def _put_out_score(
        self, source: _Source, record: Record, event: TelemetryEvent, score: Score, step: Step, result: Result
    ) -> None:
        if self._sink is not None:
            self._sink(record, score, step)
        elif self._choice.takes(source.name, record, score, step):
            result.outputs.append(score_output(source.name, record, event, score, step))

    def _publish(self, source: _Source, changes: Sequence[Alert], cause: Record, result: Result) -> None:
        if changes:
            self._labels.appeared(source, [alert.alert_id for alert in changes])
        for alert in changes:
            result.outputs.append(Output("alerts", alert.alert_id.encode(), alert.encode(), "tocsin.alert.v1", cause))

    def _reject(self, record: Record, rejected: Rejected, result: Result) -> None:
        result.outputs.append(dead_letter(record, rejected))
        result.outcomes["dead_letter"] += 1

    def _allowed(self, source: _Source) -> float | None:
        allowed = source.detector.silent_after()
        return None if allowed is None else max(allowed, self._settings.min_silence, source.lifecycle.tolerated_silence)

    def _await(self, source: _Source) -> None:
        """Note until when a source must be heard again; one note a source, renewed when it comes due."""
        if self._awaited is None or source.name in self._deadlines:
            return
        allowed = self._allowed(source)
        if allowed is not None:
            self._deadlines[source.name] = source.heard + allowed
            heapq.heappush(self._awaited, (source.heard + allowed, source.name))
