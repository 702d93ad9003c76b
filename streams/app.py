"""The Faust app, made from the settings."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import faust
from faust.auth import SASLCredentials, SSLCredentials
from faust.types.auth import SASLMechanism

from streams.lease import Lease
from streams.recovery import ChangelogReader, TableManager
from streams.scheduler import BatchSize, MicroBatchScheduler, PassThroughSchema
from streams.settings import EngineSettings, KafkaSettings
from streams.store import MEGABYTE, StoreMemory

HEARTBEAT_SECONDS = 1.0
"""A worker hears of a rebalance at its next heartbeat, and all who heard sooner have stopped and wait for it."""


class App(faust.App):
    """A Faust app whose input topics come in micro-batches.

    Faust neither tracks nor commits their offsets (``acks=False``): its bookkeeping is per message, and would
    take the offsets inside a micro-batch for gaps.
    """

    batch_sizes: dict[str, BatchSize]
    """By input topic as the brokers name it, most urgent first."""

    store_memory: StoreMemory
    """What RocksDB may take."""

    changelogs: ChangelogReader
    """Reads the changelogs at recovery."""

    lease: Lease
    """Whether this worker may write."""

    def input_topic(self, name: str) -> Any:
        """Return an input topic."""
        return self.topic(name, schema=PassThroughSchema(), acks=False, maxsize=1)

    def state_table(self, name: str, partitions: int) -> Any:
        """Return a table of raw keys and values that local RocksDB and a changelog topic hold."""
        return self.Table(name, partitions=partitions, key_type=bytes, value_type=bytes)


def build_app(settings: EngineSettings, inputs: Iterable[str], directory: Path) -> App:
    """Return the app, without its agents and tables.

    Parameters
    ----------
    settings
        The engine's settings.
    inputs
        Input topics by their names on the brokers, most urgent first.
    directory
        Folder for RocksDB, of this process alone.

    """
    kafka = settings.kafka
    app = App(
        kafka.group_id,
        broker=[f"tocsin://{server}" for server in kafka.servers],
        broker_credentials=_credentials(kafka),
        broker_client_id=kafka.client_id,
        broker_session_timeout=kafka.session_seconds,
        broker_heartbeat_interval=HEARTBEAT_SECONDS,
        broker_rebalance_timeout=60.0,
        broker_request_timeout=max(90.0, kafka.session_seconds),
        broker_commit_interval=10.0,
        consumer_auto_offset_reset="earliest",
        consumer_max_fetch_size=MEGABYTE,
        producer_max_batch_size=512 * 1024,
        producer_max_request_size=16 * MEGABYTE,
        producer_linger=0.0,
        store="tocsin://",
        TableManager=TableManager,
        table_standby_replicas=settings.state.standby_replicas,
        datadir=directory,
        key_serializer="raw",
        value_serializer="raw",
        ConsumerScheduler=MicroBatchScheduler,
        agent_supervisor="mode.CrashingSupervisor",
        processing_guarantee="at_least_once",
        stream_wait_empty=False,
        stream_buffer_maxsize=4096,
        topic_allow_declare=False,
        topic_disable_leader=True,
        web_enabled=False,
        canonical_url=f"http://{kafka.client_id}",
        worker_redirect_stdouts=False,
        autodiscover=False,
    )
    app.batch_sizes = {topic: BatchSize(settings.batch.records, settings.batch.seconds) for topic in inputs}
    app.store_memory = StoreMemory(settings.state.cache_megabytes)
    app.changelogs = ChangelogReader(kafka)
    app.lease = Lease(kafka.session_seconds)
    app.finalize()
    return app


def _credentials(kafka: KafkaSettings) -> SASLCredentials | SSLCredentials | None:
    context = kafka.ssl_context()
    if kafka.security_protocol.startswith("SASL") and kafka.password is not None:
        return SASLCredentials(
            username=kafka.username,
            password=kafka.password.get_secret_value(),
            mechanism=SASLMechanism(kafka.sasl_mechanism),
            ssl_context=context,
        )
    return None if context is None else SSLCredentials(context)
