"""`tocsin demo`: the whole service at work, in a minute."""

from __future__ import annotations

from typing import Annotated

import typer

from tocsin.cli.errors import WRONG_USAGE, CommandError
from tocsin.cli.options import Json
from tocsin.cli.terminal import console, print_json, print_line


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
) -> None:
    """See the whole service at work on real and simulated events.

    It starts an Apache Kafka of its own (or uses that of KAFKA_BOOTSTRAP), a worker, and producers of four kinds of
    events: this machine's processor, memory, disk and network; a water network and a spacecraft, recorded; simulated
    card payments with frauds; and some broken events. It shows the alerts as they come, and at the end how many of
    the known anomalies and frauds were found. With --json the summary is one JSON object, on the last line.

    \b
    Example:
      tocsin demo --duration 30 --json
    """
    from tocsin.config import load_configuration  # noqa: PLC0415 - start-up time
    from tocsin.demo.run import DemoError, produce_demo, run_demo  # noqa: PLC0415 - start-up time
    from tocsin.demo.summary import show  # noqa: PLC0415 - start-up time

    if produce_to is not None and keep:
        raise CommandError("--keep has nothing to keep with --produce-to: leave one of them out", WRONG_USAGE)
    configuration = load_configuration()
    terminal = console(stderr=json_)
    if produce_to is not None:
        sent = produce_demo(configuration, produce_to, duration)
        if json_:
            print_json({"events_in": sent})
        else:
            print_line(f"{sent:,} events produced to {produce_to}")
        return
    try:
        summary = run_demo(configuration, duration, terminal, keep=keep)
    except DemoError as error:
        raise CommandError(str(error)) from error
    if json_:
        print_json(summary)
    else:
        show(terminal, summary)
