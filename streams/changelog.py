"""Creates the changelog topics, with as many partitions and replicas as the inputs have."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, for_code

from streams.settings import KafkaSettings

COORDINATOR_SECONDS = 30.0


class TopicError(RuntimeError):
    """A topic is missing or does not fit; the message says what to do."""


class Cluster(NamedTuple):
    """What a worker must know of the cluster before it starts."""

    id: str
    partitions: dict[str, int]
    """Number of partitions of each input topic, by logical name."""


def changelog_topic(settings: KafkaSettings, stream: str) -> str:
    """Return the changelog topic of an input topic's state, as Faust names it."""
    return f"{settings.group_id}-{table_name(stream)}-changelog"


def table_name(stream: str) -> str:
    """Return the name of an input topic's state table."""
    return f"{stream}-state"


async def prepare_cluster(
    settings: KafkaSettings, inputs: Sequence[str], outputs: Sequence[str] = (), *, restoring: bool = False
) -> Cluster:
    """Look the topics up and create the changelog topics that do not exist yet.

    One that is gone is an error, unless it is made to restore into it.

    Raises
    ------
    streams.changelog.TopicError
        If an input or output topic does not exist, a changelog topic does not fit it, or one is gone that there was.

    """
    admin = AIOKafkaAdminClient(**settings.client_options())
    await admin.start()
    try:
        cluster = await admin.describe_cluster()
        existing = set(await admin.list_topics())
        missing = [settings.topic(name) for name in (*inputs, *outputs) if settings.topic(name) not in existing]
        if missing:
            raise TopicError(f"topic {missing[0]} does not exist: create it with `tocsin topics create`")
        changelogs = {name: changelog_topic(settings, name) for name in inputs}
        wanted = [settings.topic(name) for name in inputs] + [c for c in changelogs.values() if c in existing]
        shape = {topic["topic"]: topic["partitions"] for topic in await admin.describe_topics(wanted)}
        for name, changelog in changelogs.items():
            partitions = shape[settings.topic(name)]
            if changelog not in existing:
                if not restoring:
                    await _check_nothing_is_lost(admin, settings, name, changelog)
                await _create(admin, changelog, len(partitions), len(partitions[0]["replicas"]))
            elif len(shape[changelog]) != len(partitions):
                raise TopicError(
                    f"topic {settings.topic(name)} has {len(partitions)} partitions, its state in {changelog} has "
                    f"{len(shape[changelog])}: partitions of an input cannot change under its state; use a new "
                    f"topic_prefix or group, or delete {changelog} and the group's offsets to start afresh"
                )
        counts = {name: len(shape[settings.topic(name)]) for name in inputs}
        return Cluster(cluster["cluster_id"], counts)
    finally:
        await admin.close()


async def _check_nothing_is_lost(
    admin: AIOKafkaAdminClient, settings: KafkaSettings, stream: str, changelog: str
) -> None:
    """Refuse to begin anew in the middle: there has been a state if offsets are committed."""
    committed = await _committed(admin, settings.group_id)
    topic = settings.topic(stream)
    if any(tp.topic == topic and found.offset > 0 for tp, found in committed.items()):
        raise TopicError(
            f"topic {changelog} is gone, though group {settings.group_id} has committed offsets of {topic}: "
            "the state is lost. Restore an export (`tocsin state restore FILE`), or delete the group and "
            f"state.directory to learn {topic} from its beginning"
        )


async def _committed(admin: AIOKafkaAdminClient, group: str) -> dict[Any, Any]:
    """Return a group's committed offsets; on a new cluster the first who ask must wait for the coordinator."""
    deadline = time.monotonic() + COORDINATOR_SECONDS
    while True:
        try:
            return dict(await admin.list_consumer_group_offsets(group))
        except KafkaError as error:
            if not error.retriable or time.monotonic() > deadline:
                raise
        await asyncio.sleep(0.1)


async def _create(admin: AIOKafkaAdminClient, topic: str, partitions: int, replicas: int) -> None:
    configuration = {
        "cleanup.policy": "compact",
        "min.cleanable.dirty.ratio": "0.2",
        "segment.bytes": str(64 * 1024 * 1024),
        "max.message.bytes": str(8 * 1024 * 1024),
    }
    created = await admin.create_topics(
        [NewTopic(topic, partitions, replicas, topic_configs=configuration)], timeout_ms=30_000
    )
    for _, code, *reason in created.topic_errors:
        error = for_code(code)
        if code and error.__name__ != "TopicAlreadyExistsError":
            raise TopicError(f"cannot create topic {topic}: {reason[0] if reason and reason[0] else error.__name__}")
