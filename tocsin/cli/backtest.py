"""`tocsin backtest`: what would have happened, on recorded data."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

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


@app.command("telemetry")
def telemetry(
    inputs: Annotated[
        list[Path],
        typer.Argument(metavar="INPUT...", help="CSV or Parquet files, or folders with such files, one event a row."),
    ],
    output: Output,
    config: ConfigFile = None,
    time_: TimeColumn = None,
    source: SourceColumn = None,
    values: ValueColumns = None,
    exclude: ExcludedColumns = None,
    alerts: Annotated[
        Path | None,
        typer.Option(
            "--alerts",
            metavar="FILE",
            help="Also write each change of each alert as a line of JSON, as topic alerts would carry it.",
        ),
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(
            "--labels",
            metavar="FILE",
            help="Lines of JSON as topic labels carries them; each is learned when its source has reached its time.",
        ),
    ] = None,
    policies: Annotated[
        Path | None,
        typer.Option(
            "--policies", metavar="FILE", help="A file as `tocsin policy apply` takes it, in force from the beginning."
        ),
    ] = None,
    json_: Json = False,
) -> None:
    """Score recorded telemetry as the live service would.

        One row out per row in: timestamp, source, anomaly_score (how unusual the record is), p_value,
    alert_score (how strongly a new alert begins here), alert (1 while one fires), warm_up, missing, held (what
    holds back an alert), kind, name, expected, feedback (what labels did), reason. A row that cannot be scored
    has empty scores and a reason. A folder gives a folder with the same relative paths; CSV may be separated by
    comma, semicolon or tab.

    \b
    Example:
      tocsin backtest telemetry history/ -o scored/ --alerts alerts.jsonl
      tocsin backtest telemetry valve.csv -o scored.csv --exclude anomaly,changepoint
      tocsin backtest telemetry history/ -o scored/ --labels labels.jsonl
    """
    from streams.backtest import backtest_telemetry  # noqa: PLC0415 - start-up time
    from streams.replay import TelemetryColumns  # noqa: PLC0415 - start-up time
    from tocsin.config import load_configuration  # noqa: PLC0415 - start-up time
    from tocsin.policy_file import read_policies  # noqa: PLC0415 - start-up time
    from tocsin.wiring import make_detector  # noqa: PLC0415 - start-up time

    configuration = load_configuration(config)
    detector = make_detector(configuration)
    must_exist(*inputs, *(file for file in (labels, policies) if file is not None))
    documents = () if policies is None else read_policies(policies)
    columns = TelemetryColumns(time_, source, listed(values), listed(exclude))
    begun = time.perf_counter()
    with readable(), progress("rows") as tell:
        done = backtest_telemetry(
            inputs,
            output,
            configuration.telemetry,
            detector,
            columns=columns,
            partitions=configuration.topics.partitions,
            alerts=alerts,
            labels=labels,
            policies=documents,
            progress=tell,
        )
    _tell(
        json_,
        output,
        begun,
        {"files": done.files, "rows": done.rows, "outcomes": dict(done.outcomes), "alerts": done.alerts},
    )


@app.command("transactions")
def transactions(
    source: Annotated[Path, typer.Argument(metavar="INPUT", help="CSV or Parquet file, one transaction a row.")],
    output: Output,
    config: ConfigFile = None,
    id_: IdColumn = None,
    time_: TimeColumn = None,
    account: AccountColumn = None,
    counterparty: CounterpartyColumn = None,
    amount: AmountColumn = None,
    attribute: AttributeColumns = None,
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
    rules: Annotated[
        Path | None, typer.Option("--rules", metavar="FILE", help="Rules that shall count, before they do live.")
    ] = None,
    models: Annotated[
        Path | None,
        typer.Option(
            "--models",
            metavar="FILE",
            help="Also write how the models of transactions.challengers do, as topic models would carry it.",
        ),
    ] = None,
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
    from tocsin.cli.rules import trial  # noqa: PLC0415 - start-up time
    from tocsin.config import load_configuration  # noqa: PLC0415 - start-up time

    delay = seconds(label_delay)
    configuration = load_configuration(config)
    must_exist(source, *([] if rules is None else [rules]))
    applied = () if rules is None else (trial(rules),)
    columns = TransactionColumns(id_, time_, account, counterparty, amount, label, tuple(attribute or ()))
    begun = time.perf_counter()
    with readable(), progress("transactions") as tell:
        done = backtest_transactions(
            source,
            output,
            configuration.transactions,
            columns=columns,
            label_delay=delay,
            partitions=configuration.topics.partitions,
            rules=applied,
            models=models,
            progress=tell,
        )
    _tell(json_, output, begun, {"rows": done.rows, "outcomes": dict(done.outcomes)})


@app.command("rul")
def rul(
    source: Annotated[
        Path, typer.Argument(metavar="INPUT", help="A file as `tocsin train rul` takes it, one reading a row.")
    ],
    output: Output,
    model: Annotated[Path, typer.Option("--model", metavar="MODEL", help="What `tocsin train rul` wrote.")],
    config: ConfigFile = None,
    json_: Json = False,
) -> None:
    """Foretell how long recorded machines will last, at each reading, as the live service would.

        One row out per row in: the machine and the time, named as they were in training, rul (remaining useful life,
    in the unit of time), rul_lower and rul_upper (an interval of 90 %), health (from 1 to 0). Each row is told from
    the rows before it and itself.

    \b
    Example:
      tocsin backtest rul running.parquet --model pumps.model -o foretold.csv
    """
    from streams.backtest_rul import backtest_rul  # noqa: PLC0415 - start-up time
    from tocsin.cli.artefacts import read_fleet, state_key  # noqa: PLC0415 - start-up time

    must_exist(source)
    fleet, schema = read_fleet(model, state_key(config))
    begun = time.perf_counter()
    with readable(), progress("rows") as tell:
        rows = backtest_rul(source, output, fleet, schema, tell)
    _tell(json_, output, begun, {"rows": rows, "outcomes": {"foretold": rows}})


def _tell(as_json: bool, output: Path, begun: float, summary: dict[str, Any]) -> None:
    taken = round(time.perf_counter() - begun, 3)
    if as_json:
        print_json({"output": str(output), **summary, "seconds": taken})
        return
    outcomes = ", ".join(f"{count:,} {name}" for name, count in sorted(summary["outcomes"].items()))
    alerts = f", {summary['alerts']:,} alerts" if "alerts" in summary else ""
    print_line(f"{summary['rows']:,} rows in {taken:.1f} s ({outcomes or 'nothing'}){alerts}, written to {output}")
