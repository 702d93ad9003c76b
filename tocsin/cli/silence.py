"""`tocsin silence`: keep alerts from being told for a time."""

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
    from alerts.silences import Silence
    from streams.settings import KafkaSettings

app = typer.Typer(
    help="""Keep alerts from being told for a time.

    \b
    Example:
      tocsin silence add 'source="pump-7"' --duration 2h --comment "serviced"
    """,
    rich_markup_mode=None,
)


@app.command("add")
def add(
    matchers: Annotated[
        list[str],
        typer.Argument(
            metavar="MATCHER...", help="As Alertmanager's; all must match: source=pump-7, severity!=critical"
        ),
    ],
    comment: Annotated[str, typer.Option("--comment", metavar="TEXT", help="Why.")],
    duration: Annotated[str, typer.Option("--duration", metavar="SPAN", help="For how long: 30m, 2h, 7d.")] = "1h",
    start: Annotated[
        str | None, typer.Option("--start", metavar="TIME", help="From when on, ISO 8601 or epoch; default: now.")
    ] = None,
    until_resolved: Annotated[
        bool, typer.Option("--until-resolved", help="End before that, once the alerts that it silenced are over.")
    ] = False,
    by: By = None,
    config: ConfigFile = None,
    json_: Json = False,
) -> None:
    """Silence alerts that match: they go on, and are not told.

    \b
    Example:
      tocsin silence add 'source=~"pump-.*"' 'severity!="critical"' --duration 2h --comment "pumps are serviced"
      tocsin silence add alert_id=1a3d819cb05b264e8214 --until-resolved --duration 7d --comment "part is ordered"
    """
    from pydantic import ValidationError  # noqa: PLC0415 - start-up time

    from alerts.matchers import MatcherError  # noqa: PLC0415 - start-up time
    from alerts.silences import Silence, SilenceChange  # noqa: PLC0415 - start-up time
    from tocsin.cli.clients import send  # noqa: PLC0415 - start-up time
    from tocsin.config import load_configuration  # noqa: PLC0415 - start-up time

    author, now = by or getpass.getuser(), time.time()
    starts_at = now if start is None else moment(start)
    try:
        silence = Silence(
            silence_id=uuid.uuid4().hex[:12],
            matchers=tuple(matchers),
            starts_at=starts_at,
            ends_at=starts_at + seconds(duration),
            created_by=author,
            comment=comment,
            until_resolved=until_resolved,
            history=(SilenceChange(what="created", at=now, by=author, comment=comment),),
        )
    except (ValidationError, MatcherError) as error:
        raise CommandError(_wrong(error), WRONG_USAGE) from None
    send(load_configuration(config).kafka, "silences", silence.silence_id, silence.encode())
    if json_:
        print_json(_shown(silence))
    else:
        print_line(f"silence {silence.silence_id} until {_shown(silence)['ends_at']}")


@app.command("list")
def list_silences(
    config: ConfigFile = None,
    every: Annotated[bool, typer.Option("--all", help="Also those that have ended.")] = False,
    json_: Json = False,
) -> None:
    """List the silences that are active or yet to come.

    \b
    Example:
      tocsin silence list --all
    """
    from tocsin.config import load_configuration  # noqa: PLC0415 - start-up time

    now = time.time()
    found = [one for one in _read(load_configuration(config).kafka).values() if every or one.ends_at > now]
    found.sort(key=lambda one: (one.ends_at, one.silence_id))
    if json_:
        print_json([_shown(one) for one in found])
    elif not found:
        print_line("there are no silences; `tocsin silence add` adds one")
    else:
        print_rows(("id", "state", "until", "by", "matchers", "comment"), map(_row, found))


@app.command("expire")
def expire(
    silence_id: Annotated[str, typer.Argument(metavar="ID", help="As `tocsin silence list` shows it.")],
    by: By = None,
    comment: Annotated[str, typer.Option("--comment", metavar="TEXT", help="Why.")] = "",
    config: ConfigFile = None,
    json_: Json = False,
) -> None:
    """End a silence now: alerts that go on are told again.

    \b
    Example:
      tocsin silence expire 5f0c2a7be14d --comment "done early"
    """
    from tocsin.cli.clients import send  # noqa: PLC0415 - start-up time
    from tocsin.config import load_configuration  # noqa: PLC0415 - start-up time

    kafka, now = load_configuration(config).kafka, time.time()
    silence = _read(kafka).get(silence_id)
    if silence is None:
        raise CommandError(f"there is no silence {silence_id}; `tocsin silence list --all` shows those there are")
    if silence.ends_at <= now:
        raise CommandError(f"silence {silence_id} has ended already, at {_shown(silence)['ends_at']}")
    ended = silence.expired(now, by or getpass.getuser(), comment)
    send(kafka, "silences", ended.silence_id, ended.encode())
    if json_:
        print_json(_shown(ended))
    else:
        print_line(f"silence {silence_id} ended")


def _read(kafka: KafkaSettings) -> dict[str, Silence]:
    from pydantic import ValidationError  # noqa: PLC0415 - start-up time

    from alerts.silences import Silence  # noqa: PLC0415 - start-up time
    from tocsin.cli.clients import read_topic  # noqa: PLC0415 - start-up time

    found: dict[str, Silence] = {}
    for record in read_topic(kafka, "silences", isolation_level="read_committed"):
        found.pop(record.key.decode(errors="replace"), None)
        if record.value is not None:
            try:
                silence = Silence.model_validate_json(record.value)
            except ValidationError:
                continue  # a dead letter, once `tocsin notify` has read it
            found[silence.silence_id] = silence
    return found


def _shown(silence: Silence) -> dict[str, Any]:
    now = time.time()
    state = "active" if silence.is_active(now) else "expired" if silence.ends_at <= now else "pending"
    return {**silence.model_dump(mode="json"), "state": state}


def _row(silence: Silence) -> list[str]:
    shown = _shown(silence)
    until = shown["ends_at"] + (" or resolved" if silence.until_resolved else "")
    return [
        *(silence.silence_id, shown["state"], until, silence.created_by),
        *(", ".join(silence.matchers), silence.comment),
    ]


def _wrong(error: Exception) -> str:
    from pydantic import ValidationError  # noqa: PLC0415 - start-up time

    if not isinstance(error, ValidationError):
        return str(error)
    first = error.errors(include_url=False)[0]
    return str(first["msg"]).removeprefix("Value error, ")
