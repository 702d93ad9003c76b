"""`tocsin alerts`: what goes on, and what people say to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from tocsin.cli.commands import Comment, find, newest, say
from tocsin.cli.errors import CommandError
from tocsin.cli.options import By, ConfigFile, Json
from tocsin.cli.terminal import print_json, print_line, print_rows

if TYPE_CHECKING:
    from alerts.alert import Alert
    from streams.settings import KafkaSettings

app = typer.Typer(
    help="""See what alerts there are, acknowledge and assign them.

    What is said goes to topic commands; the worker that has the alert's source takes it within seconds, and the alert's
    history tells who said what and when.

    \b
    Example:
      tocsin alerts list
      tocsin alerts ack 1a3d819cb05b264e8214 --comment "I am on it"
    """,
    rich_markup_mode=None,
)

Id = Annotated[str, typer.Argument(metavar="ID", help="Id of the alert, or its beginning, if no other begins so.")]


@app.command("list")
def list_alerts(
    all_: Annotated[bool, typer.Option("--all", help="Also those that are over.")] = False,
    source: Annotated[str | None, typer.Option("--source", metavar="S", help="Of this source only.")] = None,
    config: ConfigFile = None,
    json_: Json = False,
) -> None:
    """List the alerts that go on, the most severe first.

    \b
    Example:
      tocsin alerts list --json | jq -r '.[] | select(.acknowledged_by == null) | .summary'
    """
    from tocsin.config import load_configuration  # noqa: PLC0415 - start-up time

    known = known_alerts(load_configuration(config).kafka).values()
    found = [one for one in known if (all_ or not one.state.over) and source in (None, one.source)]
    found.sort(key=lambda alert: (alert.state.over, -alert.severity.rank, alert.started_at, alert.alert_id))
    if json_:
        print_json([alert.model_dump(mode="json") for alert in found])
    elif found:
        columns = ("id", "state", "severity", "assignee", "summary")
        print_rows(
            columns,
            (
                (one.alert_id, one.state, one.severity, one.assignee or one.acknowledged_by or "", one.summary)
                for one in found
            ),
        )
    else:
        print_line("there are no alerts" if all_ else "no alerts go on")


@app.command("show")
def show(id_: Id, config: ConfigFile = None, json_: Json = False) -> None:
    """Show one alert with its history.

    \b
    Example:
      tocsin alerts show 1a3d
    """
    from tocsin.config import load_configuration  # noqa: PLC0415 - start-up time

    alert = find(known_alerts(load_configuration(config).kafka), id_, "alert")
    if json_:
        print_json(alert.model_dump(mode="json"))
        return
    print_line(f"{alert.alert_id} {alert.state} {alert.severity}{' flapping' if alert.flapping else ''}")
    print_line(alert.summary)
    said = {
        "acknowledged by": alert.acknowledged_by,
        "assigned to": alert.assignee,
        "owner": alert.owner,
        "runbook": alert.runbook,
        "policies": ", ".join(map(str, alert.policies)) or None,
    }
    for name, value in said.items():
        if value is not None:
            print_line(f"{name}: {value}")
    for step in alert.history:
        print_line(f"  {step.sentence}")


@app.command("ack")
def ack(id_: Id, by: By = None, comment: Comment = None, config: ConfigFile = None, json_: Json = False) -> None:
    """Acknowledge a firing alert: somebody looks after it, so it is neither said again nor escalated.

    \b
    Example:
      tocsin alerts ack 1a3d --by ann --comment "valve is being changed"
    """
    _say("acknowledge", id_, by, config, as_json=json_, comment=comment)


@app.command("unack")
def unack(id_: Id, by: By = None, comment: Comment = None, config: ConfigFile = None, json_: Json = False) -> None:
    """Take an acknowledgement back: the alert fires again.

    \b
    Example:
      tocsin alerts unack 1a3d
    """
    _say("unacknowledge", id_, by, config, as_json=json_, comment=comment)


@app.command("comment")
def comment_(
    id_: Id,
    text: Annotated[str, typer.Argument(metavar="TEXT", help="What to say.")],
    by: By = None,
    config: ConfigFile = None,
    json_: Json = False,
) -> None:
    """Write a comment into an alert's history.

    \b
    Example:
      tocsin alerts comment 1a3d "same as last week"
    """
    _say("comment", id_, by, config, as_json=json_, comment=text)


@app.command("assign")
def assign(
    id_: Id,
    to: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="Who shall look after it; nobody, if left out.")
    ] = None,
    by: By = None,
    config: ConfigFile = None,
    json_: Json = False,
) -> None:
    """Say who shall look after an alert.

    \b
    Example:
      tocsin alerts assign 1a3d bob
    """
    _say("assign", id_, by, config, as_json=json_, assignee=to)


def known_alerts(kafka: KafkaSettings) -> dict[str, Alert]:
    """Return the present value of each alert."""
    from alerts.alert import Alert  # noqa: PLC0415 - start-up time

    return newest(kafka, "alerts", Alert)


def _say(order: str, id_: str, by: str | None, config: Any, *, as_json: bool, **said: str | None) -> None:
    """Send a command to an alert that can take it."""
    from tocsin.config import load_configuration  # noqa: PLC0415 - start-up time

    kafka = load_configuration(config).kafka
    alert = find(known_alerts(kafka), id_, "alert")
    if why := _refusal(alert, order):
        raise CommandError(f"alert {alert.alert_id} {why}")
    say(kafka, {"alert_id": alert.alert_id, "source": alert.source}, order, by, as_json=as_json, **said)


def _refusal(alert: Alert, order: str) -> str | None:
    """Say why an alert cannot take a command now."""
    if alert.state.over:
        return f"is {alert.state}: only alerts that go on take commands"
    wanted = {"acknowledge": "firing", "unacknowledge": "acknowledged"}.get(order)
    if wanted is not None and alert.state != wanted:
        return f"is {alert.state}: to {order} it, it must be {wanted}"
    return None
