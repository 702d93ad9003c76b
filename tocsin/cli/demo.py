"""`tocsin demo`: the whole service at work, in a minute."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from tocsin.cli.errors import WRONG_USAGE, CommandError
from tocsin.cli.options import ConfigFile, Json
from tocsin.cli.terminal import print_json, print_line


def demo(
    duration: Annotated[
        float, typer.Option("--duration", metavar="SECONDS", min=5, help="For how long events are produced.")
    ] = 60,
    json_: Json = False,
    keep: Annotated[bool, typer.Option("--keep", help="Leave it running when all is produced, until Ctrl-C.")] = False,
    produce_to: Annotated[
        str | None,
        typer.Option(
            "--produce-to",
            metavar="HOST:PORT",
            help="Only produce the demo's events, to a service that runs there.",
        ),
    ] = None,
    config: ConfigFile = None,
) -> None:
    """See the whole service at work on real and simulated events.

    It starts an Apache Kafka of its own (or uses that of KAFKA_BOOTSTRAP), a worker, and producers of four kinds of
    events: this machine's processor, memory, disk and network; a water network and a spacecraft, recorded; simulated
    card payments with frauds; and some broken events. It shows the alerts as they come, and at the end how many of
    the known anomalies and frauds were found. With --json the summary is one JSON object, on the last line.

    On the Kafka of KAFKA_BOOTSTRAP it works in topics of its own, which it deletes at the end. The configuration
    only says how to reach that Kafka; everything else is the default.

    \b
    Example:
      tocsin demo --duration 30 --json
    """
    from functools import partial  # noqa: PLC0415 - start-up time

    from rich.console import Console  # noqa: PLC0415 - start-up time

    from tocsin.cli.clients import admin  # noqa: PLC0415 - start-up time
    from tocsin.config import load_configuration  # noqa: PLC0415 - start-up time
    from tocsin.demo.run import produce_demo, run_demo  # noqa: PLC0415 - start-up time
    from tocsin.demo.summary import show  # noqa: PLC0415 - start-up time

    if produce_to is not None and keep:
        raise CommandError("--keep has nothing to keep with --produce-to: leave one of them out", WRONG_USAGE)
    configuration = load_configuration(config)
    if produce_to is not None:
        kafka = configuration.kafka.model_copy(update={"bootstrap_servers": produce_to})
        configuration = configuration.model_copy(update={"kafka": kafka})
    if produce_to is not None or os.environ.get("KAFKA_BOOTSTRAP"):
        with admin(configuration.kafka):
            pass  # it answers, or this says why not
    if produce_to is not None:
        sent = produce_demo(configuration, duration)
        if json_:
            print_json({"events_in": sent})
        else:
            print_line(f"{sent:,} events produced to {produce_to}")
        return
    terminal = Console(stderr=json_, highlight=False)
    run_demo(configuration, duration, terminal, print_json if json_ else partial(show, terminal), keep=keep)
