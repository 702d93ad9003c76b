"""What is done with telemetry: each source's events are scored, learned, and turned into alerts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain
from typing import NamedTuple

from alerts.alert import Alert
from alerts.feedback import Feedback
from alerts.lifecycle import Lifecycle
from alerts.signature import NOTEWORTHY_P
from detectors.base import Detector
from streams.across_sources import AcrossSources
from streams.codec import Reason, Rejected, misplaced, mistimed
from streams.dead_letters import dead_letter
from streams.fleet_book import TOPIC as ARTEFACTS
from streams.foretelling import Foretelling
from streams.kept_states import KeptStates
from streams.late_events import RecentPast, Scored
from streams.policy_book import CHANGES, PolicyBook
from streams.policy_book import TOPIC as POLICIES
from streams.processor import Output, Record, Result
from streams.readings import Reading, ReadingDecoder
from streams.scores import ScoreChoice, ScoreSink, score_output
from streams.silences import Silences
from streams.source import Source, ids_in
from streams.source_commands import TOPIC as COMMANDS
from streams.source_commands import SourceCommands
from streams.source_ids import SourceIds
from streams.source_labels import TOPIC as LABELS
from streams.source_labels import SourceLabels, take_due
from streams.telemetry_settings import TelemetrySettings
from streams.traces import Model

STREAM = "telemetry"
REMEMBERED_IDS = 16
SOURCE_BYTES = 7168
"""What a source takes in memory beside the bytes of its snapshot, as `tocsin bench memory` measures it."""

USUALLY_NEAR = 60.0
"""Seconds from the time in a label within which an event is meant, while no gap is known to be usual."""

OUTCOMES = (
    *("scored", "rescored", "duplicate", "dead_letter", "replayed"),
    *("label_learned", "label_repeated", "label_unmatched"),
    *("command_done", "command_without_effect"),
)


class _Taken(NamedTuple):
    """An event that has been taken in, whose alerts are to be followed; its source may be further by then.

    ``newest`` is the time of the newest event before it, ``heard`` the latest time of production including its own.
    ``silent_after`` is what the detector called silence before it, and ``scored`` what it said, ``None`` if it failed.
    """

    source: Source
    record: Record
    event: Reading
    time: float
    newest: float
    heard: float
    silent_after: float | None
    scored: Scored | None


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
    key
        Secret that must have signed published models, if there is one.

    """

    broadcasts: tuple[str, ...] = (LABELS, POLICIES, CHANGES, COMMANDS, ARTEFACTS)

    def __init__(
        self,
        settings: TelemetrySettings,
        partition: int,
        states: Mapping[str, bytes],
        make_detector: Callable[[], Detector],
        sink: ScoreSink | None = None,
        partitions: int = 1,
        key: bytes | None = None,
    ) -> None:
        self._settings, self._partition = settings, partition
        self.detector = settings.detector.name
        self._model = Model(self.detector, make_detector().state_format)
        self._sink = sink
        self._states, self._make_detector = states, make_detector
        self._decoder = ReadingDecoder(settings.limits)
        self._choice = ScoreChoice(settings.scores, settings.anomalous_p, settings.sample)
        a_day = settings.policy.budget.per_stream_a_day
        self._across = AcrossSources(None if a_day is None else a_day / partitions, settings.peers, states)
        self._policies = PolicyBook(settings.policy, settings.limits, states)
        self._foretelling = Foretelling(settings.forecasts, key)
        self._sources = KeptStates(self._new_source, states.get, SOURCE_BYTES)
        self._forgotten: dict[int, Source] = {}
        self._ids = SourceIds(states, ids_in)
        self._labels = SourceLabels(settings.limits, states, self._ids, self._sources.find)
        self._commands = SourceCommands(settings.limits, states, lambda name: self._sources.find(name) is not None)
        self._silences = Silences(settings.min_silence, settings.forget_after, self._sources, states, self._restored)

    def process(self, records: Sequence[Record]) -> Result:
        """Score and learn a batch source by source, then follow the alerts in the order of the records."""
        result = Result()
        for window in self._across.windows(records):
            taken = self._take_in(window, result)
            for offset in sorted(taken):
                self._across.at(offset)
                self._follow(offset, taken[offset], result)
            self._across.at(window[-1].offset)
        self._labels.passed(records)
        self._commands.passed(records)
        result.outputs.sort(key=lambda output: output.cause.offset)
        return result

    def absorb(self, records: Sequence[Record]) -> Result:
        """Take in labels and commands, which a source takes when it has reached their time, policies and changes.

        What cannot be read is told by the partition of the same number, once for all.
        """
        result = Result()
        said = {topic: [record for record in records if record.topic == topic] for topic in self.broadcasts}
        for source in self._labels.absorb(said[LABELS]):
            self._sources.change(source.name)
        governing = [*said[POLICIES], *said[CHANGES]]
        for record, wrong in chain(
            self._policies.absorb(governing),
            self._commands.absorb(said[COMMANDS]),
            self._foretelling.absorb(said[ARTEFACTS]),
        ):
            if record.partition == self._partition:
                self._reject(record, wrong, result)
        return result

    def absorbed(self) -> Mapping[tuple[str, int], int]:
        """Last offset taken in, by broadcast topic and partition."""
        offsets = (self._labels, self._policies, self._commands, self._foretelling)
        return {place: offset for one in offsets for place, offset in one.absorbed.items()}

    def tick(self, now: float) -> Result:
        """Say which sources have fallen silent by ``now``, forget those that have been for long, and obey commands."""
        result = Result()
        for source in self._silences.due(now):
            cause = Record(STREAM, self._partition, source.offset, source.heard, None, None)
            if not self._silences.is_to_go(source, now):
                self._sources.change(source.name)
                allowed = self._silences.allowed(source, source.detector.silent_after(), source.newest) or 0.0
                self._publish(source, source.lifecycle.silent(source.newest, allowed), cause, result)
            elif not self._sources.has_changed(source.name):
                # Only what a checkpoint covers is deleted: after a crash, its records must not come again.
                self._publish(source, self._expired(source), cause, result)
                self._sources.forget(source.name)
                self._ids.touch(source.name)
                result.forgotten += 1
        for name in self._commands.awaited(now) if self._commands.waiting else ():
            source = self._sources.change(name)
            cause = Record(STREAM, self._partition, source.offset, source.heard, None, None)
            self._obey(source, now, cause, result)
        return result

    def changes(self) -> Iterator[tuple[str, bytes | None]]:
        """Return the states that have changed since the last call; they must be stored in this order.

        The sources come after the policies that govern them and the journal of what they did across sources, and before
        what says that they have done it: how far is known across them, and how far labels and commands have reached.
        """
        yield from self._policies.changes()
        yield from self._across.changes_before()
        yield from self._ids.changes_before(self._ids_now)
        yield from self._sources.changes()
        yield from self._ids.changes_after()
        yield from self._across.changes_after()
        yield from self._labels.changes()
        yield from self._commands.changes()

    def tolerated_silence(self, name: str) -> float | None:
        """Return how many seconds a source may say nothing after its newest event, ``None`` while that is not known."""
        source = self._sources.find(name)
        return None if source is None else self._silences.allowed(source, source.detector.silent_after(), source.newest)

    def models(self) -> int:
        """Return how many sources' detectors are in memory."""
        return len(self._sources)

    def kept_bytes(self) -> int:
        """Return how many bytes the sources in memory take."""
        return self._sources.bytes

    def put_away(self, down_to: int) -> int:
        """Let sources that have not changed leave memory until no more than so many bytes are left."""
        return self._sources.put_away(down_to)

    def _new_source(self, name: str) -> Source:
        beneath = self._policies.beneath
        lifecycle = Lifecycle(STREAM, name, beneath, Feedback(STREAM, name), self._across.allowance)
        after_events = self._settings.peers.after_events
        past = RecentPast(self._settings.late) if self._settings.late.rescore_within else None
        foretell, govern = self._foretelling.begin, self._policies.govern
        return Source(name, self._make_detector(), lifecycle, after_events, foretell, govern, past)

    def _restored(self, name: str, state: bytes) -> Source:
        source = self._new_source(name)
        source.restore(state)
        return source

    def _ids_now(self, name: str) -> set[str]:
        source = self._sources.in_memory(name)
        return set() if source is None else set(source.ids())

    def _expired(self, source: Source) -> Sequence[Alert]:
        return source.lifecycle.expire(self._settings.forget_after or 0.0)

    def _unless_forgotten(self, source: Source, record: Record, taken: dict[int, _Taken | None]) -> Source:
        """Return a source, or a new one in its place if it was silent for so long that it is forgotten."""
        if record.offset <= source.offset or not self._silences.forgets(source, record.timestamp):
            return source
        self._forgotten[record.offset] = source
        taken[record.offset] = None
        self._ids.touch(source.name)
        return self._sources.begin_anew(source.name)

    def _take_in(self, records: Sequence[Record], result: Result) -> dict[int, _Taken | None]:
        """Let the detectors score and learn, source by source, and return what is to be followed by its offset.

        It is ``None`` where a source is ahead of what is known across the sources.
        """
        taken: dict[int, _Taken | None] = {}
        by_source: dict[str, list[tuple[Record, Reading]]] = {}
        decode = self._decoder.decode
        for record in records:
            event = decode(record.value)
            if isinstance(event, Reading):
                events = by_source.get(event.source)
                if events is None:
                    events = by_source[event.source] = []
                events.append((record, event))
            else:
                self._reject(record, event, result)
        for name, events in by_source.items():
            source = self._sources.change(name)
            if not source.events:
                self._labels.appeared(source)
            key = name.encode()
            for record, event in events:
                source = self._unless_forgotten(source, record, taken)
                self._take(source, key, record, event, taken, result)
            self._silences.expect(source)
        return taken

    def _take(
        self,
        source: Source,
        key: bytes,
        record: Record,
        event: Reading,
        taken: dict[int, _Taken | None],
        result: Result,
    ) -> None:
        if record.offset <= source.offset:
            result.outcomes["replayed"] += 1
            if self._across.remembers(record.offset):
                taken[record.offset] = None
            return
        source.offset = record.offset
        refused = self._refusal(source, key, record, event)
        if refused is not None:
            self._reject(record, refused, result)
        elif event.event_id is not None and event.event_id in source.event_ids:
            result.outcomes["duplicate"] += 1
        else:
            taken[record.offset] = self._score(source, record, event, event.time, result)

    def _refusal(self, source: Source, key: bytes, record: Record, event: Reading) -> Rejected | None:
        limits = self._settings.limits
        refused = mistimed(event.time, source.newest, record, limits)
        if refused is None and record.key is not None and record.key != key:
            refused = misplaced(record, source.name, "source")
        if refused is None and event.sent > limits.max_values:
            detail = f"values: {event.sent} are more than max_values ({limits.max_values})"
            return Rejected(Reason.OUT_OF_RANGE, detail)
        return refused

    def _score(self, source: Source, record: Record, event: Reading, time: float, result: Result) -> _Taken:
        newest, heard = source.newest, max(source.heard, record.timestamp)
        silent_after = source.detector.silent_after()
        if not source.events:
            self._across.welcome(source, event, self._make_detector)
        frozen = self._policies.freezes and self._policies.ruling(source.name, heard).is_frozen(time)
        try:
            scored = source.score(event.values, time, frozen=frozen)
        except Exception as error:
            refused = Rejected(Reason.DETECTOR_ERROR, f"the detector failed: {type(error).__name__}: {error}")
            self._reject(record, refused, result)
            return _Taken(source, record, event, time, newest, heard, silent_after, None)
        source.events += 1
        source.newest, source.heard = max(newest, time), heard
        if event.event_id is not None:
            source.event_ids = [*source.event_ids[1 - REMEMBERED_IDS :], event.event_id]
        if source.events >= source.tells_peers_at:
            self._across.hear(source, record.offset, event)
        result.outcomes["scored"] += 1
        return _Taken(source, record, event, time, newest, heard, silent_after, scored)

    def _follow(self, offset: int, taken: _Taken | None, result: Result) -> None:
        """Follow a source's alerts, in the order of the records: they share the stream's budget."""
        if self._forgotten and (forgotten := self._forgotten.pop(offset, None)) is not None:
            self._end_forgotten(forgotten, taken, offset, result)
        if taken is None:
            self._across.replay(offset)
            return
        source = taken.source
        if source.labels:
            self._learn_labels(taken, result)
        if source.lifecycle.is_silent or (
            taken.silent_after is not None and taken.time - taken.newest > taken.silent_after
        ):
            self._end_silence(taken, result)
        elif self._commands.waiting:
            self._obey(source, taken.heard, taken.record, result)
        if taken.scored is not None:
            self._judge(taken, taken.scored, result)

    def _judge(self, taken: _Taken, scored: Scored, result: Result) -> None:
        """Let the alerts begin, go on and end by what was said of an event, and of those scored again because of it."""
        source, record, event, score = taken.source, taken.record, taken.event, scored.score
        if self._policies.applied:  # of a silence before this event decided those before it
            self._policies.govern(source, taken.heard)
        if scored.later:
            self._publish(source, source.lifecycle.reconsider(scored.again), record, result)
            result.outcomes["rescored"] += scored.later
        score = self._foretelling.of_event(source, event, taken.time, taken.heard, record, score, result)
        step = source.lifecycle.step(taken.time, score, event.event_id, event.values)
        if event.event_id is not None and score.p_value <= NOTEWORTHY_P:
            self._labels.appeared(source, (event.event_id,))
        result.scores.append(score.anomaly_score)
        if step.newly_held:
            result.held.update(step.newly_held)
        if self._sink is not None:
            self._sink(record, score, step)
        elif scored.later or self._choice.takes(source.name, record, score, step):
            told = score_output(source.name, record, event, score, step, self._model, source.prior, scored.later)
            result.outputs.append(told)
        if step.changes:
            self._publish(source, step.changes, record, result)

    def _end_forgotten(self, source: Source, taken: _Taken | None, offset: int, result: Result) -> None:
        cause = Record(STREAM, self._partition, offset, source.heard, None, None) if taken is None else taken.record
        self._publish(source, self._expired(source), cause, result)
        heir = self._sources.read(source.name) if taken is None else taken.source
        heir.labels = [*source.labels, *heir.labels]
        result.forgotten += 1

    def _learn_labels(self, taken: _Taken, result: Result) -> None:
        source = taken.source
        near = max(USUALLY_NEAR, self._silences.allowed(source, taken.silent_after, taken.newest) or 0.0)
        self._ids.touch(source.name)
        for label in take_due(source, max(taken.newest, taken.time), taken.heard):
            outcome, changes = source.lifecycle.judge(taken.time, label, near)
            result.outcomes[outcome] += 1
            self._publish(source, changes, taken.record, result)

    def _end_silence(self, taken: _Taken, result: Result) -> None:
        source = taken.source
        allowed = self._silences.allowed(source, taken.silent_after, taken.newest)
        silent = allowed is not None and taken.time - taken.newest > allowed
        if silent and allowed is not None:
            self._publish(source, source.lifecycle.silent(taken.newest, allowed), taken.record, result)
        if self._commands.waiting:  # what was said to the silence while it lasted
            self._obey(source, taken.heard, taken.record, result)
        self._publish(source, source.lifecycle.heard(taken.time, really=silent), taken.record, result)

    def _obey(self, source: Source, now: float, cause: Record, result: Result) -> None:
        """Take the commands that are due to a source's alerts."""
        for offset, _, command in self._commands.due(source.name, now):
            if offset <= source.commanded:
                continue  # before a crash
            source.commanded = offset
            changes = source.lifecycle.command(command)
            result.outcomes["command_done" if changes else "command_without_effect"] += 1
            self._publish(source, changes, cause, result)

    def _publish(self, source: Source, changes: Sequence[Alert], cause: Record, result: Result) -> None:
        if changes:
            self._labels.appeared(source, [alert.alert_id for alert in changes])
        for alert in changes:
            result.outputs.append(Output("alerts", alert.alert_id.encode(), alert.encode(), "tocsin.alert.v1", cause))

    def _reject(self, record: Record, rejected: Rejected, result: Result) -> None:
        result.outputs.append(dead_letter(record, rejected))
        result.outcomes["dead_letter"] += 1
