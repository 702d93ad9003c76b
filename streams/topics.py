"""The topics: what each is for, how it is partitioned, and how long it keeps what it holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import Field

from streams.settings import KafkaSettings, Settings

DAY_MS = 86_400_000
SAID = ("changes", "policies", "commands", "promotions", "rules", "lists", "artefacts", "silences")
"""Those of one partition: few records, which their readers read whole."""

INPUTS = ("telemetry", "transactions", "labels", *SAID)


class TopicSettings(Settings):
    """How topics are created. The inputs' number of partitions bounds how many workers can share the work."""

    partitions: int = Field(4, ge=1, le=1000, description="Partitions of the input and output topics.")
    replication_factor: int = Field(1, ge=1, le=10, description="Copies of each partition; 3 in production.")
    input_retention_days: float = Field(7.0, gt=0, description="Days that telemetry and transactions are kept.")
    output_retention_days: float = Field(
        30.0, gt=0, description="Days that scores, decisions and notifications are kept."
    )
    label_retention_days: float = Field(90.0, gt=0, description="Days that labels are kept.")


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """A topic as it should be on the brokers; ``config`` holds Kafka's topic settings."""

    name: str
    purpose: str
    partitions: int
    replication_factor: int
    config: dict[str, str] = field(default_factory=dict)


class TopicError(RuntimeError):
    """Topics cannot be created or are not as they should be; the message says why and what to do."""


def topic_specs(settings: TopicSettings) -> tuple[TopicSpec, ...]:
    """Return all topics, inputs first.

    Outputs have as many partitions as inputs: what a record leads to goes to the partition of the same number. What
    people say of the service itself has one partition, so that it has one order, and the broker's time.

    Examples
    --------
    >>> [spec.name for spec in topic_specs(TopicSettings())][:5]
    ['telemetry', 'transactions', 'labels', 'changes', 'policies']

    """

    def kept(days: float) -> dict[str, str]:
        return {"cleanup.policy": "delete", "retention.ms": str(round(days * DAY_MS))}

    compacted = {"cleanup.policy": "compact", "min.compaction.lag.ms": str(DAY_MS)}
    large = {"max.message.bytes": str(2 * 1024 * 1024)}
    broker_time = {"message.timestamp.type": "LogAppendTime"}
    # A dead letter holds another record, in base64.
    letters = kept(settings.label_retention_days) | large
    topics = (
        ("telemetry", "readings of sources, in", kept(settings.input_retention_days)),
        ("transactions", "transactions of accounts, in", kept(settings.input_retention_days)),
        ("labels", "the truth about transactions, events and alerts, in", kept(settings.label_retention_days)),
        ("changes", "deploys and other changes made on purpose, in", kept(settings.label_retention_days) | broker_time),
        ("policies", "versions of policies, in", compacted | broker_time),
        ("commands", "what people say to alerts and incidents, in", kept(settings.label_retention_days) | broker_time),
        (
            "promotions",
            "which fraud model shall decide, in",
            {"cleanup.policy": "delete", "retention.ms": "-1"} | broker_time,
        ),
        ("rules", "versions of rules for decisions, in", compacted | broker_time | large),
        ("lists", "who is allowed, blocked or watched, in", compacted | broker_time),
        ("artefacts", "versions of trained models, in", compacted | broker_time | large),
        ("silences", "what is not to be told for a time, in", compacted),
        ("scores", "a score per event, out", kept(settings.output_retention_days)),
        ("decisions", "a decision per transaction, out", kept(settings.output_retention_days)),
        ("models", "the fraud models, their roles and how good they are, out", compacted),
        ("forecasts", "what is foretold of each source now, out", compacted),
        ("failures", "how machines came to fail, out", {"cleanup.policy": "delete", "retention.ms": "-1"}),
        ("alerts", "the present state of each alert, out", compacted),
        ("incidents", "alerts that belong together, out", compacted),
        ("actions", "what is done about incidents, out", compacted),
        ("notifications", "what was told to whom, out", kept(settings.output_retention_days)),
        ("dead-letters", "what could not be taken or delivered, out", letters),
    )
    return tuple(
        TopicSpec(name, purpose, 1 if name in SAID else settings.partitions, settings.replication_factor, config)
        for name, purpose, config in topics
    )


def create_topics(
    kafka: KafkaSettings, settings: TopicSettings, outputs: Mapping[str, str] | None = None
) -> dict[str, bool]:
    """Create the topics that are missing; those that exist are left as they are.

    Parameters
    ----------
    kafka
        How to reach the brokers, and the topics' prefix.
    settings
        How topics are created.
    outputs
        Further settings of Kafka for the output topics.

    Returns
    -------
    Whether each topic, by its name on the brokers, was created now.

    Raises
    ------
    TopicError
        If the brokers cannot be reached or refuse.

    """
    from kafka.admin import KafkaAdminClient, NewTopic  # noqa: PLC0415  a worker does without this client
    from kafka.errors import KafkaError, TopicAlreadyExistsError  # noqa: PLC0415

    try:
        admin = KafkaAdminClient(**kafka.client_options())
    except KafkaError as error:
        raise TopicError(f"no broker answers at {kafka.bootstrap_servers}: {error}") from error
    try:
        existing: set[str] = set(admin.list_topics())
        created: dict[str, bool] = {}
        for spec in topic_specs(settings):
            name = kafka.topic(spec.name)
            created[name] = name not in existing
            if created[name]:
                config = spec.config if spec.name in INPUTS else {**spec.config, **(outputs or {})}
                new: Any = NewTopic(name, spec.partitions, spec.replication_factor, topic_configs=config)
                try:
                    admin.create_topics([new])
                except TopicAlreadyExistsError:
                    created[name] = False
                except KafkaError as error:
                    raise TopicError(f"topic {name} cannot be created: {error}") from error
        return created
    finally:
        admin.close()
