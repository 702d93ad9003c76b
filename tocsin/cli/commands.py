"""What `tocsin alerts` and `tocsin incidents` share: the present values of a topic, and commands about one of them."""

from __future__ import annotations

import getpass
import time
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from tocsin.cli.errors import FAILED, CommandError
from tocsin.cli.terminal import print_json, print_line

if TYPE_CHECKING:
    from collections.abc import Mapping

    from alerts.action import Action
    from alerts.alert import Alert
    from alerts.incident import Incident
    from streams.settings import KafkaSettings

V = TypeVar("V", "Alert", "Incident", "Action")

Comment = Annotated[str | None, typer.Option("--comment", metavar="TEXT", help="What to say with it.")]


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
    """Return the one whose id is, or alone begins with, this; ``what`` it is: alert, incident or action."""
    found = [known[id_]] if id_ in known else [value for key, value in known.items() if key.startswith(id_)]
    if len(found) == 1:
        return found[0]
    if found:
        raise CommandError(f"{len(found)} {what}s begin with {id_!r}: say more of the id")
    listed = "incidents actions" if what == "action" else f"{what}s list"
    raise CommandError(f"there is no {what} {id_!r}; `tocsin {listed} --all` lists them")


def say(
    kafka: KafkaSettings, about: Mapping[str, str], order: str, by: str | None, *, as_json: bool, **said: Any
) -> None:
    """Send a command to topic ``commands``; the first value of ``about`` is its key."""
    from streams.schemas import CommandEvent  # noqa: PLC0415 - start-up time
    from tocsin.cli.clients import encoded, send  # noqa: PLC0415 - start-up time

    event: dict[str, Any] = {
        **about,
        "command": order,
        "by": by or getpass.getuser(),
        "timestamp": round(time.time(), 3),
    } | {name: value for name, value in said.items() if value is not None}
    key = next(iter(about.values()))
    send(kafka, "commands", key, encoded(CommandEvent, event, FAILED))
    if as_json:
        print_json(event)
    else:
        print_line(f"{order} {key}: sent to topic {kafka.topic('commands')}")
