"""`tocsin tail`: follow a topic."""

from __future__ import annotations

import contextlib
import itertools
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from tocsin.cli import records
from tocsin.cli.errors import CommandError
from tocsin.cli.options import ConfigFile, Json
from tocsin.cli.terminal import console, end_of_pipe, print_json

if TYPE_CHECKING:
    from kafka import KafkaConsumer, TopicPartition
    from kafka.consumer.fetcher import ConsumerRecord


TOPICS = (
    "alerts",
    "incidents",
    "actions",
    "scores",
    "decisions",
    "models",
    "forecasts",
    "failures",
    "notifications",
    "dead-letters",
    "telemetry",
    "transactions",
    "labels",
    "changes",
    "policies",
    "commands",
    "promotions",
    "rules",
    "lists",
    "artefacts",
    "silences",
)


def _complete_topic(incomplete: str) -> list[str]:
    return [name for name in TOPICS if name.startswith(incomplete)]


def tail(
    topic: Annotated[
        str,
        typer.Argument(
            help=f"Topic to follow, without the configured prefix: {', '.join(TOPICS)} or any other.",
            autocompletion=_complete_topic,
        ),
    ],
    config: ConfigFile = None,
    from_beginning: Annotated[
        bool, typer.Option("--from-beginning", help="Start with the oldest record that the topic still holds.")
    ] = False,
    count: Annotated[int | None, typer.Option("-n", "--count", min=1, help="End after this many records.")] = None,
    until_end: Annotated[
        bool,
        typer.Option("--until-end", help="Show what the topic holds now and end, instead of waiting for more."),
    ] = False,
    json_: Json = False,
    envelope: Annotated[
        bool,
        typer.Option(
            "--envelope",
            help="With --json: wrap each value in an object with its topic, partition, offset, timestamp, "
            "key and headers.",
        ),
    ] = False,
) -> None:
    """Follow a topic, until Ctrl-C.

    With --json each line is one record's value. Without --from-beginning and --until-end it starts with
    the next record to come.

    \b
    Example:
      tocsin tail alerts
      tocsin tail dead-letters --until-end --json | jq .reason
    """
    from tocsin.cli.clients import consumer  # noqa: PLC0415 - start-up time
    from tocsin.config import load_configuration  # noqa: PLC0415 - start-up time

    configuration = load_configuration(config)
    if envelope and not json_:
        raise typer.BadParameter("--envelope goes with --json")
    show = _show_json(envelope=envelope) if json_ else _show_pretty()
    with (
        consumer(configuration.kafka, isolation_level="read_committed") as kafka,
        contextlib.suppress(KeyboardInterrupt),
    ):
        partitions = _partitions(kafka, configuration.kafka.topic_prefix, topic)
        _seek(kafka, partitions, beginning=from_beginning or until_end)
        if not until_end:
            print(f"waiting for records of {topic}; Ctrl-C ends", file=sys.stderr, flush=True)
        for record in itertools.islice(_records(kafka, partitions, forever=not until_end), count):
            show(record)


def _seek(kafka: KafkaConsumer, partitions: list[TopicPartition], *, beginning: bool) -> None:
    kafka.assign(partitions)
    starts = kafka.beginning_offsets(partitions) if beginning else kafka.end_offsets(partitions)
    for partition in partitions:
        kafka.seek(partition, starts[partition])


def _records(kafka: KafkaConsumer, partitions: list[TopicPartition], *, forever: bool) -> Iterator[ConsumerRecord]:
    from tocsin.cli.clients import until_end  # noqa: PLC0415 - start-up time

    for lot in until_end(kafka, partitions, forever=forever):
        # Partitions are read one after the other; within what came together, time decides.
        yield from sorted(lot, key=lambda one: one.timestamp)


def _partitions(kafka: KafkaConsumer, prefix: str, topic: str) -> list[TopicPartition]:
    from kafka import TopicPartition  # noqa: PLC0415 - start-up time

    existing = kafka.topics()
    name = next((one for one in (prefix + topic, topic) if one in existing), None)
    if name is None:
        ours = ", ".join(sorted(one for one in existing if one.startswith(prefix))) or "none"
        raise CommandError(
            f"there is no topic {prefix + topic} (there are: {ours}); `tocsin topics create` creates Tocsin's"
        )
    return [TopicPartition(name, number) for number in sorted(kafka.partitions_for_topic(name) or ())]


def _show_json(*, envelope: bool) -> Callable[[ConsumerRecord], None]:
    def show(record: ConsumerRecord) -> None:
        print_json(records.envelope(record) if envelope else records.value(record.value))

    return show


def _show_pretty() -> Callable[[ConsumerRecord], None]:
    screen = console()

    def show(record: ConsumerRecord) -> None:
        try:
            screen.print(records.line(record))
            screen.file.flush()
        except BrokenPipeError:
            end_of_pipe()

    return show
