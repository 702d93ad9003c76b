"""What `tocsin alerts` and `tocsin incidents` share: the present values of a topic, and commands about one of them."""

from __future__ import annotations

import getpass
import json
import time
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from tocsin.cli.errors import CommandError
from tocsin.cli.terminal import console, print_json, print_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from alerts.alert import Alert
    from alerts.incident import Incident
    from streams.settings import KafkaSettings

V = TypeVar("V", "Alert", "Incident")

By = Annotated[str | None, typer.Option("--by", metavar="NAME", help="Who says so; default: your login.")]


def newest(kafka: KafkaSettings, topic: str, kind: type[V]) -> dict[str, V]:
    """Return the present values of a compacted topic by their ids, which are its keys."""
    from tocsin.cli.clients import read_topic  # noqa: PLC0415 - start-up time

    found: dict[str, V] = {}
    for record in read_topic(kafka, topic, isolation_level="read_committed"):
        key = (record.key or b"").decode()
        if record.value is None:
            found.pop(key, None)
            continue
        value = kind.model_validate_json(record.value)
        if key not in found or value.version >= found[key].version:
            found[key] = value
    return found


def find(known: Mapping[str, V], id_: str, what: str) -> V:
    """Return the one whose id is, or alone begins with, this; ``what`` is ``alert`` or ``incident``."""
    found = [known[id_]] if id_ in known else [value for key, value in known.items() if key.startswith(id_)]
    if len(found) == 1:
        return found[0]
    if found:
        raise CommandError(f"{len(found)} {what}s begin with {id_!r}: say more of the id")
    raise CommandError(f"there is no {what} {id_!r}; `tocsin {what}s list --all` lists them")


def say(
    kafka: KafkaSettings, about: Mapping[str, str], order: str, by: str | None, *, as_json: bool, **said: Any
) -> None:
    """Send a command to topic ``commands``; the first value of ``about`` is its key."""
    from streams.codec import Rejected, decode  # noqa: PLC0415 - start-up time
    from streams.schemas import CommandEvent, EventLimits  # noqa: PLC0415 - start-up time
    from tocsin.cli.clients import must_have, producer  # noqa: PLC0415 - start-up time

    event: dict[str, Any] = {
        **about,
        "command": order,
        "by": by or getpass.getuser(),
        "timestamp": round(time.time(), 3),
    } | {name: value for name, value in said.items() if value is not None}
    encoded = json.dumps(event).encode()
    checked = decode(CommandEvent, encoded, EventLimits())
    if isinstance(checked, Rejected):
        raise CommandError(checked.detail)
    key = next(iter(about.values()))
    with producer(kafka, acks="all") as client:
        must_have(kafka, "commands")
        client.send(kafka.topic("commands"), key=key.encode(), value=encoded).get(timeout=30)
    if as_json:
        print_json(event)
    else:
        print_line(f"{order} {key}: sent to topic {kafka.topic('commands')}")


def print_table(columns: Iterable[str], rows: Iterable[Iterable[str]]) -> None:
    """Print rows of text, in which states and severities have their colours."""
    from rich.markup import escape  # noqa: PLC0415 - start-up time
    from rich.table import Table  # noqa: PLC0415 - start-up time

    from tocsin.cli.records import STYLES  # noqa: PLC0415 - start-up time

    table = Table(box=None, pad_edge=False)
    for column in columns:
        table.add_column(column)
    for row in rows:
        table.add_row(*(f"[{STYLES[text]}]{text}[/]" if text in STYLES else escape(text) for text in row))
    console().print(table)
