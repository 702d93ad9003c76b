"""A file of labels, as the records that people would have sent."""

from __future__ import annotations

from pathlib import Path

from streams.codec import Rejected, decode
from streams.processor import NOT_PRODUCED, Record
from streams.schemas import EventLimits, LabelEvent
from streams.tables import TableError

BEFORE_ALL = 2 * NOT_PRODUCED
"""Time of production, so that what counts of a recorded label is its event time alone."""


def recorded_labels(path: Path, limits: EventLimits) -> list[Record]:
    """Return the labels of a file of JSON lines.

    Parameters
    ----------
    path
        The file; empty lines are passed over.
    limits
        What a label may be.

    Raises
    ------
    streams.tables.TableError
        If the file cannot be read, or a line is no label.

    """
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise TableError(f"{path}: {error.strerror}") from error
    records = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        event = decode(LabelEvent, line, limits)
        if isinstance(event, Rejected):
            raise TableError(f"{path}:{number}: {event.detail}")
        records.append(Record("labels", 0, number - 1, BEFORE_ALL, event.id.encode(), line))
    return records
