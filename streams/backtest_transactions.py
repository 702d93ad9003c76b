"""Replays a file of transactions through the live pipeline, offline; a label is learned once its delay has passed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet
from kafka.partitioner.default import murmur2
from pydantic import TypeAdapter, ValidationError

from streams.dead_letters import TOPIC as DEAD_LETTERS
from streams.dead_letters import DeadLetter
from streams.processor import Output, Record
from streams.transactions import TransactionProcessor, TransactionSettings

CHUNK = 5_000
Progress = Callable[[int, int], None]


class BacktestError(ValueError):
    """The input cannot be replayed; the message says what to do."""


@dataclass(frozen=True, slots=True)
class TransactionColumns:
    """Names of the input's columns; ``None`` finds a column by the names that are usual for it.

    Without a label column nothing is learned from labels.
    """

    id: str | None = None
    time: str | None = None
    account: str | None = None
    counterparty: str | None = None
    amount: str | None = None
    label: str | None = None

    def found_in(self, names: list[str]) -> TransactionColumns:
        """Return the columns as the input names them.

        Raises
        ------
        streams.backtest_transactions.BacktestError
            If the input lacks a column.

        Examples
        --------
        >>> found = TransactionColumns(id="ref").found_in(["ref", "Time", "account", "merchant", "amount"])
        >>> found.id, found.time, found.counterparty, found.label
        ('ref', 'Time', 'merchant', None)

        """
        found = {field.name: _find(field.name, getattr(self, field.name), names) for field in fields(self)}
        return TransactionColumns(**found)


USUAL_NAMES = {
    "id": ("transaction_id", "id", "trans_id", "tx_id"),
    "time": ("timestamp", "time", "datetime", "tx_datetime", "date"),
    "account": ("account", "account_id", "customer_id", "customer", "card", "card_id"),
    "counterparty": ("counterparty", "merchant", "merchant_id", "terminal_id", "terminal"),
    "amount": ("amount", "tx_amount", "amt"),
    "label": ("label", "tx_fraud", "is_fraud", "fraud"),
}


@dataclass(frozen=True, slots=True)
class TransactionBacktest:
    """What a backtest came to: rows, and how many of them (and of their labels) had which outcome."""

    rows: int
    outcomes: Counter[str]


def backtest_transactions(
    source: Path,
    target: Path,
    settings: TransactionSettings,
    *,
    columns: TransactionColumns = TransactionColumns(),
    label_delay: float = 7 * 86_400.0,
    partitions: int = 4,
    progress: Progress | None = None,
) -> TransactionBacktest:
    """Decide every transaction of a file as a live run would have, and write one row out for each row in.

    The rows are replayed in the order of their times, each account on the partition that Kafka's default
    partitioner gives it. A label is dated ``label_delay`` after its transaction.

    Parameters
    ----------
    source, target
        Parquet or CSV files, by their endings. The target has the columns ``transaction_id``, ``fraud_score``,
        ``decision`` and ``reasons``; a row that cannot be decided has an empty score and says why.
    settings
        How to decide.
    columns
        Names of the input's columns.
    label_delay
        Seconds from a transaction to its label.
    partitions
        Number of partitions of the topics; it must be the live one for equal results.
    progress
        Called now and then with the rows done and the rows in all.

    Raises
    ------
    streams.backtest_transactions.BacktestError
        If the input lacks a column or is of an unknown kind.

    """
    table, columns = _read(source, columns)
    replay = _Replay(table, columns, label_delay)
    rows_of = replay.partition(partitions)
    scores: list[float | None] = [None] * len(table)
    decisions: list[str | None] = [None] * len(table)
    reasons: list[str] = ["repeats a transaction that was decided before"] * len(table)
    outcomes: Counter[str] = Counter()
    done = 0
    for partition, rows in enumerate(rows_of):
        processor = TransactionProcessor(settings, partition)
        for chunk, labels in replay.chunks(partition, rows):
            outcomes += processor.absorb(labels).outcomes
            result = processor.process(chunk)
            outcomes += result.outcomes
            for output in result.outputs:
                row = rows[output.cause.offset]
                if output.topic == "decisions":
                    decision = msgspec.json.decode(output.value, type=_Decided)
                    scores[row], decisions[row] = decision.fraud_score, decision.decision
                    reasons[row] = "; ".join(decision.reasons)
                elif output.topic == DEAD_LETTERS:
                    reasons[row] = _why(output)
            done += len(chunk)
            if progress is not None:
                progress(done, len(table))
    _write(target, _result(table, columns, scores, decisions, reasons))
    return TransactionBacktest(len(table), outcomes)


class _Decided(msgspec.Struct):
    fraud_score: float
    decision: str
    reasons: list[str]


class _Replay:
    """A table's rows as the records that a producer would have sent."""

    def __init__(self, table: pa.Table, columns: TransactionColumns, label_delay: float) -> None:
        self._ids = _names(table, columns.id)
        self._accounts = _names(table, columns.account)
        self._counterparties = _names(table, columns.counterparty)
        self._amounts = table.column(columns.amount).to_pylist()
        self._labels = table.column(columns.label).to_pylist() if columns.label else [None] * len(table)
        self._stamps, self._times = _times(table.column(columns.time))
        self._delay = label_delay

    def partition(self, partitions: int) -> list[list[int]]:
        """Return the rows of each partition in the order of their times."""
        partition_of = {name: _partition(name, partitions) for name in set(self._accounts)}
        rows: list[list[int]] = [[] for _ in range(partitions)]
        for row in sorted(range(len(self._times)), key=self._times.__getitem__):
            rows[partition_of[self._accounts[row]]].append(row)
        return rows

    def chunks(self, partition: int, rows: list[int]) -> Iterator[tuple[list[Record], list[Record]]]:
        """Yield a partition's transactions in chunks, each with the labels that may fall due within it."""
        sent = 0
        for start in range(0, len(rows), CHUNK):
            chunk = rows[start : start + CHUNK]
            until = self._times[chunk[-1]]
            labels = []
            while sent < len(rows) and self._times[rows[sent]] + self._delay <= until:
                if self._labels[rows[sent]] is not None:
                    labels.append(self._label(partition, sent, rows[sent]))
                sent += 1
            yield [self._transaction(partition, start + i, row) for i, row in enumerate(chunk)], labels

    def _transaction(self, partition: int, offset: int, row: int) -> Record:
        account = self._accounts[row]
        event = {
            "transaction_id": self._ids[row],
            "timestamp": self._stamps[row],
            "account": account,
            "counterparty": self._counterparties[row],
            "amount": self._amounts[row],
        }
        key = None if account is None else account.encode()
        return Record("transactions", partition, offset, self._times[row], key, msgspec.json.encode(event))

    def _label(self, partition: int, offset: int, row: int) -> Record:
        # Produced with its transaction, but dated to when the truth is known: what counts is that date.
        event = {
            "id": self._ids[row],
            "label": bool(self._labels[row]),
            "timestamp": _iso(self._times[row] + self._delay),
        }
        return Record("labels", partition, offset, self._times[row], None, msgspec.json.encode(event))


def _partition(account: str | None, partitions: int) -> int:
    """Return the partition that Kafka's default partitioner chooses for a key."""
    return 0 if account is None else (murmur2(account.encode()) & 0x7FFFFFFF) % partitions


def _read(source: Path, columns: TransactionColumns) -> tuple[pa.Table, TransactionColumns]:
    """Read the columns that are needed, and no others."""
    if source.suffix == ".parquet":
        columns = columns.found_in(pyarrow.parquet.read_schema(source).names)
        return pyarrow.parquet.read_table(source, columns=_wanted(columns)), columns
    if source.suffix == ".csv":
        with pyarrow.csv.open_csv(source) as head:
            columns = columns.found_in(head.schema.names)
        only = pyarrow.csv.ConvertOptions(include_columns=_wanted(columns))
        return pyarrow.csv.read_csv(source, convert_options=only), columns
    raise BacktestError(f"{source}: cannot read {source.suffix or 'a file without an ending'}; use .parquet or .csv")


def _write(target: Path, table: pa.Table) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.suffix == ".csv":
        pyarrow.csv.write_csv(table, target)
    else:
        pyarrow.parquet.write_table(table, target, compression="zstd")


def _result(
    table: pa.Table,
    columns: TransactionColumns,
    scores: list[float | None],
    decisions: list[str | None],
    reasons: list[str],
) -> pa.Table:
    return pa.table(
        {
            "transaction_id": table.column(columns.id),
            "fraud_score": pa.array(scores, pa.float64()),
            "decision": pa.array(decisions, pa.string()),
            "reasons": pa.array(reasons, pa.string()),
        }
    )


def _wanted(columns: TransactionColumns) -> list[str]:
    return list(dict.fromkeys(name for field in fields(columns) if (name := getattr(columns, field.name))))


def _find(role: str, given: str | None, names: list[str]) -> str | None:
    if given is not None:
        if given not in names:
            raise BacktestError(f"no column {given!r} for --{role}; there are: {', '.join(names)}")
        return given
    usual = {name.lower(): name for name in reversed(names)}
    for name in USUAL_NAMES[role]:
        if name in usual:
            return usual[name]
    if role == "label":
        return None
    raise BacktestError(f"which column is the {role}? Name it with --{role}; there are: {', '.join(names)}")


def _names(table: pa.Table, column: str | None) -> list[Any]:
    return table.column(column).cast(pa.string()).to_pylist()


_MOMENTS = TypeAdapter(datetime)


def _times(column: pa.ChunkedArray) -> tuple[list[Any], list[float]]:
    """Return times as they stand in the events, and as epoch seconds."""
    if not pa.types.is_timestamp(column.type):
        stamps = column.to_pylist()
        times: list[float] = []
        for stamp in stamps:
            times.append(_epoch(stamp, times[-1] if times else 0.0))
        return stamps, times
    column = column.cast(pa.timestamp("ms", "UTC"), safe=False)
    stamps = pc.strftime(column, "%Y-%m-%dT%H:%M:%SZ").to_pylist()
    milliseconds = column.cast(pa.int64()).to_pylist()
    return stamps, [0.0 if value is None else value / 1000 for value in milliseconds]


def _epoch(stamp: Any, otherwise: float) -> float:
    try:
        moment = _MOMENTS.validate_python(stamp)
    except ValidationError:
        return otherwise  # its event is refused; until then it needs a place among the others
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _iso(time: float) -> str:
    return datetime.fromtimestamp(time, UTC).isoformat(timespec="milliseconds")


def _why(letter: Output) -> str:
    said = DeadLetter.model_validate_json(letter.value)
    return f"{said.reason}: {said.detail}"
