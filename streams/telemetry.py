"""What is done with telemetry: each source's events are scored, learned, and turned into alerts."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Literal, NamedTuple

from pydantic import Field

from alerts.alert import Alert
from alerts.lifecycle import Lifecycle
from alerts.policy import Policy
from detectors.base import Detector
from detectors.registry import DetectorSettings
from detectors.score import Score
from streams.across_sources import RESERVED, AcrossSources
from streams.codec import Reason, Rejected, decode, misplaced, mistimed
from streams.dead_letters import dead_letter
from streams.peers import MAX_PRIOR_BYTES, PeerSettings, Prior
from streams.processor import Output, Record, Result
from streams.schemas import EventLimits, TelemetryEvent
from streams.scores import ScoreChoice, ScoreSink, score_output
from streams.settings import Settings
from streams.source import Source

STREAM = "telemetry"
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
    peers: PeerSettings = Field(default_factory=PeerSettings, description="How new sources begin.")
    min_silence: float = Field(
        10.0, ge=0, description="Seconds without an event that never count as silence, however busy the source."
    )


class _Judged(NamedTuple):
    """An event whose alerts are to be followed, and what its detector said; no score if it failed.

    ``silence`` is the time of the event before it and the gap that would have been none, if the gap was longer.
    """

    source: Source
    record: Record
    event: TelemetryEvent
    time: float
    score: Score | None
    silence: tuple[float, float] | None


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
    partitions
        How many there are; each has its share of the stream's alert budget.

    """

    broadcasts: tuple[str, ...] = ()

    def __init__(
        self,
        settings: TelemetrySettings,
        partition: int,
        states: Mapping[str, bytes],
        make_detector: Callable[[], Detector],
        sink: ScoreSink | None = None,
        partitions: int = 1,
    ) -> None:
        self._settings, self._partition = settings, partition
        self.detector = settings.detector.name
        self._sink = sink
        self._states, self._make_detector = states, make_detector
        self._choice = ScoreChoice(settings.scores, settings.anomalous_p, settings.sample)
        a_day = settings.policy.budget.per_stream_a_day
        self._across = AcrossSources(None if a_day is None else a_day / partitions, settings.peers, states)
        self._sources: dict[str, Source] = {}
        self._changed: dict[str, Source] = {}
        self._awaited: list[tuple[float, str]] | None = None
        self._deadlines: dict[str, float] = {}

    def process(self, records: Sequence[Record]) -> Result:
        """Score and learn a batch source by source, then follow the alerts in the order of the records."""
        result = Result()
        for window in self._across.windows(records):
            judged = self._judge(window, result)
            for offset in sorted(judged):
                self._across.at(offset)
                self._follow(offset, judged[offset], result)
            self._across.at(window[-1].offset)
        result.outputs.sort(key=lambda output: output.cause.offset)
        return result

    def _judge(self, records: Sequence[Record], result: Result) -> dict[int, _Judged | None]:
        """Return what the detectors say, by offset; ``None`` where a source is ahead of what is known across them."""
        judged: dict[int, _Judged | None] = {}
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
                self._take(source, record, event, judged, result)
            self._await(source)
        return judged

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
                if not name.startswith(RESERVED):
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
            self._publish(source.lifecycle.silent(source.newest, allowed), cause, result)
            self._changed[name] = source
        return result

    def changes(self) -> Iterator[tuple[str, bytes | None]]:
        """Return the states that have changed since the last call; they must be stored in this order."""
        changed, self._changed = self._changed, {}
        yield from self._across.changes_before()
        for name, source in changed.items():
            yield name, source.snapshot()
        yield from self._across.changes_after()

    def models(self) -> int:
        """Return how many sources' detectors are in memory."""
        return len(self._sources)

    def _source(self, name: str) -> Source:
        source = self._sources.get(name)
        if source is None:
            lifecycle = Lifecycle(STREAM, name, self._settings.policy, self._across.allowance)
            source = self._sources[name] = Source(
                name, self._make_detector(), lifecycle, self._settings.peers.after_events
            )
            state = self._states.get(name)
            if state is not None:
                source.restore(state)
        return source

    def _take(
        self, source: Source, record: Record, event: TelemetryEvent, judged: dict[int, _Judged | None], result: Result
    ) -> None:
        if record.offset <= source.offset:
            result.outcomes["replayed"] += 1
            if self._across.remembers(record.offset):
                judged[record.offset] = None
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
            judged[record.offset] = self._score(source, record, event, time, result)

    def _score(self, source: Source, record: Record, event: TelemetryEvent, time: float, result: Result) -> _Judged:
        allowed = self._allowed(source)
        silence = (source.newest, allowed) if allowed is not None and time - source.newest > allowed else None
        if not source.events and source.prior is None and (peers := self._across.peers.of(self._type(event))):
            source.join(peers, self._make_detector)
        try:
            score = source.detector.process_one(event.readings, time)
        except Exception as error:
            refused = Rejected(Reason.DETECTOR_ERROR, f"the detector failed: {type(error).__name__}: {error}")
            self._reject(record, refused, result)
            return _Judged(source, record, event, time, None, silence)
        source.events += 1
        source.newest = max(source.newest, time)
        source.heard = max(source.heard, record.timestamp)
        if event.event_id is not None:
            source.ids = [*source.ids[1 - REMEMBERED_IDS :], event.event_id]
        if source.events >= source.tells_peers_at and self._settings.peers.enabled:
            self._tell_peers(source, record, event)
        result.outcomes["scored"] += 1
        return _Judged(source, record, event, time, score, silence)

    def _tell_peers(self, source: Source, record: Record, event: TelemetryEvent) -> None:
        settings, type_ = self._settings.peers, self._type(event)
        learned = source.detector.prior() if type_ is not None else None
        source.tells_peers_at = source.events + (settings.after_events if learned is None else settings.refresh_events)
        if type_ is not None and learned is not None and len(learned) <= MAX_PRIOR_BYTES:
            self._across.contribute(Prior(record.offset, type_, source.name, learned))

    def _type(self, event: TelemetryEvent) -> str | None:
        return self._settings.peers.type_of(event.all_attributes)

    def _follow(self, offset: int, judged: _Judged | None, result: Result) -> None:
        """Follow a source's alerts, in the order of the records: they share the stream's budget."""
        if judged is None:
            self._across.replay(offset)
            return
        source, record, event, time, score, silence = judged
        if silence is not None:
            self._publish(source.lifecycle.silent(*silence), record, result)
        self._publish(source.lifecycle.heard(time, really=silence is not None), record, result)
        if score is None:
            return
        step = source.lifecycle.step(time, score)
        result.scores.append(score.anomaly_score)
        if step.newly_held:
            result.held.update(step.newly_held)
        if self._sink is not None:
            self._sink(record, score, step)
        elif self._choice.takes(source.name, record, score, step):
            result.outputs.append(score_output(source.name, record, event, score, step, source.prior))
        self._publish(step.changes, record, result)

    def _publish(self, changes: Sequence[Alert], cause: Record, result: Result) -> None:
        for alert in changes:
            result.outputs.append(Output("alerts", alert.alert_id.encode(), alert.encode(), "tocsin.alert.v1", cause))

    def _reject(self, record: Record, rejected: Rejected, result: Result) -> None:
        result.outputs.append(dead_letter(record, rejected))
        result.outcomes["dead_letter"] += 1

    def _allowed(self, source: Source) -> float | None:
        allowed = source.detector.silent_after()
        return None if allowed is None else max(allowed, self._settings.min_silence)

    def _await(self, source: Source) -> None:
        """Note until when a source must be heard again; one note a source, renewed when it comes due."""
        if self._awaited is None or source.name in self._deadlines:
            return
        allowed = self._allowed(source)
        if allowed is not None:
            self._deadlines[source.name] = source.heard + allowed
            heapq.heappush(self._awaited, (source.heard + allowed, source.name))
