"""Recorded transactions, in the order of their times, as the records that producers would send."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa

from streams.columns import are_numbers, as_times, epochs, find_column, names_in, numbers_in, truths_in
from streams.partitioner import partition_of
from streams.processor import Record
from streams.tables import TableError, column_names, read_table

CHUNK = 5_000


@dataclass(frozen=True, slots=True)
class TransactionColumns:
    """Names of the input's columns; ``None`` finds a column by the names that are usual for it.

    Without a label column nothing is learned from labels. ``attributes`` are columns that go with a transaction under
    their own names; those that ``texts`` names, too, are taken as they are written, even if they look like numbers.
    """

    id: str | None = None
    time: str | None = None
    account: str | None = None
    counterparty: str | None = None
    amount: str | None = None
    label: str | None = None
    attributes: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()

    def found_in(self, names: list[str]) -> TransactionColumns:
        """Return the columns as the input names them.

        Raises
        ------
        streams.tables.TableError
            If the input lacks a column.

        Examples
        --------
        >>> found = TransactionColumns(id="ref").found_in(["ref", "Time", "account", "merchant", "amount"])
        >>> found.id, found.time, found.counterparty, found.label
        ('ref', 'Time', 'merchant', None)

        """
        found: dict[str, Any] = {
            role: find_column(role, getattr(self, role), names, usual, needed=role != "label")
            for role, usual in USUAL_NAMES.items()
        }
        for name in self.attributes:
            if name not in names:
                raise TableError(f"no column {name!r} for the attribute of this name; there are: {', '.join(names)}")
        return replace(self, **found)

    def with_attributes(self, attributes: tuple[str, ...], texts: tuple[str, ...]) -> TransactionColumns:
        """Return the columns with more attributes, but for what is a field of each transaction anyway."""
        more = (name for name in attributes if name not in ("account", "counterparty", "amount"))
        return replace(self, attributes=tuple(dict.fromkeys([*self.attributes, *more])), texts=texts)


USUAL_NAMES = {
    "id": ("transaction_id", "id", "trans_id", "tx_id"),
    "time": ("timestamp", "time", "datetime", "tx_datetime", "date"),
    "account": ("account", "account_id", "customer_id", "customer", "card", "card_id"),
    "counterparty": ("counterparty", "merchant", "merchant_id", "terminal_id", "terminal"),
    "amount": ("amount", "tx_amount", "amt"),
    "label": ("label", "tx_fraud", "is_fraud", "fraud"),
}


NO_COLUMNS_NAMED = TransactionColumns()
"""Every column is found by its name."""


class TransactionReplay:
    """A file's rows as the records that producers would have sent.

    Parameters
    ----------
    source
        Parquet or CSV file.
    columns
        Names of its columns.
    label_delay
        Seconds from a transaction to its label.

    Raises
    ------
    streams.tables.TableError
        If the file cannot be read or lacks a column.

    """

    def __init__(self, source: Path, columns: TransactionColumns = NO_COLUMNS_NAMED, label_delay: float = 0.0) -> None:
        columns = columns.found_in(column_names(source))
        roles = [name for role in USUAL_NAMES if (name := getattr(columns, role))]
        wanted = [*roles, *columns.attributes]
        text = [name for name in (columns.id, columns.time, columns.account, columns.counterparty) if name]
        text += [name for name in columns.attributes if name in columns.texts]
        table = read_table(source, list(dict.fromkeys(wanted)), text=text)
        amounts = table.column(columns.amount)
        self.ids = table.column(columns.id)
        self._ids = names_in(self.ids)
        self._accounts = names_in(table.column(columns.account))
        self._counterparties = names_in(table.column(columns.counterparty))
        self._amounts = numbers_in(amounts) if are_numbers(amounts) else amounts.to_pylist()
        self._labels = truths_in(table.column(columns.label)) if columns.label else [None] * len(table)
        self._stamps = as_times(table.column(columns.time)).to_pylist()
        self._times = epochs(table.column(columns.time))
        self._attributes = {name: _plain(table.column(name)) for name in columns.attributes}
        self._delay = label_delay

    def __len__(self) -> int:
        return len(self._times)

    def events(self) -> Iterator[tuple[bytes | None, bytes]]:
        """Yield key and value of each transaction in the order of their times."""
        for row in self._in_order():
            account = self._accounts[row]
            yield None if account is None else account.encode(), self._event(row)

    def partition(self, partitions: int) -> list[list[int]]:
        """Return the rows of each partition in the order of their times."""
        number_of = {name: partition_of(name, partitions) for name in set(self._accounts)}
        rows: list[list[int]] = [[] for _ in range(partitions)]
        for row in self._in_order():
            rows[number_of[self._accounts[row]]].append(row)
        return rows

    def chunks(
        self, partition: int, rows_of: list[list[int]], *, across: bool = True
    ) -> Iterator[tuple[list[Record], list[Record]]]:
        """Yield a partition's transactions in chunks, each with what else it may have heard by then.

        That is the labels that may fall due within it, and if ``across``, the transactions of the other partitions.
        """
        rows = rows_of[partition]
        others = [number for number in range(len(rows_of)) if across and number != partition]
        heard = [
            _Sending(rows_of[number], self._times.__getitem__, partial(self._transaction, number)) for number in others
        ]
        heard.append(_Sending(self._in_order(), lambda row: self._times[row] + self._delay, self._label))
        for start in range(0, len(rows), CHUNK):
            chunk = rows[start : start + CHUNK]
            until = self._times[chunk[-1]]
            yield (
                [self._transaction(partition, start + i, row) for i, row in enumerate(chunk)],
                [record for sending in heard for record in sending.until(until)],
            )

    def _in_order(self) -> list[int]:
        return sorted(range(len(self._times)), key=self._times.__getitem__)

    def _event(self, row: int) -> bytes:
        more: dict[str, Any] = {name: cells[row] for name, cells in self._attributes.items() if cells[row] is not None}
        return msgspec.json.encode(
            {
                **more,
                "transaction_id": self._ids[row],
                "timestamp": self._stamps[row],
                "account": self._accounts[row],
                "counterparty": self._counterparties[row],
                "amount": self._amounts[row],
            }
        )

    def _transaction(self, partition: int, offset: int, row: int) -> Record:
        account = self._accounts[row]
        key = None if account is None else account.encode()
        return Record("transactions", partition, offset, self._times[row], key, self._event(row))

    def _label(self, offset: int, row: int) -> Record | None:
        if self._labels[row] is None:
            return None
        # Produced with its transaction, but dated to when the truth is known: what counts is that date.
        event = _label_event(self._ids[row], self._labels[row], self._times[row] + self._delay)
        return Record("labels", 0, offset, self._times[row], None, event)


def _plain(column: pa.ChunkedArray) -> list[Any]:
    """Return cells as JSON has them: what is no text, number or truth value becomes a text."""
    return list((column.cast(pa.float64()) if pa.types.is_decimal(column.type) else column).to_pylist())


class _Sending:
    """Rows that become records one after another, each at its time."""

    def __init__(
        self, rows: list[int], at: Callable[[int], float], record: Callable[[int, int], Record | None]
    ) -> None:
        self._rows = rows
        self._at = at
        self._record = record
        self._sent = 0

    def until(self, time: float) -> Iterator[Record]:
        """Yield the records that come up to a time and have not come before."""
        while self._sent < len(self._rows) and self._at(self._rows[self._sent]) <= time:
            record = self._record(self._sent, self._rows[self._sent])
            self._sent += 1
            if record is not None:
                yield record


@dataclass(frozen=True, slots=True)
class LabelColumns:
    """Names of the columns of recorded labels; ``None`` finds a column by its usual names."""

    id: str | None = None
    time: str | None = None
    label: str | None = None


NO_LABEL_COLUMNS_NAMED = LabelColumns()
"""Every column is found by its name."""


def recorded_labels(
    source: Path, columns: LabelColumns = NO_LABEL_COLUMNS_NAMED, delay: float = 0.0
) -> list[tuple[bytes | None, bytes]]:
    """Return key and value of each label in a file, in the order of their times.

    Parameters
    ----------
    source
        Parquet or CSV file of labels, or of transactions with theirs.
    columns
        Names of its columns.
    delay
        Seconds to add to each time: with transactions, how much later their labels come.

    Raises
    ------
    streams.tables.TableError
        If the file cannot be read, lacks a column, or has a label that is none.

    """
    names = column_names(source)
    id_ = find_column("id", columns.id, names, (*USUAL_NAMES["id"], "event_id", "alert_id"))
    time = find_column("time", columns.time, names, USUAL_NAMES["time"])
    label = find_column("label", columns.label, names, USUAL_NAMES["label"])
    wanted = [name for name in (id_, time, label) if name]
    table = read_table(source, wanted, text=wanted[:2])
    rows = zip(epochs(table.column(time)), names_in(table.column(id_)), truths_in(table.column(label)), strict=True)
    return [
        (None if name is None else name.encode(), _label_event(name, truth, at + delay))
        for at, name, truth in sorted(rows, key=lambda row: row[0])
        if truth is not None
    ]


def _label_event(name: str | None, truth: bool | None, time: float) -> bytes:
    at = datetime.fromtimestamp(time, UTC).isoformat(timespec="milliseconds")
    return msgspec.json.encode({"id": name, "label": truth, "timestamp": at})
