"""`tocsin broker`: an embedded Kafka for trying things out."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from typing import Annotated

import typer

from tocsin.cli.options import Json
from tocsin.cli.terminal import console, print_json, print_line


def broker(
    folder: Annotated[
        Path | None,
        typer.Option(
            "--folder",
            metavar="DIR",
            help="Keep the data here. Without it, a temporary folder that goes away at the end.",
        ),
    ] = None,
    json_: Json = False,
) -> None:
    """Start an embedded Apache Kafka.

    It prints the address and runs until Ctrl-C. It listens on a free port of this machine only. The first start
    fetches Kafka (about 54 MB).

    \b
    Example:
      tocsin broker --folder ./kafka-data
    """
    from tocsin.broker import EmbeddedKafka  # noqa: PLC0415 - start-up time

    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    signal.signal(signal.SIGINT, lambda *_: ended.set())
    with console(stderr=True).status("starting Apache Kafka"):
        kafka = EmbeddedKafka(folder)
        kafka.start()
    with kafka:
        if json_:
            print_json({"bootstrap_servers": kafka.bootstrap_servers})
        else:
            print_line(f"Apache Kafka listens at {kafka.bootstrap_servers}; Ctrl-C ends it. To use it:")
            print_line(f"  export KAFKA_BOOTSTRAP={kafka.bootstrap_servers}")
        ended.wait()
