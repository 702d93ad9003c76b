"""`tocsin produce`: send recorded events to Kafka."""

from __future__ import annotations

import itertools
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from tocsin.cli.columns import (
    AccountColumn,
    AmountColumn,
    AttributeColumns,
    CounterpartyColumn,
    ExcludedColumns,
    IdColumn,
    SourceColumn,
    TimeColumn,
    ValueColumns,
    listed,
    must_exist,
    readable,
)
from tocsin.cli.durations import seconds
from tocsin.cli.errors import CommandError
from tocsin.cli.options import ConfigFile, Json
from tocsin.cli.terminal import print_json, print_line, progress

if TYPE_CHECKING:
    from kafka import KafkaProducer

app = typer.Typer(
    help="""Send recorded events to Kafka, as their producers would.

        Inputs are CSV or Parquet files, or files of JSON lines (.jsonl), which are sent as they are; - reads
    such lines from stdin.

    \b
    Example:
      tocsin produce telemetry history/ --rate 500
    """,
    rich_markup_mode=None,
)

Message = tuple[bytes | None, bytes]
"""Key and value of a record."""

STDIN = Path("-")
LINES = (".jsonl", ".ndjson")

Inputs = Annotated[
    list[Path],
    typer.Argument(metavar="INPUT...", help="CSV, Parquet or .jsonl files, folders of CSV and Parquet files, or -."),
]
Input = Annotated[Path, typer.Argument(metavar="INPUT", help="CSV, Parquet or .jsonl file, or -.")]
Rate = Annotated[
    float | None,
    typer.Option("--rate", metavar="N", min=0.001, help="Events per second; without it as fast as Kafka takes them."),
]
Compression = Annotated[
    Literal["none", "gzip", "snappy"],
    typer.Option("--compression", help="How batches are compressed; snappy needs the package python-snappy."),
]


@app.command("telemetry")
def telemetry(
    inputs: Inputs,
    config: ConfigFile = None,
    time_: TimeColumn = None,
    source: SourceColumn = None,
    values: ValueColumns = None,
    exclude: ExcludedColumns = None,
    rate: Rate = None,
    compression: Compression = "none",
    json_: Json = False,
) -> None:
    """Send recorded telemetry to topic telemetry, with the source as key.

    The events are those that `tocsin backtest telemetry` replays from the same files and options.

    \b
    Example:
      tocsin produce telemetry history/ --rate 500
      tocsin produce telemetry valve.csv --exclude anomaly,changepoint
      tail -f readings.jsonl | tocsin produce telemetry -
    """
    from streams.replay import TelemetryColumns, find_recordings  # noqa: PLC0415 - start-up time
    from streams.tables import count_rows  # noqa: PLC0415 - start-up time
    from tocsin.config import load_configuration  # noqa: PLC0415 - start-up time

    def messages() -> tuple[Iterable[Message], int | None]:
        attributes = (load_configuration(config).telemetry.peers.attribute,)
        columns = TelemetryColumns(time_, source, listed(values), listed(exclude), attributes)
        tables = [one for one in inputs if not _holds_lines(one)]
        recordings = find_recordings(tables, columns) if tables else []
        recorded = (
            (None if name is None else name.encode(), event)
            for recording in recordings
            for rows in recording.rows()
            for name, event in zip(rows.sources, rows.events, strict=True)
        )
        lines = [_lines(one, "source") for one in inputs if _holds_lines(one)]
        total = None if lines else sum(count_rows(recording.path) for recording in recordings)
        return itertools.chain(recorded, *lines), total

    _produce("telemetry", inputs, messages, config, rate, compression, as_json=json_)


@app.command("transactions")
def transactions(
    input_: Input,
    config: ConfigFile = None,
    id_: IdColumn = None,
    time_: TimeColumn = None,
    account: AccountColumn = None,
    counterparty: CounterpartyColumn = None,
    amount: AmountColumn = None,
    attribute: AttributeColumns = None,
    rate: Rate = None,
    compression: Compression = "none",
    json_: Json = False,
) -> None:
    """Send recorded transactions to topic transactions, with the account as key.

    Rows of a table are sent in the order of their times, whatever their order in the file.

    \b
    Example:
      tocsin produce transactions payments.parquet --rate 100
    """
    from streams.replay_transactions import TransactionColumns, TransactionReplay  # noqa: PLC0415 - start-up time
    from streams.tables import column_names  # noqa: PLC0415 - start-up time
    from tocsin.config import load_configuration  # noqa: PLC0415 - start-up time

    def messages() -> tuple[Iterable[Message], int | None]:
        if _holds_lines(input_):
            return _lines(input_, "account"), None
        declared = load_configuration(config).transactions.declared
        there = column_names(input_)
        found = tuple(name for name in (*declared.fields, *declared.numbers) if name in there)
        columns = TransactionColumns(id_, time_, account, counterparty, amount, attributes=tuple(attribute or ()))
        replay = TransactionReplay(input_, columns.with_attributes(found, declared.fields))
        return replay.events(), len(replay)

    _produce("transactions", [input_], messages, config, rate, compression, as_json=json_)


@app.command("labels")
def labels(
    input_: Input,
    config: ConfigFile = None,
    id_: Annotated[
        str | None, typer.Option("--id", help="Column that names what is labelled.", metavar="COLUMN")
    ] = None,
    time_: TimeColumn = None,
    label: Annotated[
        str | None, typer.Option("--label", help="Column that is true for fraud or an anomaly.", metavar="COLUMN")
    ] = None,
    label_delay: Annotated[
        str,
        typer.Option(
            "--label-delay",
            help="Added to each time, such as 7d: sends the labels of a file of transactions that late.",
            metavar="SPAN",
        ),
    ] = "0s",
    rate: Rate = None,
    compression: Compression = "none",
    json_: Json = False,
) -> None:
    """Send labels to topic labels, with the id of what they are about as key.

    Rows of a table are sent in the order of their times; those without a label are left out.

    \b
    Example:
      tocsin produce labels payments.parquet --label is_fraud --label-delay 7d
    """
    from streams.replay_transactions import LabelColumns, recorded_labels  # noqa: PLC0415 - start-up time

    delay = seconds(label_delay)

    def messages() -> tuple[Iterable[Message], int | None]:
        if _holds_lines(input_):
            return _lines(input_, "id"), None
        found = recorded_labels(input_, LabelColumns(id_, time_, label), delay)
        return found, len(found)

    _produce("labels", [input_], messages, config, rate, compression, as_json=json_)


def _produce(
    topic: str,
    inputs: list[Path],
    messages: Callable[[], tuple[Iterable[Message], int | None]],
    config: Path | None,
    rate: float | None,
    compression: str,
    *,
    as_json: bool,
) -> None:
    """Send messages to a topic, and say how many."""
    from tocsin.cli.clients import must_have, producer  # noqa: PLC0415 - start-up time
    from tocsin.config import load_configuration  # noqa: PLC0415 - start-up time

    kafka = load_configuration(config).kafka
    must_exist(*(one for one in inputs if one != STDIN))
    options = {"acks": "all", "linger_ms": 20, "batch_size": 131_072, "compression_type": _codec(compression)}
    with readable(), progress("events") as tell, producer(kafka, **options) as client:
        # Read before connecting would be quicker to fail; but who has no broker has that to mend first.
        found, total = messages()
        must_have(kafka, topic)
        begun = time.perf_counter()
        sent = _send(client, kafka.topic(topic), _paced(found, rate), lambda done: tell(done, total))
        taken = time.perf_counter() - begun
    if as_json:
        print_json({"topic": kafka.topic(topic), "events": sent, "seconds": round(taken, 3)})
    else:
        print_line(f"{sent:,} events in {taken:.1f} s, sent to topic {kafka.topic(topic)}")


def _send(client: KafkaProducer, topic: str, messages: Iterable[Message], tell: Callable[[int], None]) -> int:
    """Send all, and wait until Kafka has acknowledged all."""
    failures: list[Exception] = []
    told = time.monotonic()
    sent = 0
    for key, value in messages:
        client.send(topic, key=key, value=value).add_errback(failures.append)
        sent += 1
        if (now := time.monotonic()) - told > 0.1:
            told = now
            tell(sent)
    client.flush()
    if failures:
        raise CommandError(f"{len(failures):,} of {sent:,} events were not taken by Kafka: {failures[0]}")
    return sent


def _paced(messages: Iterable[Message], rate: float | None) -> Iterator[Message]:
    """Yield messages no faster than so many a second."""
    begun = time.monotonic()
    for number, message in enumerate(messages):
        if rate is not None and (early := begun + number / rate - time.monotonic()) > 0:
            time.sleep(early)
        yield message


def _lines(path: Path, field: str) -> Iterator[Message]:
    """Yield lines of JSON as they are; the key is what they name, and a line that names nothing has none."""
    import msgspec  # noqa: PLC0415 - start-up time

    decode = msgspec.json.Decoder(msgspec.defstruct("Named", [(field, str)])).decode
    with sys.stdin.buffer if path == STDIN else path.open("rb") as file:
        for line in file:
            if not (value := line.strip()):
                continue
            try:
                key = getattr(decode(value), field).encode()
            except (msgspec.DecodeError, UnicodeError):
                key = None  # a dead letter will say what is wrong with it
            yield key, value


def _holds_lines(path: Path) -> bool:
    return path == STDIN or path.suffix.lower() in LINES


def _codec(compression: str) -> str | None:
    from kafka.codec import has_snappy  # noqa: PLC0415 - start-up time

    if compression == "snappy" and not has_snappy():
        raise CommandError("snappy is not installed here; install python-snappy, or use --compression gzip")
    return None if compression == "none" else compression
