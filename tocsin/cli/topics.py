"""`tocsin topics`: create and list Tocsin's topics."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from tocsin.cli.options import ConfigFile, Json
from tocsin.cli.terminal import console, print_json, print_line

if TYPE_CHECKING:
    from kafka.admin import KafkaAdminClient

app = typer.Typer(
    help="""Create and list Tocsin's topics.

    \b
    Example:
      tocsin topics create
    """,
    rich_markup_mode=None,
)


@app.command("create")
def create(config: ConfigFile = None, json_: Json = False) -> None:
    """Create the topics that are missing.

    Those that exist are left as they are, so it may be run again at any time. Section `topics` of the
    configuration says how many partitions and replicas they get, and how long they keep what they hold.

    \b
    Example:
      tocsin topics create --config tocsin.yaml
    """
    from streams.topics import create_topics  # noqa: PLC0415 - start-up time
    from tocsin.cli.clients import admin  # noqa: PLC0415 - start-up time
    from tocsin.config import load_configuration  # noqa: PLC0415 - start-up time

    configuration = load_configuration(config)
    with admin(configuration.kafka):
        created = create_topics(configuration.kafka, configuration.topics)
    if json_:
        print_json(created)
        return
    for name, new in created.items():
        print_line(f"{name} {'created' if new else 'was there'}")


@app.command("list")
def list_topics(config: ConfigFile = None, json_: Json = False) -> None:
    """List the topics under the configured prefix: partitions, replicas and how many records each holds.

    The number of records is the distance between the ends of the log: compaction and transactions make the
    true number smaller.

    \b
    Example:
      tocsin topics list --json
    """
    from tocsin.cli.clients import admin, consumer  # noqa: PLC0415 - start-up time
    from tocsin.config import load_configuration  # noqa: PLC0415 - start-up time

    kafka = load_configuration(config).kafka
    with admin(kafka) as client, consumer(kafka) as reader:
        found = _described(client, kafka.topic_prefix)
        for topic in found:
            topic["records"] = _records(reader, topic["topic"], topic["partitions"])
    if json_:
        print_json(found)
    elif found:
        _print_table(found)
    else:
        print_line("there are no topics yet; `tocsin topics create` creates them")


def _described(client: KafkaAdminClient, prefix: str) -> list[dict[str, Any]]:
    return sorted(
        (
            {
                "topic": topic["name"],
                "partitions": len(topic["partitions"]),
                "replicas": max((len(one["replica_nodes"]) for one in topic["partitions"]), default=0),
            }
            for topic in client.describe_topics()
            if topic["name"].startswith(prefix) and not topic["name"].startswith("__")
        ),
        key=lambda topic: str(topic["topic"]),
    )


def _records(reader: Any, topic: str, partitions: int) -> int:
    from kafka import TopicPartition  # noqa: PLC0415 - start-up time

    all_partitions = [TopicPartition(topic, number) for number in range(partitions)]
    ends = reader.end_offsets(all_partitions)
    return int(sum(ends.values()) - sum(reader.beginning_offsets(all_partitions).values()))


def _print_table(found: list[dict[str, Any]]) -> None:
    from rich.table import Table  # noqa: PLC0415 - start-up time

    table = Table(box=None, pad_edge=False)
    table.add_column("topic")
    for name in ("partitions", "replicas", "records"):
        table.add_column(name, justify="right")
    for topic in found:
        table.add_row(topic["topic"], *(f"{topic[name]:,}" for name in ("partitions", "replicas", "records")))
    console().print(table)
