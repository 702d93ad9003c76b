"""Tables in files: reads and writes CSV and Parquet."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

ENDINGS = (".csv", ".parquet")
SEPARATORS = ",;\t"

Progress = Callable[[int, int], None]
"""Told now and then how many rows are done, of about how many."""


class TableError(ValueError):
    """A file cannot be read as the table it should be; the message says what to do."""


@dataclass(frozen=True, slots=True)
class RaggedRow:
    """A row of a CSV file that has too many or too few fields: its text, and what is wrong."""

    text: str
    wrong: str


def column_names(path: Path) -> list[str]:
    """Return the names of a file's columns.

    Raises
    ------
    streams.tables.TableError
        If the file is of an unknown kind, has no columns, or one twice.

    """
    try:
        if ending_of(path) == ".parquet":
            names = pyarrow.parquet.read_schema(path).names
        else:
            with pyarrow.csv.open_csv(path, parse_options=_separated(path, lambda row: "skip")) as head:
                names = head.schema.names
    except (pa.ArrowException, UnicodeDecodeError) as error:
        raise _unreadable(path, error) from error
    repeated = [name for name, times in Counter(names).items() if times > 1]
    if repeated:
        raise TableError(f"{path}: there are several columns {repeated[0]!r}; give each a name of its own")
    return list(names)


def read_table(
    path: Path,
    columns: Sequence[str] | None = None,
    *,
    text: Sequence[str] = (),
    ragged: dict[int, RaggedRow] | None = None,
) -> pa.Table:
    """Read a file.

    Parameters
    ----------
    path
        A CSV file, separated by comma, semicolon or tab, or a Parquet file.
    columns
        Those to read; ``None`` reads all.
    text
        Columns of a CSV file to take as they are written, even if they look like numbers or times.
    ragged
        Receives the rows of a CSV file whose number of fields is not that of the header, by the number that
        the row would have, from 0. They are not in the table. Without it they are an error.

    Raises
    ------
    streams.tables.TableError
        If the file cannot be read.

    """
    try:
        if ending_of(path) == ".parquet":
            return pyarrow.parquet.read_table(path, columns=None if columns is None else list(columns))
        return pyarrow.csv.read_csv(
            path,
            # Rows are only numbered when one thread reads them.
            read_options=pyarrow.csv.ReadOptions(use_threads=ragged is None),
            parse_options=_separated(path, None if ragged is None else _note_into(ragged)),
            convert_options=pyarrow.csv.ConvertOptions(
                include_columns=columns, column_types={name: pa.string() for name in text}
            ),
        )
    except (pa.ArrowException, UnicodeDecodeError) as error:
        raise _unreadable(path, error) from error


def write_table(path: Path, table: pa.Table) -> None:
    """Write a CSV or Parquet file, by its ending; it is there once it is whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    if ending_of(path) == ".csv":
        _write_csv(part, table)
    else:
        pyarrow.parquet.write_table(table, part, compression="zstd")
    part.replace(path)


def _write_csv(path: Path, table: pa.Table) -> None:
    try:
        pyarrow.csv.write_csv(table, path, pyarrow.csv.WriteOptions(quoting_header="none", quoting_style="none"))
    except pa.ArrowInvalid:  # a text holds a comma or a quote: Arrow quotes all texts, or none
        pyarrow.csv.write_csv(table, path, pyarrow.csv.WriteOptions(quoting_header="none"))


def ending_of(path: Path) -> str:
    """Return ``.csv`` or ``.parquet``.

    Raises
    ------
    streams.tables.TableError
        If the file has another ending.

    """
    ending = path.suffix.lower()
    if ending not in ENDINGS:
        raise TableError(f"{path}: cannot take {ending or 'a file without an ending'}; use .csv or .parquet")
    return ending


def must_not_replace(source: Path, target: Path) -> None:
    """Raise a ``TableError`` if a result would be written over its own input."""
    if source.resolve() == target.resolve():
        raise TableError(f"{target}: the result would replace the input; write it elsewhere")


def count_rows(path: Path) -> int:
    """Return about how many rows a file has, quickly: lines without the header, or what Parquet says."""
    if ending_of(path) == ".parquet":
        return int(pyarrow.parquet.read_metadata(path).num_rows)
    with path.open("rb") as file:
        return max(0, sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b"")) - 1)


def _separated(path: Path, on_ragged: Callable[[Any], str] | None) -> Any:
    """Return how to parse a CSV file: the separator is what its header has most of."""
    with path.open("rb") as file:
        header = file.readline(1 << 20).decode(errors="replace")
    unquoted = "".join(header.split('"')[::2])
    separator = max(SEPARATORS, key=unquoted.count)
    return pyarrow.csv.ParseOptions(delimiter=separator, newlines_in_values=True, invalid_row_handler=on_ragged)


def _note_into(ragged: dict[int, RaggedRow]) -> Callable[[Any], str]:
    def note(row: Any) -> str:
        # Arrow counts from 1 and counts the header.
        wrong = f"the row has {row.actual_columns} fields, the header {row.expected_columns}"
        ragged[row.number - 2] = RaggedRow(row.text, wrong)
        return "skip"

    return note


def _unreadable(path: Path, error: Exception) -> TableError:
    said = " ".join(str(error).split())
    if "invalid UTF8" in said or isinstance(error, UnicodeDecodeError):
        return TableError(f"{path}: the text is not UTF-8; convert the file to it")
    if "Empty CSV" in said:
        return TableError(f"{path}: the file is empty; it needs a header with the names of its columns")
    return TableError(f"{path}: cannot be read: {said[:200]}")
