"""Who is active: one process of all that could be, as the consumer group says."""

from __future__ import annotations

import asyncio
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener
from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor

from streams.lease import Lease, follow_group
from streams.settings import KafkaSettings

NEVER_MS = 2**31 - 1


class Leadership(ConsumerRebalanceListener):
    """A group over a topic of one partition: whoever holds that is active, the others stand by.

    Parameters
    ----------
    kafka
        The connection.
    group
        The group's name.
    topic
        A topic of one partition; nothing is read from it here.

    """

    def __init__(self, kafka: KafkaSettings, group: str, topic: str) -> None:
        self.lease = Lease(kafka.session_seconds)
        self.held = asyncio.Event()
        self.given_up = asyncio.Event()
        self.idle = asyncio.Event()
        self.idle.set()
        self._topic = topic
        self._consumer = AIOKafkaConsumer(
            **kafka.client_options(),
            group_id=group,
            enable_auto_commit=False,
            session_timeout_ms=round(kafka.session_seconds * 1000),
            heartbeat_interval_ms=round(kafka.session_seconds * 1000 / 5),
            # It never polls; heartbeats end when this process hangs.
            max_poll_interval_ms=NEVER_MS,
            # Whoever is active stays so when another comes to stand by.
            partition_assignment_strategy=[StickyPartitionAssignor],
        )

    async def start(self) -> None:
        """Join the group."""
        self._consumer.subscribe([self._topic], listener=self)
        await self._consumer.start()
        follow_group(self._consumer._coordinator, self.lease)

    async def stop(self) -> None:
        """Leave the group, so that another may go on at once."""
        await self._consumer.stop()

    async def on_partitions_assigned(self, assigned: Any) -> None:
        """Become active if the partition is ours."""
        if assigned:
            self.given_up.clear()
            self.held.set()

    async def on_partitions_revoked(self, revoked: Any) -> None:
        """Wait until all that this process does has ended: only then may another begin."""
        if self.held.is_set():
            self.held.clear()
            self.given_up.set()
            await self.idle.wait()
