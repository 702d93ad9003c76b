"""Replays recorded telemetry through the live pipeline, offline: one row out for each row in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

import pyarrow as pa

from alerts.policies import PolicyDocument, PolicyVersion
from alerts.step import Step
from detectors.base import Detector
from detectors.score import Score
from streams.dead_letters import TOPIC as DEAD_LETTERS
from streams.dead_letters import DeadLetter
from streams.label_lines import BEFORE_ALL, recorded_labels
from streams.partitioner import partition_of
from streams.policy_book import TOPIC as POLICIES
from streams.processor import NOT_PRODUCED, Output, Record
from streams.replay import USUAL_COLUMNS, Recording, Rows, TelemetryColumns, find_recordings
from streams.tables import ENDINGS, Progress, TableError, count_rows, must_not_replace, write_table
from streams.telemetry import STREAM, TelemetryProcessor
from streams.telemetry_settings import TelemetrySettings

REPEATED = "duplicate: an event with this event_id came shortly before"

SCORE_FIELDS = {
    "anomaly_score": pa.float64(),
    "p_value": pa.float64(),
    "alert_score": pa.float64(),
    "alert": pa.int8(),
    "warm_up": pa.float64(),
    "missing": pa.string(),
    "held": pa.string(),
    "kind": pa.string(),
    "name": pa.string(),
    "expected": pa.float64(),
    "feedback": pa.string(),
}
"""What the result says of a row: ``missing`` is what is still to come before scores are fully usable, ``held`` what
holds back an alert, ``kind`` the strongest signal's, ``name`` its value, ``feedback`` what labels did."""


@dataclass(frozen=True, slots=True)
class TelemetryBacktest:
    """What a backtest came to: files, rows, how many rows had which outcome, and the alerts that began."""

    files: int
    rows: int
    outcomes: Counter[str]
    alerts: int


def backtest_telemetry(
    inputs: Sequence[Path],
    output: Path,
    settings: TelemetrySettings,
    make_detector: Callable[[], Detector],
    *,
    columns: TelemetryColumns = USUAL_COLUMNS,
    partitions: int = 1,
    alerts: Path | None = None,
    labels: Path | None = None,
    policies: Sequence[PolicyDocument] = (),
    progress: Progress | None = None,
) -> TelemetryBacktest:
    """Score recorded telemetry as a live run would have, and write one row out for each row in.

    The files are replayed in the order of their paths, each row by row, as ``tocsin produce telemetry`` sends them.
    A source that goes on in the next file is learned on. Each source is on the partition that Kafka's default
    partitioner gives it. The column that names the sources' types, if there is one, goes with the events.

    Parameters
    ----------
    inputs
        CSV and Parquet files, or folders with such files.
    output
        A folder, for files with the same relative paths; or a .csv or .parquet file, for a single file.
    settings
        How to score and when to alert.
    make_detector
        Makes a new source's detector.
    columns
        Which columns are what.
    partitions
        Number of partitions of the topics. With peers or a budget of the stream, which live within a partition, it
        must be the live one for equal results.
    alerts
        Where to write every change of every alert, as JSON lines.
    labels
        Labels as topic ``labels`` carries them, as JSON lines; each is learned when its source has reached its time.
    policies
        Documents that are in force from the beginning.
    progress
        Called now and then with the rows done and about how many there are.

    Raises
    ------
    streams.tables.TableError
        If a file cannot be read or lacks a column, a label is none, or the output would replace the input.

    """
    columns = replace(columns, attributes=(*columns.attributes, settings.peers.attribute))
    recordings = find_recordings(inputs, columns, outside=output)
    targets = _targets(inputs, output, recordings)
    total = sum(count_rows(recording.path) for recording in recordings)
    with ExitStack() as stack:
        if alerts is not None:
            alerts.parent.mkdir(parents=True, exist_ok=True)
        changes = None if alerts is None else stack.enter_context(alerts.open("wb"))
        replay = _Replay(settings, make_detector, partitions, changes)
        if labels is not None:
            replay.absorb(recorded_labels(labels, settings.limits))
        replay.absorb([_in_force(document, offset) for offset, document in enumerate(policies)])
        for recording, target in zip(recordings, targets, strict=True):
            parts = []
            for rows in recording.rows():
                parts.append(replay.take(rows))
                if progress is not None:
                    progress(replay.rows, max(total, replay.rows))
            write_table(target, pa.Table.from_batches(parts) if parts else _nothing())
    return TelemetryBacktest(len(recordings), replay.rows, replay.outcomes, replay.alerts)


class _Replay:
    """The pipeline, and what it has come to so far."""

    def __init__(
        self,
        settings: TelemetrySettings,
        make_detector: Callable[[], Detector],
        partitions: int,
        changes: IO[bytes] | None,
    ) -> None:
        self._processors = [
            TelemetryProcessor(settings, number, {}, make_detector, self._scored, partitions)
            for number in range(partitions)
        ]
        self._ends = [0] * partitions
        self._partition_of: dict[str | None, int] = {}
        self._changes = changes
        self._scores: dict[int, tuple[Score, Step]] = {}
        self._row_of: dict[tuple[int, int], int] = {}
        self.rows = 0
        self.alerts = 0
        self.outcomes: Counter[str] = Counter()

    def absorb(self, records: Sequence[Record]) -> None:
        """Take in labels or policies, before the events."""
        for processor in self._processors:
            processor.absorb(records)

    def take(self, rows: Rows) -> pa.RecordBatch:
        """Score some rows, and return what the result says of them."""
        self._scores.clear()
        outputs: list[Output] = []
        for processor, records in zip(self._processors, self._records(rows), strict=True):
            if records:
                result = processor.process(records)
                self.outcomes += result.outcomes
                outputs += result.outputs
        reasons: list[str | None] = [None if row in self._scores else REPEATED for row in range(len(rows))]
        for output in sorted(outputs, key=self._row):
            if output.topic == DEAD_LETTERS:
                reasons[self._row(output)] = _why(output, rows.wrong.get(self._row(output)))
            elif output.topic == "alerts":
                self._note(output)
        batch = self._batch(rows, reasons)
        self.rows += len(rows)
        return batch

    def _records(self, rows: Rows) -> list[list[Record]]:
        """Return the records of each partition, and remember which row each is."""
        self._row_of.clear()
        records: list[list[Record]] = [[] for _ in self._processors]
        for row, (source, event) in enumerate(zip(rows.sources, rows.events, strict=True)):
            number = self._partition_of.get(source)
            if number is None:
                number = self._partition_of[source] = partition_of(source, len(records))
            offset = self._ends[number]
            self._ends[number] += 1
            self._row_of[number, offset] = row
            key = None if source is None else source.encode()
            records[number].append(Record(STREAM, number, offset, NOT_PRODUCED, key, event))
        return records

    def _row(self, output: Output) -> int:
        return self._row_of[output.cause.partition, output.cause.offset]

    def _scored(self, record: Record, score: Score, step: Step) -> None:
        self._scores[self._row_of[record.partition, record.offset]] = score, step

    def _note(self, alert: Output) -> None:
        # Counts those that begin; within a text the quotes would be escaped.
        self.alerts += b'"version":1,' in alert.value
        if self._changes is not None:
            self._changes.write(alert.value + b"\n")

    def _batch(self, rows: Rows, reasons: list[str | None]) -> pa.RecordBatch:
        none = (None,) * len(SCORE_FIELDS)
        said = [none if (found := self._scores.get(row)) is None else _fields(*found) for row in range(len(rows))]
        times = rows.times.combine_chunks()
        return pa.RecordBatch.from_pydict(
            {"timestamp": times, "source": pa.array(rows.sources, pa.string())}
            | {
                name: pa.array(cells, kind)
                for (name, kind), cells in zip(SCORE_FIELDS.items(), zip(*said, strict=True), strict=True)
            }
            | {"reason": pa.array(reasons, pa.string())}
        )


def _in_force(document: PolicyDocument, offset: int) -> Record:
    version = PolicyVersion(name=document.name, version=1, author="backtest", at=0.0, policy=document)
    return Record(POLICIES, 0, offset, BEFORE_ALL, version.key, version.encode())


def _fields(score: Score, step: Step) -> tuple[object, ...]:
    signal = score.signals[0] if score.signals else None
    name = signal.name if signal else None
    value = score.values.get(name) if name is not None else None
    return (
        score.anomaly_score,
        score.p_value,
        step.alert_score,
        int(step.alert),
        score.warm_up,
        "; ".join(score.missing) or None,
        step.held,
        signal.kind if signal else None,
        name,
        value.expected if value else None,
        "; ".join(note.sentence for note in step.feedback) or None,
    )


def _nothing() -> pa.Table:
    text = pa.array([], pa.string())
    return pa.table(
        {"timestamp": text, "source": text}
        | {name: pa.array([], kind) for name, kind in SCORE_FIELDS.items()}
        | {"reason": text}
    )


def _why(letter: Output, wrong: str | None) -> str:
    said = DeadLetter.model_validate_json(letter.value)
    return f"{said.reason}: {wrong or said.detail}"


def _targets(inputs: Sequence[Path], output: Path, recordings: Sequence[Recording]) -> list[Path]:
    """Return where the result of each file goes."""
    single = len(inputs) == 1 and not inputs[0].is_dir()
    if output.suffix.lower() in ENDINGS and not output.is_dir():
        if not single:
            raise TableError(f"{output}: the results of several files need a folder; leave off {output.suffix}")
        targets = [output]
    else:
        if output.exists() and not output.is_dir():
            raise TableError(f"{output}: is neither a folder nor a .csv or .parquet file")
        targets = [output / recording.relative for recording in recordings]
    for recording, target in zip(recordings, targets, strict=True):
        must_not_replace(recording.path, target)
    return targets
