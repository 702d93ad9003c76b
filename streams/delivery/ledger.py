"""The notifier's book: what it tells, its state and how far it has read are written together or not at all."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, for_code

from streams.changelog import TopicError
from streams.lease import Lease, guard
from streams.processor import Output
from streams.publication import Headers, cloud_event, record_of, until
from streams.settings import KafkaSettings

INPUTS = ("alerts", "silences", "changes", "commands")
OUTPUTS = ("incidents", "notifications", "silences", "dead-letters")
LARGEST = 8 * 1024 * 1024
TRANSACTION_SECONDS = 30


class Entry(NamedTuple):
    """A record to write; ``topic`` without prefix, ``partition`` as the key says if ``None``."""

    topic: str
    key: bytes
    value: bytes | None
    type: str
    partition: int | None = None


class Ledger:
    """Writes in Kafka's transactions, and reads what was written at the start.

    A transaction holds notifications, states and positions. Whoever begins later with the same name fences those who
    began before: they cannot write any more.

    Parameters
    ----------
    kafka
        The connection, prefix and group.
    lease
        Without it nothing is written.

    """

    def __init__(self, kafka: KafkaSettings, lease: Lease) -> None:
        self._kafka = kafka
        self._changelog = changelog_topic(kafka)
        self._producer = AIOKafkaProducer(
            **kafka.client_options(),
            transactional_id=notify_group(kafka),
            transaction_timeout_ms=TRANSACTION_SECONDS * 1000,
            acks="all",
            max_request_size=LARGEST,
            linger_ms=2,
        )
        guard(self._producer.client, lease)

    async def open(self) -> dict[str, bytes]:
        """Fence all who wrote before, and return the states by key."""
        await self._producer.start()
        async with AIOKafkaConsumer(
            **self._kafka.client_options(),
            enable_auto_commit=False,
            isolation_level="read_committed",
            max_partition_fetch_bytes=LARGEST,
        ) as consumer:
            tp = TopicPartition(self._changelog, 0)
            consumer.assign([tp])
            consumer.seek(tp, (await consumer.beginning_offsets([tp]))[tp])
            states: dict[str, bytes] = {}
            async for _, records in until(consumer, await consumer.end_offsets([tp])):
                for record in records:
                    states[record.key.decode()] = record.value
        return {key: state for key, state in states.items() if state is not None}

    async def close(self) -> None:
        """Close the connection; what was not committed never was."""
        await self._producer.stop()

    async def write(self, entries: Sequence[Entry | Output], states: Iterable[tuple[str, bytes | None]]) -> None:
        """Write records for the output topics and changed states, all or nothing; a state that is gone is ``None``."""
        records = [self._record(entry) for entry in entries]
        records += [(self._changelog, 0, key.encode(), state, []) for key, state in states]
        async with self._producer.transaction():
            sent = [
                await self._producer.send(topic, value, key=key, partition=partition, headers=headers)
                for topic, partition, key, value, headers in records
            ]
            await asyncio.gather(*sent)

    def _record(self, entry: Entry | Output) -> tuple[str, int | None, bytes, bytes | None, Headers]:
        topic = self._kafka.topic(entry.topic)
        if isinstance(entry, Output):
            key, value, headers = record_of(entry, due=False)
            return topic, entry.cause.partition, key, value, headers
        headers = cloud_event(entry.key, "notify", entry.type, time.time(), entry.key)
        return topic, entry.partition, entry.key, entry.value, headers


def notify_group(kafka: KafkaSettings) -> str:
    """Return the name of the notifiers' consumer group and transactions."""
    return f"{kafka.group_id}-notify"


def changelog_topic(kafka: KafkaSettings) -> str:
    """Return the topic of the notifier's state."""
    return f"{notify_group(kafka)}-changelog"


async def prepare(kafka: KafkaSettings, sinks: Sequence[str]) -> None:
    """Look for the topics that are needed, and create the state's if there is none.

    Raises
    ------
    streams.changelog.TopicError
        If a topic does not exist or cannot be created.

    """
    admin = AIOKafkaAdminClient(**kafka.client_options())
    await admin.start()
    try:
        existing = set(await admin.list_topics())
        for name in (*INPUTS, *OUTPUTS, *sinks):
            if kafka.topic(name) not in existing:
                raise TopicError(f"topic {kafka.topic(name)} does not exist: create it with `tocsin topics create`")
        if changelog_topic(kafka) in existing:
            return
        (alerts,) = await admin.describe_topics([kafka.topic("alerts")])
        configuration = {"cleanup.policy": "compact", "max.message.bytes": str(LARGEST), "segment.bytes": "67108864"}
        replicas = len(alerts["partitions"][0]["replicas"])
        created = await admin.create_topics(
            [NewTopic(changelog_topic(kafka), 1, replicas, topic_configs=configuration)], timeout_ms=30_000
        )
        for topic, code, *_ in created.topic_errors:
            error = for_code(code)
            if code and error.__name__ != "TopicAlreadyExistsError":
                raise TopicError(f"cannot create topic {topic}: {error.__name__}")
    except KafkaError as error:
        raise TopicError(f"Kafka at {kafka.bootstrap_servers}: {error}") from error
    finally:
        await admin.close()
