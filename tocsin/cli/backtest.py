"""`tocsin backtest`: what would have happened, on recorded data."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from tocsin.cli.durations import seconds
from tocsin.cli.errors import WRONG_USAGE, CommandError
from tocsin.cli.options import ConfigFile, Json
from tocsin.cli.terminal import print_json, print_line, progress

app = typer.Typer(
    help="""Replay recorded data through the live pipeline, offline.

    Each event is scored with what was known before it, then learned: exactly as a live run would have.

    \b
    Example:
      tocsin backtest telemetry history/ -o scored/
    """,
    rich_markup_mode=None,
)

Output = Annotated[
    Path,
    typer.Option("--output", "-o", metavar="OUT", help="Where to write: .csv or .parquet; a folder for a folder."),
]


@app.command("transactions")
def transactions(
    source: Annotated[
        Path, typer.Argument(metavar="INPUT", help="CSV or Parquet file, one transaction a row.")
    ],
    output: Output,
    config: ConfigFile = None,
    id_: Annotated[
        str | None, typer.Option("--id", help="Column that names the transaction.", metavar="COLUMN")
    ] = None,
    time_: Annotated[
        str | None,
        typer.Option("--time", help="Column of the time: ISO 8601, epoch s or ms.", metavar="COLUMN"),
    ] = None,
    account: Annotated[
        str | None, typer.Option("--account", help="Column of who pays.", metavar="COLUMN")
    ] = None,
    counterparty: Annotated[
        str | None, typer.Option("--counterparty", help="Column of who is paid.", metavar="COLUMN")
    ] = None,
    amount: Annotated[
        str | None, typer.Option("--amount", help="Column of the amount.", metavar="COLUMN")
    ] = None,
    label: Annotated[
        str | None,
        typer.Option(
            "--label", help="Column that is true for fraud; without one, no labels are learned.", metavar="COLUMN"
        ),
    ] = None,
    label_delay: Annotated[
        str,
        typer.Option(
            "--label-delay",
            help="How long after its transaction a label becomes known, such as 7d or 12h.",
            metavar="SPAN",
        ),
    ] = "7d",
    json_: Json = False,
) -> None:
    """Decide recorded transactions as the live service would.

    One row out per row in: transaction_id, fraud_score, decision, reasons. A label is learned only once its
    delay has passed. Columns with usual names (account, card_id, amount, ...) are found without options.

    \b
    Example:
      tocsin backtest transactions payments.parquet -o scored.parquet --label is_fraud --label-delay 7d
    """
    from streams.backtest_transactions import backtest_transactions  # noqa: PLC0415 - start-up time
    from streams.replay_transactions import TransactionColumns  # noqa: PLC0415 - start-up time
    from streams.tables import TableError  # noqa: PLC0415 - start-up time
    from tocsin.config import load_configuration  # noqa: PLC0415 - start-up time

    delay = seconds(label_delay)
    configuration = load_configuration(config)
    _must_exist(source)
    columns = TransactionColumns(id_, time_, account, counterparty, amount, label)
    begun = time.perf_counter()
    try:
        with progress("transactions") as tell:
            done = backtest_transactions(
                source,
                output,
                configuration.transactions,
                columns=columns,
                label_delay=delay,
                partitions=configuration.topics.partitions,
                progress=tell,
            )
    except TableError as error:
        raise CommandError(str(error), WRONG_USAGE) from error
    _tell(json_, output, begun, {"rows": done.rows, "outcomes": dict(done.outcomes)})


def _must_exist(*sources: Path) -> None:
    for source in sources:
        if not source.exists():
            raise CommandError(f"{source}: there is no such file or folder", WRONG_USAGE)


def _tell(as_json: bool, output: Path, begun: float, summary: dict[str, Any]) -> None:
    taken = round(time.perf_counter() - begun, 3)
    if as_json:
        print_json({"output": str(output), **summary, "seconds": taken})
        return
    outcomes = ", ".join(f"{count:,} {name}" for name, count in sorted(summary["outcomes"].items()))
    print_line(f"{summary['rows']:,} rows in {taken:.1f} s ({outcomes or 'nothing'}), written to {output}")
