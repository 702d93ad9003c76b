"""`tocsin incidents`: alerts that belong together, what caused them, and what people say to them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from tocsin.cli.commands import Comment, find, newest, say
from tocsin.cli.errors import CommandError
from tocsin.cli.options import By, ConfigFile, Json
from tocsin.cli.terminal import print_json, print_line, print_rows

if TYPE_CHECKING:
    from alerts.action import Action
    from alerts.incident import Incident
    from streams.settings import KafkaSettings

app = typer.Typer(
    help="""See what incidents there are, what caused them and what to do; acknowledge, assign, merge and split them;
    approve actions.

    `tocsin notify` makes incidents of alerts. What is said goes to topic commands and into the incident's timeline.

    \b
    Example:
      tocsin incidents list
      tocsin incidents show 2b45
    """,
    rich_markup_mode=None,
)

Id = Annotated[str, typer.Argument(metavar="ID", help="Id of the incident, or its beginning, if no other begins so.")]


ActionId = Annotated[str, typer.Argument(metavar="ACTION", help="Id of the action, or its beginning.")]


@app.command("list")
def list_incidents(
    all_: Annotated[bool, typer.Option("--all", help="Also those that are over.")] = False,
    config: ConfigFile = None,
    json_: Json = False,
) -> None:
    """List the incidents that go on, the most severe first.

    \b
    Example:
      tocsin incidents list --json | jq -r '.[] | .summary'
    """
    found = [one for one in _known(_kafka(config)).values() if all_ or not one.state.over]
    found.sort(key=lambda one: (one.state.over, -one.severity.rank, one.started_at, one.incident_id))
    if json_:
        print_json([one.model_dump(mode="json") for one in found])
    elif found:
        columns = ("id", "state", "severity", "owner", "alerts", "summary")
        print_rows(
            columns,
            (
                (one.incident_id, one.state, one.severity, one.owner or "", f"{one.alert_count:,}", one.summary)
                for one in found
            ),
        )
    else:
        print_line("there are no incidents" if all_ else "no incidents go on")


@app.command("show")
def show(id_: Id, config: ConfigFile = None, json_: Json = False) -> None:
    """Show one incident: causes with their evidence, advice, incidents that looked alike, and its timeline.

    \b
    Example:
      tocsin incidents show 2b45
    """
    configured = _kafka(config)
    incident = find(_known(configured), id_, "incident")
    if json_:
        print_json(incident.model_dump(mode="json"))
        return
    for line in _lines(incident):
        print_line(line)
    for one in _actions(configured).values():
        if one.incident_id == incident.incident_id:
            print_line(f"action {one.action_id}, {one.state}: {one.text} ({one.runbook}, for {one.cause})")


@app.command("ack")
def ack(id_: Id, by: By = None, comment: Comment = None, config: ConfigFile = None, json_: Json = False) -> None:
    """Acknowledge an open incident: somebody looks after it.

    \b
    Example:
      tocsin incidents ack 2b45 --by ann --comment "switch is being replaced"
    """
    _say("acknowledge", id_, by, config, as_json=json_, comment=comment)


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
    """Say who owns an incident.

    \b
    Example:
      tocsin incidents assign 2b45 team-network
    """
    _say("assign", id_, by, config, as_json=json_, assignee=to)


@app.command("comment")
def comment_(
    id_: Id,
    text: Annotated[str, typer.Argument(metavar="TEXT", help="What to say.")],
    by: By = None,
    config: ConfigFile = None,
    json_: Json = False,
) -> None:
    """Write a comment into an incident's timeline.

    \b
    Example:
      tocsin incidents comment 2b45 "the supplier is called"
    """
    _say("comment", id_, by, config, as_json=json_, comment=text)


@app.command("resolved-by")
def resolved_by(
    id_: Id,
    text: Annotated[str, typer.Argument(metavar="TEXT", help="What helped.")],
    by: By = None,
    config: ConfigFile = None,
    json_: Json = False,
) -> None:
    """Say what resolved an incident: those to come that look like it will tell.

    \b
    Example:
      tocsin incidents resolved-by 2b45 "restart of the gateway"
    """
    _say("resolved_by", id_, by, config, as_json=json_, comment=text)


@app.command("merge")
def merge(
    id_: Id,
    into: Annotated[str, typer.Argument(metavar="INTO", help="Id of the incident that goes on.")],
    by: By = None,
    config: ConfigFile = None,
    json_: Json = False,
) -> None:
    """Let an incident go on as part of another.

    \b
    Example:
      tocsin incidents merge 2b45 91d0
    """
    other = find(_known(_kafka(config)), into, "incident")
    _say("merge", id_, by, config, as_json=json_, into=other.incident_id)


@app.command("split")
def split(
    id_: Id,
    sources: Annotated[list[str], typer.Argument(metavar="SOURCE...", help="Sources whose alerts shall leave it.")],
    by: By = None,
    config: ConfigFile = None,
    json_: Json = False,
) -> None:
    """Make the alerts of some sources an incident of their own.

    \b
    Example:
      tocsin incidents split 2b45 pump-7 pump-8
    """
    _say("split", id_, by, config, as_json=json_, sources=sources)


@app.command("actions")
def actions(
    all_: Annotated[bool, typer.Option("--all", help="Also those of which nothing is to become any more.")] = False,
    config: ConfigFile = None,
    json_: Json = False,
) -> None:
    """List what can be done about incidents, and what has become of it.

    \b
    Example:
      tocsin incidents actions
    """
    found = [one for one in _actions(_kafka(config)).values() if all_ or one.state.runs or one.state.may_be_approved]
    found.sort(key=lambda one: (one.incident_id, one.runbook, one.step))
    if json_:
        print_json([one.model_dump(mode="json") for one in found])
    elif found:
        columns = ("id", "incident", "state", "cause", "step")
        print_rows(columns, ((one.action_id, one.incident_id[:8], one.state, one.cause, one.text) for one in found))
    else:
        print_line("there are no actions" if all_ else "there is nothing to approve, and nothing runs")


@app.command("approve")
def approve(
    action: ActionId, by: By = None, comment: Comment = None, config: ConfigFile = None, json_: Json = False
) -> None:
    """Let an action be done, for the first time or again.

    \b
    Example:
      tocsin incidents approve 7d3a --by ann
    """
    _decide("approve", action, by, config, as_json=json_, comment=comment)


@app.command("deny")
def deny(
    action: ActionId, by: By = None, comment: Comment = None, config: ConfigFile = None, json_: Json = False
) -> None:
    """Say that an action shall not be done.

    \b
    Example:
      tocsin incidents deny 7d3a --by ann --comment "it is in use"
    """
    _decide("deny", action, by, config, as_json=json_, comment=comment)


def _kafka(config: Any) -> KafkaSettings:
    from tocsin.config import load_configuration  # noqa: PLC0415 - start-up time

    return load_configuration(config).kafka


def _known(kafka: KafkaSettings) -> dict[str, Incident]:
    from alerts.incident import Incident  # noqa: PLC0415 - start-up time

    return newest(kafka, "incidents", Incident)


def _actions(kafka: KafkaSettings) -> dict[str, Action]:
    from alerts.action import Action  # noqa: PLC0415 - start-up time

    return newest(kafka, "actions", Action)


def _decide(order: str, id_: str, by: str | None, config: Any, *, as_json: bool, **said: Any) -> None:
    kafka = _kafka(config)
    action = find(_actions(kafka), id_, "action")
    if not action.state.may_be_approved:
        raise CommandError(f"action {action.action_id} is {action.state}: nobody can {order} it")
    about = {"incident_id": action.incident_id, "action_id": action.action_id}
    say(kafka, about, order, by, as_json=as_json, **said)


def _say(order: str, id_: str, by: str | None, config: Any, *, as_json: bool, **said: Any) -> None:
    kafka = _kafka(config)
    incident = find(_known(kafka), id_, "incident")
    if incident.state.over and order not in ("comment", "resolved_by"):
        raise CommandError(f"incident {incident.incident_id} is {incident.state}: to {order} it, it must go on")
    say(kafka, {"incident_id": incident.incident_id}, order, by, as_json=as_json, **said)


def _lines(incident: Incident) -> list[str]:
    from alerts.alert import iso  # noqa: PLC0415 - start-up time

    lines = [f"{incident.incident_id} {incident.state} {incident.severity}", incident.summary]
    if incident.owner:
        lines.append(f"owner: {incident.owner}")
    for cause in incident.causes:
        lines.append(f"cause, {cause.score:.0%}: {cause.source}")
        lines += [f"  {one.kind}: {one.detail}" for one in cause.evidence]
    for advice in incident.advice:
        lines.append(f"runbook for {advice.cause}: {advice.runbook}{f' ({advice.url})' if advice.url else ''}")
        lines += [f"  {number}. {step}" for number, step in enumerate(advice.steps, 1)]
    for past in incident.similar:
        helped = f", resolved by {past.resolved_by}" if past.resolved_by else ""
        lines.append(f"looked alike, {past.similarity:.0%}: {past.incident_id} of {iso(past.started_at)}{helped}")
    lines += [f"{iso(entry.at)} {entry.what}: {entry.detail}" for entry in incident.timeline]
    return lines
