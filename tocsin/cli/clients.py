"""Connections to Kafka for the commands, which speak to it with kafka-python."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from tocsin.cli.errors import WRONG_USAGE, CommandError

if TYPE_CHECKING:
    from kafka import KafkaConsumer, KafkaProducer, TopicPartition
    from kafka.admin import KafkaAdminClient
    from kafka.consumer.fetcher import ConsumerRecord
    from pydantic import BaseModel

    from streams.processor import Record
    from streams.settings import KafkaSettings

M = TypeVar("M", bound="BaseModel")

ANSWER_MS = 10_000
"""How long a broker may take to answer a command's first request."""


def admin(kafka: KafkaSettings) -> contextlib.AbstractContextManager[KafkaAdminClient]:
    """Connect to create and describe topics."""
    from kafka.admin import KafkaAdminClient  # noqa: PLC0415 - start-up time

    return _connected(KafkaAdminClient, kafka)


def producer(kafka: KafkaSettings, **options: Any) -> contextlib.AbstractContextManager[KafkaProducer]:
    """Connect to send records."""
    from kafka import KafkaProducer  # noqa: PLC0415 - start-up time

    return _connected(KafkaProducer, kafka, **options)


def consumer(kafka: KafkaSettings, **options: Any) -> contextlib.AbstractContextManager[KafkaConsumer]:
    """Connect to read records, outside of any consumer group."""
    from kafka import KafkaConsumer  # noqa: PLC0415 - start-up time

    return _connected(KafkaConsumer, kafka, group_id=None, enable_auto_commit=False, **options)


def must_have(kafka: KafkaSettings, topic: str) -> None:
    """Raise a ``CommandError`` if there is no such topic, rather than let a broker make one up."""
    with consumer(kafka) as client:
        if kafka.topic(topic) not in client.topics():
            raise CommandError(f"there is no topic {kafka.topic(topic)}; `tocsin topics create` creates it")


def until_end(
    client: KafkaConsumer, partitions: Sequence[TopicPartition], *, forever: bool = False
) -> Iterator[list[ConsumerRecord]]:
    """Yield what each poll brings, up to the ends that the partitions have now, or ``forever``."""
    ends = client.end_offsets(partitions)
    while forever or any(client.position(one) < ends[one] for one in partitions):
        yield [record for batch in client.poll(timeout_ms=250).values() for record in batch]


def read_topic(kafka: KafkaSettings, topic: str, **options: Any) -> list[ConsumerRecord]:
    """Return all that a topic holds now, each partition in its order; the consumer has further ``options``."""
    from kafka import TopicPartition  # noqa: PLC0415 - start-up time

    must_have(kafka, topic)
    name = kafka.topic(topic)
    with consumer(kafka, **options) as client:
        partitions = [TopicPartition(name, number) for number in sorted(client.partitions_for_topic(name) or ())]
        client.assign(partitions)
        client.seek_to_beginning(*partitions)
        return [record for lot in until_end(client, partitions) for record in lot]


def valid_values(kafka: KafkaSettings, topic: str, kind: type[M], most: int | None = None) -> list[M]:
    """Return the values in a topic that are valid, in its order; ``most`` is how many bytes one may have."""
    from streams.codec import Rejected, decode  # noqa: PLC0415 - start-up time
    from streams.schemas import EventLimits  # noqa: PLC0415 - start-up time

    limits = EventLimits() if most is None else EventLimits(max_bytes=most)
    decoded = [decode(kind, record.value, limits) for record in read_topic(kafka, topic)]
    return [one for one in decoded if not isinstance(one, Rejected)]


def as_processed(kafka: KafkaSettings, one: ConsumerRecord) -> Record:
    """Return a record as processors take it."""
    from streams.processor import Record  # noqa: PLC0415 - start-up time

    name = one.topic.removeprefix(kafka.topic_prefix)
    return Record(name, one.partition, one.offset, one.timestamp / 1000, one.key, one.value)


def governing(kafka: KafkaSettings) -> list[Record]:
    """Return all policies and planned changes, as processors take them."""
    from streams.policy_book import CHANGES, TOPIC  # noqa: PLC0415 - start-up time

    return [as_processed(kafka, one) for topic in (TOPIC, CHANGES) for one in read_topic(kafka, topic)]


def send(kafka: KafkaSettings, topic: str, key: str, value: bytes) -> None:
    """Send one record to a topic that must be there, and wait until Kafka has it."""
    with producer(kafka, acks="all") as client:
        must_have(kafka, topic)
        client.send(kafka.topic(topic), key=key.encode(), value=value).get(timeout=30)


def encoded(model: type[BaseModel], event: dict[str, Any], status: int = WRONG_USAGE) -> bytes:
    """Return an event's JSON, or raise a ``CommandError`` of this status that says why nobody would take it."""
    from streams.codec import Rejected, decode  # noqa: PLC0415 - start-up time
    from streams.schemas import EventLimits  # noqa: PLC0415 - start-up time

    value = json.dumps(event).encode()
    checked = decode(model, value, EventLimits())
    if isinstance(checked, Rejected):
        raise CommandError(checked.detail, status)
    return value


@contextlib.contextmanager
def _connected(kind: Any, kafka: KafkaSettings, **options: Any) -> Iterator[Any]:
    from kafka.errors import KafkaError  # noqa: PLC0415 - start-up time

    connection = _connection(kafka)
    try:
        client = kind(**connection, bootstrap_timeout_ms=ANSWER_MS, **options)
    except (KafkaError, OSError) as error:
        raise CommandError(_unreachable(kafka, error)) from error
    with contextlib.closing(client):
        try:
            yield client
        except KafkaError as error:
            raise CommandError(f"Kafka at {kafka.bootstrap_servers}: {_reason(error)}") from error


def _connection(kafka: KafkaSettings) -> dict[str, Any]:
    try:
        return kafka.client_options()
    except OSError as error:  # ssl's errors are OSErrors as well
        files = (kafka.ca_file, kafka.certificate_file, kafka.key_file)
        named = ", ".join(str(one) for one in files if one is not None)
        raise CommandError(
            f"cannot set up TLS with {named or 'the system certificates'} ({_reason(error)}); check ca_file, "
            "certificate_file and key_file of section kafka",
            WRONG_USAGE,
        ) from error


def _unreachable(kafka: KafkaSettings, error: Exception) -> str:
    return (
        f"no Kafka broker answers at {kafka.bootstrap_servers} ({_reason(error)}); set KAFKA_BOOTSTRAP or "
        f"kafka.bootstrap_servers, or start a broker with `tocsin broker`"
    )


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__
