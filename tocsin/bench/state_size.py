"""How large a source's state gets, whatever its events: the largest over recorded corpora, each file a source."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from detectors.base import Detector
from streams.columns import are_numbers, epochs, numbers_in
from streams.replay import Recording, find_recordings
from streams.tables import Progress, TableError, count_rows, read_table

CORPORA = {"NAB": "nab/data", "SKAB": "skab/data"}
LABELS = ("anomaly", "changepoint")
"""Columns that are no readings."""

EVERY = 250
"""Events between two looks at the state."""


@dataclass(frozen=True, slots=True)
class LargestState:
    """The largest state in a corpus.

    Parameters
    ----------
    corpus, source
        Where.
    values
        How many values that source has.
    state_bytes
        Size of the serialised state.

    """

    corpus: str
    source: str
    values: int
    state_bytes: int


def largest_states(data: Path, make: Callable[[], Detector], progress: Progress | None = None) -> list[LargestState]:
    """Return the largest state of each corpus in a folder.

    Parameters
    ----------
    data
        Folder with ``nab/data`` or ``skab/data``, or both.
    make
        Makes a new source's detector.
    progress
        Called now and then with the rows done and in all.

    Raises
    ------
    streams.tables.TableError
        If neither is there, or a file cannot be read.

    """
    there = {corpus: data / below for corpus, below in CORPORA.items() if (data / below).is_dir()}
    if not there:
        raise TableError(f"{data}: neither {' nor '.join(CORPORA.values())} is in it; name the folder with both")
    recordings = [(corpus, recording) for corpus, folder in there.items() for recording in find_recordings([folder])]
    total, done = sum(count_rows(recording.path) for _, recording in recordings), 0
    largest: dict[str, LargestState] = {}
    for corpus, recording in recordings:
        values, size, rows = _largest(recording, make())
        found = LargestState(corpus, recording.name, values, size)
        largest[corpus] = max(largest.get(corpus, found), found, key=lambda one: one.state_bytes)
        done += rows
        if progress is not None:
            progress(done, max(total, done))
    return list(largest.values())


def _largest(recording: Recording, detector: Detector) -> tuple[int, int, int]:
    """Return how many values a recording has, the largest state of a detector that learns it, and its rows."""
    table = read_table(recording.path)
    left_out = {recording.columns.time, *LABELS}
    names = [name for name in table.column_names if name not in left_out and are_numbers(table.column(name))]
    columns = [numbers_in(table.column(name)) for name in names]
    largest = 0
    for number, (t, *row) in enumerate(zip(epochs(table.column(recording.columns.time)), *columns, strict=True), 1):
        x = {name: value for name, value in zip(names, row, strict=True) if isinstance(value, float)}
        detector.process_one(x, t)
        if number % EVERY == 0:
            largest = max(largest, len(detector.snapshot()))
    return len(names), max(largest, len(detector.snapshot())), len(table)
