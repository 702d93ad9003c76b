"""Scores a source's events again, to say something of those whose scores were not published."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from alerts.step import Step
from detectors.base import Detector
from detectors.score import Score
from streams.processor import Record
from streams.readings import Reading, ReadingDecoder
from streams.telemetry import TelemetryProcessor
from streams.telemetry_settings import TelemetrySettings


class Replayed(NamedTuple):
    """An event that was scored again; ``None`` for the score if it was passed over as a repetition."""

    record: Record
    reading: Reading
    score: Score | None


class Replay:
    """Scores a source's events again, by the code that runs live, to find the one that is meant.

    Policies and planned changes count as they did, so what was frozen is frozen again. What its peers had learned,
    labels and commands are left out; the last two change neither whether an event is a repetition nor what a detector
    says.

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
    governing
        All policies and planned changes.

    Attributes
    ----------
    nearest
        The event that is nearest to that time; one that became a dead letter is none.
    before, after
        Times of the events next to it; ``None`` if there are none.
    events
        How many there have been.
    has_peers
        Whether the first of them names a type, so that the source may have begun from what its peers had learned.
    tolerated
        Seconds without an event that were not yet silence after the newest event up to that time; ``None`` if that was
        not known.

    """

    def __init__(
        self,
        settings: TelemetrySettings,
        make_detector: Callable[[], Detector],
        source: str,
        at: float,
        partition: int,
        governing: Sequence[Record] = (),
    ) -> None:
        self._source, self._at, self._limits, self._peers = source, at, settings.limits, settings.peers
        self._processor = TelemetryProcessor(settings, partition, {}, make_detector, self._scored)
        self._processor.absorb(governing)
        self._decoder = ReadingDecoder(settings.limits)
        self._score: Score | None = None
        self._newest = float("-inf")
        self.nearest: Replayed | None = None
        self.before: float | None = None
        self.after: float | None = None
        self.events = 0
        self.has_peers = False
        self.tolerated: float | None = None

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
            if not self.events:
                self.has_peers = self._peers.enabled and self._peers.type_of(reading.attributes) is not None
            self.events += 1
            if reading.time <= self._at:
                self.tolerated = self._processor.tolerated_silence(self._source)
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


def position_of(record: Record) -> str:
    """Return where a record stands."""
    return f"{record.topic}/{record.partition}/{record.offset}"
