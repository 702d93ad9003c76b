"""`tocsin label`: say what was no anomaly, and what was missed."""

from __future__ import annotations

import time
from typing import Annotated, Any

import typer

from tocsin.cli.errors import WRONG_USAGE, CommandError
from tocsin.cli.options import ConfigFile, Json
from tocsin.cli.terminal import print_json, print_line


def label(
    id_: Annotated[
        str,
        typer.Argument(
            metavar="ID", help="Id of an alert, event or transaction; with --source and --at any name for the label."
        ),
    ],
    truth: Annotated[
        bool,
        typer.Option(
            "--true/--false", help="--false: this was no anomaly; --true: it was one, or an anomaly was missed here."
        ),
    ],
    by: Annotated[str | None, typer.Option("--by", metavar="NAME", help="Who says so.")] = None,
    source: Annotated[
        str | None, typer.Option("--source", metavar="S", help="Source of an event that has no id; needs --at.")
    ] = None,
    at: Annotated[
        str | None,
        typer.Option("--at", metavar="TIME", help="Time of that event: ISO 8601 (without a zone: UTC) or epoch."),
    ] = None,
    timestamp: Annotated[
        str | None,
        typer.Option(
            "--timestamp",
            metavar="TIME",
            help="Time of the label; default: now. It acts once its source has reached this time, so say one from the "
            "recording for events that are replayed.",
        ),
    ] = None,
    config: ConfigFile = None,
    json_: Json = False,
) -> None:
    """Send a label to topic labels: what was no anomaly, what was one, or what was missed.

        After --false, like patterns of that source raise nothing; after --true on an event that raised no alert,
    like patterns do. Scores and alerts say so. The newest label of an id counts, so the opposite takes it back.

    \b
    Example:
      tocsin label 1a3d819cb05b264e8214 --false --by ann
      tocsin label leak-42 --true --source pump-7 --at 2026-01-02T03:04:05Z
    """
    from streams.schemas import LabelEvent  # noqa: PLC0415 - start-up time
    from tocsin.cli.clients import encoded, send  # noqa: PLC0415 - start-up time
    from tocsin.config import load_configuration  # noqa: PLC0415 - start-up time

    if (source is None) != (at is None):
        raise CommandError("--source and --at belong together: say both", WRONG_USAGE)
    said = {
        "id": id_,
        "label": truth,
        "timestamp": round(time.time(), 3) if timestamp is None else _time(timestamp),
        "by": by,
        "source": source,
        "at": None if at is None else _time(at),
    }
    event: dict[str, Any] = {name: value for name, value in said.items() if value is not None}
    value = encoded(LabelEvent, event)
    kafka = load_configuration(config).kafka
    send(kafka, "labels", id_, value)
    if json_:
        print_json({"topic": kafka.topic("labels"), **event})
    else:
        print_line(f"{id_} is labelled {str(truth).lower()}, sent to topic {kafka.topic('labels')}")


def _time(text: str) -> str | float:
    """Return a time as a label carries it: a number, or ISO 8601."""
    try:
        return float(text)
    except ValueError:
        return text
