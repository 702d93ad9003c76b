"""What a table's columns are: found by their usual names, and read as names, times or numbers."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import TypeAdapter, ValidationError

from streams.tables import TableError


def find_column(
    role: str, given: str | None, names: Sequence[str], usual: Sequence[str], *, needed: bool = True
) -> str | None:
    """Return the column that plays a role.

    Parameters
    ----------
    role
        What the column is, as its command-line option is called.
    given
        Its name, if the user said so.
    names
        The columns that there are.
    usual
        Names to look for, the best first, in lower case.
    needed
        Whether it must be there.

    Raises
    ------
    streams.tables.TableError
        If there is no such column.

    Examples
    --------
    >>> find_column("time", None, ["value", "Timestamp"], ("time", "timestamp"))
    'Timestamp'

    """
    if given is not None:
        if given not in names:
            raise TableError(f"no column {given!r} for --{role}; there are: {', '.join(names)}")
        return given
    lower = {name.lower(): name for name in reversed(names)}
    found = next((lower[name] for name in usual if name in lower), None)
    if found is None and needed:
        raise TableError(f"which column is the {role}? Name it with --{role}; there are: {', '.join(names)}")
    return found


def names_in(column: pa.ChunkedArray) -> list[str | None]:
    """Return a column's cells as names."""
    return list(column.cast(pa.string()).to_pylist())


def as_times(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return a column as the times that stand in events: numbers, or ISO 8601, or texts as they are.

    Examples
    --------
    >>> as_times(pa.chunked_array([["1767225600", "1767225601"]])).to_pylist()
    [1767225600, 1767225601]
    >>> as_times(pa.chunked_array([pa.array([1767225600500], pa.timestamp("ms"))])).to_pylist()
    ['2026-01-01T00:00:00.500000Z']

    """
    if pa.types.is_date(column.type):
        column = column.cast(pa.timestamp("ms"))
    if pa.types.is_timestamp(column.type):
        in_utc = column.cast(pa.timestamp("us", "UTC"), safe=False)
        return pc.strftime(in_utc, "%Y-%m-%dT%H:%M:%SZ")
    if pa.types.is_decimal(column.type):
        return column.cast(pa.float64())
    if _is_text(column.type):
        return _cast_if_all(column, pa.int64()) or _cast_if_all(column, pa.float64()) or column
    return column


def are_names(column: pa.ChunkedArray) -> bool:
    """Say whether a column can name something: fractions are readings.

    Examples
    --------
    >>> are_names(pa.chunked_array([["007", "008"]])), are_names(pa.chunked_array([["21.5", "22"]]))
    (True, False)

    """
    if not _is_text(column.type):
        return not pa.types.is_floating(column.type)
    return _cast_if_all(column, pa.int64()) is not None or _cast_if_all(column, pa.float64()) is None


def _cast_if_all(column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray | None:
    try:
        return column.cast(kind)
    except pa.ArrowInvalid:
        return None


_MOMENTS = TypeAdapter(datetime)


def epochs(column: pa.ChunkedArray) -> list[float]:
    """Return a column's times as epoch seconds; one that is none counts as the one before.

    Examples
    --------
    >>> epochs(pa.chunked_array([["2026-01-01T00:00:00Z", "someday", "1767225601.5"]]))
    [1767225600.0, 1767225600.0, 1767225601.5]

    """
    if pa.types.is_timestamp(column.type):
        microseconds = column.cast(pa.timestamp("us", "UTC"), safe=False).cast(pa.int64())
        return [0.0 if value is None else value / 1e6 for value in microseconds.to_pylist()]
    times: list[float] = []
    for stamp in as_times(column).to_pylist():
        try:
            moment = _MOMENTS.validate_python(stamp)
        except ValidationError:  # its event is refused; until then it needs a place among the others
            times.append(times[-1] if times else 0.0)
            continue
        times.append((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
    return times


def are_numbers(column: pa.ChunkedArray) -> bool:
    """Say whether a column holds numbers; in a column of text, at least half of what is there must be some.

    Examples
    --------
    >>> are_numbers(pa.chunked_array([["1", "2.5", "broken"]])), are_numbers(pa.chunked_array([["on", "off", "1"]]))
    (True, False)

    """
    if not _is_text(column.type):
        return _is_numeric(column.type)
    cells = [cell for cell in map(_number, column.to_pylist()) if cell is not None]
    return sum(isinstance(cell, float) for cell in cells) * 2 >= len(cells) > 0


def numbers_in(column: pa.ChunkedArray) -> list[float | str | None]:
    """Return a column's cells as numbers; ``None`` where there is none.

    A text among numbers stays a text: its row is refused, rather than a reading be left out in silence.

    Examples
    --------
    >>> numbers_in(pa.chunked_array([["1", "2.5", "", "n/a", "broken"]]))
    [1.0, 2.5, None, None, 'broken']

    """
    if _is_text(column.type):
        return [_number(cell) for cell in column.to_pylist()]
    numbers = column.cast(pa.float64(), safe=False)
    return list(pc.if_else(pc.is_nan(numbers), None, numbers).to_pylist())


def truths_in(column: pa.ChunkedArray) -> list[bool | None]:
    """Return a column's cells as true or false; ``None`` where there is neither.

    Raises
    ------
    streams.tables.TableError
        If a cell is anything else.

    Examples
    --------
    >>> truths_in(pa.chunked_array([["yes", "no", "", "1"]]))
    [True, False, None, True]

    """
    if not _is_text(column.type):
        return [None if cell is None or cell != cell else bool(cell) for cell in column.to_pylist()]  # noqa: PLR0124
    return [_truth(cell) for cell in column.to_pylist()]


def _truth(cell: str | None) -> bool | None:
    said = "" if cell is None else cell.strip().lower()
    if said in NOTHING:
        return None
    if said not in TRUTHS:
        raise TableError(f"{cell!r} is no label; write 1 or 0, true or false")
    return TRUTHS[said]


TRUTHS = {"1": True, "true": True, "yes": True, "1.0": True, "0": False, "false": False, "no": False, "0.0": False}

NOTHING = frozenset({"", "-", "?", "#n/a", "n/a", "na", "nan", "-nan", "nil", "none", "null"})
"""What stands, in lower case, where a number is missing."""


def _number(cell: str | None) -> float | str | None:
    if cell is None or cell.strip().lower() in NOTHING:
        return None
    try:
        return float(cell)
    except ValueError:
        return cell


def _is_numeric(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))
