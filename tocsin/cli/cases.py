"""`tocsin cases`: the transactions that a person should look at, and their verdicts."""

from __future__ import annotations

import getpass
import time
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from tocsin.cli.durations import seconds
from tocsin.cli.errors import CommandError
from tocsin.cli.options import By, ConfigFile, Json
from tocsin.cli.terminal import print_json, print_line, print_rows

if TYPE_CHECKING:
    from streams.cases import Case
    from streams.settings import KafkaSettings

app = typer.Typer(
    help="""Review what was not approved, account by account, and say what it was.

    A case is what waits for a verdict on one account. A verdict is a label: the model learns from it.

    \b
    Example:
      tocsin cases list
      tocsin cases verdict card-7 --fraud --by ann
    """,
    rich_markup_mode=None,
)

Account = Annotated[str, typer.Argument(metavar="ACCOUNT", help="The account.")]
Since = Annotated[str, typer.Option("--since", metavar="SPAN", help="How far back decisions are read.")]


@app.command("list")
def list_cases(
    since: Since = "7d",
    limit: Annotated[int, typer.Option("--limit", min=1, help="Most cases that are listed.")] = 50,
    config: ConfigFile = None,
    json_: Json = False,
) -> None:
    """List the open cases, the most that may be lost first.

    \b
    Example:
      tocsin cases list --json | jq -r '.[0].account'
    """
    found = _cases(_kafka(config), since)[:limit]
    if json_:
        print_json(msgspec.to_builtins(found))
    elif found:
        rows = (
            (one.account, f"{one.expected_loss:.2f}", f"{one.fraud_score:.2f}", str(len(one.transactions)), _why(one))
            for one in found
        )
        print_rows(("account", "expected loss", "score", "transactions", "newest"), rows)
    else:
        print_line("no cases are open")


@app.command("show")
def show(account: Account, since: Since = "7d", config: ConfigFile = None, json_: Json = False) -> None:
    """Show what waits for a verdict on an account, and why.

    \b
    Example:
      tocsin cases show card-7
    """
    case = _case(_kafka(config), account, since)
    if json_:
        print_json(msgspec.to_builtins(case))
        return
    print_line(f"{case.account}: {case.expected_loss:.2f} may be lost, highest fraud score {case.fraud_score:.2f}")
    for one in case.transactions:
        currency = f" {one.currency}" if one.currency else ""
        print_line(
            f"{one.timestamp} {one.transaction_id}: {one.amount:.2f}{currency} to {one.counterparty}, {one.decision},"
            f" score {one.fraud_score:.2f}"
        )
        for reason in one.reasons:
            print_line(f"  {reason}")


@app.command("verdict")
def verdict(
    account: Account,
    fraud: Annotated[bool, typer.Option("--fraud/--genuine", help="What it was.")],
    transaction: Annotated[
        list[str] | None, typer.Option("--transaction", metavar="ID", help="Only this one; may be given several times.")
    ] = None,
    since: Since = "7d",
    by: By = None,
    config: ConfigFile = None,
    json_: Json = False,
) -> None:
    """Say what the transactions of a case were: each verdict is a label.

    \b
    Example:
      tocsin cases verdict card-7 --genuine --transaction t-1234 --by ann
    """
    from streams.schemas import LabelEvent  # noqa: PLC0415 - start-up time
    from tocsin.cli.clients import encoded, send  # noqa: PLC0415 - start-up time

    kafka = _kafka(config)
    waiting = [one.transaction_id for one in _case(kafka, account, since).transactions]
    if unknown := [one for one in transaction or () if one not in waiting]:
        raise CommandError(f"{unknown[0]} does not wait for a verdict (those of {account}: {', '.join(waiting)})")
    said = {"label": fraud, "timestamp": round(time.time(), 3), "by": by or getpass.getuser()}
    labels = [{"id": one, **said} for one in transaction or waiting]
    for label in labels:
        send(kafka, "labels", str(label["id"]), encoded(LabelEvent, label))
    if json_:
        print_json(labels)
    else:
        print_line(f"{len(labels)} of {account} labelled {'fraud' if fraud else 'genuine'}")


def _case(kafka: KafkaSettings, account: str, since: str) -> Case:
    for case in _cases(kafka, since):
        if case.account == account:
            return case
    raise CommandError(f"nothing of {account} waits for a verdict; `tocsin cases list` lists what does")


def _cases(kafka: KafkaSettings, since: str) -> list[Case]:
    from streams.cases import open_cases  # noqa: PLC0415 - start-up time
    from streams.codec import Rejected, decode  # noqa: PLC0415 - start-up time
    from streams.decisions import DecisionRecord  # noqa: PLC0415 - start-up time
    from streams.schemas import EventLimits, LabelEvent  # noqa: PLC0415 - start-up time
    from tocsin.cli.evidence import records_since  # noqa: PLC0415 - start-up time

    begin = time.time() - seconds(since)
    decisions = [DecisionRecord.decode(one.value) for one in records_since(kafka, "decisions", begin) if one.value]
    labels = [decode(LabelEvent, one.value, EventLimits()) for one in records_since(kafka, "labels", begin)]
    return open_cases(decisions, {one.id: one.label for one in labels if not isinstance(one, Rejected)})


def _kafka(config: Any) -> KafkaSettings:
    from tocsin.config import load_configuration  # noqa: PLC0415 - start-up time

    return load_configuration(config).kafka


def _why(case: Case) -> str:
    newest = case.transactions[0]
    reason = newest.reasons[0] if newest.reasons else newest.decision
    return f"{newest.amount:.2f} to {newest.counterparty}: {reason}"
