"""What is done with telemetry: each source's events are scored, learned, and turned into alerts."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Literal

import msgspec
from pydantic import Field

from alerts.alert import Alert
from alerts.lifecycle import Lifecycle, Step
from alerts.policy import Policy
from detectors.base import Detector
from detectors.registry import DetectorSettings
from detectors.score import Score
from streams.codec import Reason, Rejected, decode, misplaced, mistimed
from streams.dead_letters import dead_letter
from streams.processor import Output, Record, Result
from streams.schemas import EventLimits, TelemetryEvent
from streams.scores import ScoreChoice, ScoreSink, score_output
from streams.settings import Settings

STREAM = "telemetry"
FORMAT = 1
REMEMBERED_IDS = 16
OUTCOMES = ("scored", "duplicate", "dead_letter", "replayed")


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


class _Source:
    """One source: its detector, its alerts, and how far it has been learned."""

    __slots__ = ("detector", "heard", "ids", "lifecycle", "name", "newest", "offset")

    def __init__(self, name: str, detector: Detector, lifecycle: Lifecycle) -> None:
        self.name, self.detector, self.lifecycle = name, detector, lifecycle
        self.offset = -1
        self.newest = float("-inf")
        self.heard = float("-inf")
        self.ids: list[str] = []

    def snapshot(self) -> bytes:
        return msgspec.msgpack.encode(
            _Snapshot(
                FORMAT,
                self.offset,
                self.newest,
                self.heard,
                self.ids,
                self.detector.snapshot(),
                self.lifecycle.snapshot(),
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
        self.ids = snapshot.ids
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

    broadcasts: tuple[str, ...] = ()

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
        result.outputs.sort(key=lambda output: output.cause.offset)
        return result

    def absorb(self, records: Sequence[Record]) -> Result:
        """Telemetry reads no broadcast topics."""
        return Result(outcomes=Counter(ignored=len(records)))

    def absorbed(self) -> Mapping[tuple[str, int], int]:
        """Telemetry reads no broadcast topics."""
        return {}

    def tick(self, now: float) -> Result:
        """Say which sources have fallen silent by ``now``."""
        result = Result()
        if self._awaited is None:
            self._awaited = []
            for name in dict.fromkeys((*self._states, *self._sources)):
                self._await(self._source(name))
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

    def models(self) -> int:
        """Return how many sources' detectors are in memory."""
        return len(self._sources)

    def _source(self, name: str) -> _Source:
        source = self._sources.get(name)
        if source is None:
            lifecycle = Lifecycle(STREAM, name, self._settings.policy)
            source = self._sources[name] = _Source(name, self._make_detector(), lifecycle)
            state = self._states.get(name)
            if state is not None:
                source.restore(state)
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
        elif event.event_id is not None and event.event_id in source.ids:
            result.outcomes["duplicate"] += 1
        else:
            self._score(source, record, event, time, result)

    def _score(self, source: _Source, record: Record, event: TelemetryEvent, time: float, result: Result) -> None:
        self._end_silence(source, record, time, result)
        try:
            score = source.detector.process_one(event.readings, time)
        except Exception as error:
            refused = Rejected(Reason.DETECTOR_ERROR, f"the detector failed: {type(error).__name__}: {error}")
            self._reject(record, refused, result)
            return
        step = source.lifecycle.step(time, score)
        source.newest = max(source.newest, time)
        source.heard = max(source.heard, record.timestamp)
        if event.event_id is not None:
            source.ids = [*source.ids[1 - REMEMBERED_IDS :], event.event_id]
        result.outcomes["scored"] += 1
        result.scores.append(score.anomaly_score)
        self._put_out_score(source, record, event, score, step, result)
        if step.changes:
            self._publish(source, step.changes, record, result)

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
        for alert in changes:
            result.outputs.append(Output("alerts", alert.alert_id.encode(), alert.encode(), "tocsin.alert.v1", cause))

    def _reject(self, record: Record, rejected: Rejected, result: Result) -> None:
        result.outputs.append(dead_letter(record, rejected))
        result.outcomes["dead_letter"] += 1

    def _allowed(self, source: _Source) -> float | None:
        allowed = source.detector.silent_after()
        return None if allowed is None else max(allowed, self._settings.min_silence)

    def _await(self, source: _Source) -> None:
        """Note until when a source must be heard again; one note a source, renewed when it comes due."""
        if self._awaited is None or source.name in self._deadlines:
            return
        allowed = self._allowed(source)
        if allowed is not None:
            self._deadlines[source.name] = source.heard + allowed
            heapq.heappush(self._awaited, (source.heard + allowed, source.name))
