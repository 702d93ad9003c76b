"""`tocsin calendar`: see when alerts are muted, and announce a planned change."""

from __future__ import annotations

import getpass
import time
import uuid
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tocsin.cli.durations import moment, seconds
from tocsin.cli.errors import WRONG_USAGE, CommandError
from tocsin.cli.options import By, ConfigFile, Json
from tocsin.cli.terminal import print_json, print_line, print_rows

if TYPE_CHECKING:
    from alerts.agenda import Occurrence
    from alerts.policies import PolicyVersion
    from tocsin.config import Configuration

app = typer.Typer(
    help="""See when alerts are muted and nothing is learned, and announce a planned change.

    Windows that come again are written into policies: tocsin policy apply.

    \b
    Example:
      tocsin calendar show --source pump-7
      tocsin calendar plan "pump-*" --lasts 30m --summary "filters are changed"
    """,
    rich_markup_mode=None,
)


@app.command("show")
def show(
    source: Annotated[
        str | None, typer.Option("--source", metavar="NAME", help="Only windows for this source; default: all.")
    ] = None,
    at: Annotated[
        str | None,
        typer.Option("--at", metavar="TIME", help="ISO 8601 (without a zone: UTC) or epoch; default: now."),
    ] = None,
    coming: Annotated[int, typer.Option("--next", min=0, max=1000, help="How many of those that come.")] = 10,
    config: ConfigFile = None,
    json_: Json = False,
) -> None:
    """Show the windows that are open at a time, and those that come next.

        Of a time that is past, those are shown that were in force then.

    \b
    Example:
      tocsin calendar show --source pump-7 --at 2026-01-04T02:30:00+01:00
    """
    from alerts.agenda import agenda  # noqa: PLC0415 - start-up time
    from tocsin.config import load_configuration  # noqa: PLC0415 - start-up time

    now = time.time()
    asked = now if at is None else moment(at)
    in_force = _in_force(load_configuration(config), None if asked >= now else asked)
    found = agenda(in_force, asked, coming, source)
    if json_:
        print_json([one.model_dump(mode="json") for one in found])
    elif found:
        columns = ("window", "sources", "from", "until", "", "does", "author", "reason")
        print_rows(columns, map(_row, found))
    else:
        print_line("no window is open, and none comes" if source is None else f"none for {source}")


@app.command("plan")
def plan(
    sources: Annotated[str, typer.Argument(metavar="SOURCES", help="The source; or a glob, as pump-*.")],
    lasts: Annotated[str, typer.Option("--lasts", metavar="SPAN", help="For how long: 30m, 2h, 7d.")],
    start: Annotated[
        str | None, typer.Option("--start", metavar="TIME", help="From when on, ISO 8601 or epoch; default: now.")
    ] = None,
    kind: Annotated[str, typer.Option("--kind", help="What is done: deploy, maintenance, restart, …")] = "maintenance",
    freeze: Annotated[bool, typer.Option("--freeze", help="Learn nothing meanwhile either.")] = False,
    mute: Annotated[bool, typer.Option("--mute/--no-mute", help="Whether no alert begins meanwhile.")] = True,
    summary: Annotated[str, typer.Option("--summary", metavar="TEXT", help="What is changed, and why.")] = "",
    id_: Annotated[
        str | None, typer.Option("--id", help="Its id; one said again takes the place of what it was.")
    ] = None,
    by: By = None,
    config: ConfigFile = None,
    json_: Json = False,
) -> None:
    """Announce a planned change: alerts of its sources are muted while it lasts.

        It counts from two to three seconds later. Incidents take it for a possible cause.

    \b
    Example:
      tocsin calendar plan "pump-*" --start 2026-01-04T02:00Z --lasts 4h --freeze --summary "filters are changed"
    """
    said = {"kind": kind, "source": sources, "lasts": seconds(lasts), "mute": mute, "freeze": freeze}
    if not (mute or freeze):
        raise CommandError("--no-mute without --freeze does nothing: leave out --no-mute, or add --freeze", WRONG_USAGE)
    sent = _send(config, id_ or uuid.uuid4().hex[:12], by, start, summary, said)
    if json_:
        print_json(sent)
    else:
        print_line(f"change {sent['change_id']} is announced; `tocsin calendar cancel {sent['change_id']}` ends it")


@app.command("cancel")
def cancel(
    id_: Annotated[str, typer.Argument(metavar="ID", help="Of the planned change.")],
    by: By = None,
    config: ConfigFile = None,
    json_: Json = False,
) -> None:
    """End a planned change: nothing is muted or frozen by it any more.

    \b
    Example:
      tocsin calendar cancel d42
    """
    from alerts.planned import CHANGE  # noqa: PLC0415 - start-up time
    from tocsin.config import load_configuration  # noqa: PLC0415 - start-up time

    found = {one.name: one for one in _in_force(load_configuration(config), None)}
    if f"{CHANGE}{id_}" not in found:
        known = ", ".join(name.removeprefix(CHANGE) for name in sorted(found) if name.startswith(CHANGE)) or "none"
        raise CommandError(f"there is no planned change {id_!r} (there are: {known})")
    policy = found[f"{CHANGE}{id_}"].policy
    said = {"kind": policy.calendar[0].name, "source": policy.source} if policy is not None else {}
    sent = _send(config, id_, by, None, "cancelled", said)
    if json_:
        print_json(sent)
    else:
        print_line(f"change {id_} is cancelled")


def _in_force(configuration: Configuration, produced_at: float | None) -> list[PolicyVersion]:
    """Return what governs events that are produced at a time, ``None`` for those to come."""
    from streams.policy_book import PolicyBook  # noqa: PLC0415 - start-up time
    from tocsin.cli.clients import governing  # noqa: PLC0415 - start-up time

    telemetry = configuration.telemetry
    book = PolicyBook.of(telemetry.policy, telemetry.limits, governing(configuration.kafka))
    return book.in_force(float("inf") if produced_at is None else produced_at)


def _send(
    config: Any, id_: str, by: str | None, start: str | None, summary: str, said: dict[str, Any]
) -> dict[str, Any]:
    """Send a change to its topic, and return it."""
    from alerts.happening import ChangeEvent  # noqa: PLC0415 - start-up time
    from streams.policy_book import CHANGES  # noqa: PLC0415 - start-up time
    from tocsin.cli.clients import encoded, send  # noqa: PLC0415 - start-up time
    from tocsin.config import load_configuration  # noqa: PLC0415 - start-up time

    timestamp = round(time.time(), 3) if start is None else moment(start)
    change = {"change_id": id_, **said, "timestamp": timestamp, "by": by or getpass.getuser(), "summary": summary}
    value = encoded(ChangeEvent, change)
    send(load_configuration(config).kafka, CHANGES, id_, value)
    return change


def _row(one: Occurrence) -> list[str]:
    from alerts.alert import iso  # noqa: PLC0415 - start-up time

    times = (f"{iso(t)[:16]}Z" for t in (one.starts_at, one.ends_at))
    return [one.window, one.sources, *times, "open" if one.open else "", _does(one), one.author, one.reason or ""]


def _does(one: Occurrence) -> str:
    muted = f"mutes {', '.join(one.kinds)}" if one.kinds else "mutes"
    return ", ".join(name for name, done in ((muted, one.mute), ("freezes", one.freeze)) if done)
