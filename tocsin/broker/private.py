"""A Kafka for a command that works in topics of its own, and leaves everything as it was."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator

from streams.settings import KafkaSettings
from tocsin.broker.embedded import EmbeddedKafka


def private_prefix(configured: str, name: str) -> str:
    """Return a prefix that sets a command's topics on somebody's Kafka apart from all others."""
    return f"{configured}{name}-{secrets.token_hex(3)}-"


@contextlib.contextmanager
def private_kafka(settings: KafkaSettings, name: str) -> Iterator[KafkaSettings]:
    """Give a Kafka: that of ``KAFKA_BOOTSTRAP``, if that is set, else one of this process's own.

    Parameters
    ----------
    settings
        How to reach the Kafka of ``KAFKA_BOOTSTRAP``. Topics there get a prefix of their own, and are deleted at the
        end.
    name
        What the topics' prefix says they are for.

    Raises
    ------
    tocsin.broker.BrokerError
        If the embedded broker cannot be started.

    """
    if os.environ.get("KAFKA_BOOTSTRAP"):
        own = settings.model_copy(update={"topic_prefix": private_prefix(settings.topic_prefix, name)})
        try:
            yield own
        finally:
            _delete_topics(own)
        return
    with EmbeddedKafka() as embedded:
        yield KafkaSettings(bootstrap_servers=embedded.bootstrap_servers)


def _delete_topics(kafka: KafkaSettings) -> None:
    from kafka.admin import KafkaAdminClient  # noqa: PLC0415  seldom needed
    from kafka.errors import KafkaError  # noqa: PLC0415

    with contextlib.suppress(KafkaError), contextlib.closing(KafkaAdminClient(**kafka.client_options())) as admin:
        ours = [name for name in admin.list_topics() if name.startswith(kafka.topic_prefix)]
        if ours:
            admin.delete_topics(ours)
        groups = [
            group["group_id"] for group in admin.list_groups() if group["group_id"].startswith(kafka.topic_prefix)
        ]
        if groups:
            admin.delete_groups(groups)
