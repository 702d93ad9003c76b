"""A transaction in, its decision out: over the same topics as everybody's."""

from __future__ import annotations

import time
from collections.abc import Iterable

import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from streams.dead_letters import DeadLetter
from streams.decisions import DecisionRecord
from streams.publication import until
from streams.schemas import TransactionEvent
from streams.serving.desk import Answer, DecisionDesk
from streams.settings import KafkaSettings

log = structlog.get_logger(__name__)

FOLLOWED = ("decisions", "dead-letters")
POLL_SECONDS = 1.0


class Gateway:
    """Sends transactions to their topic, and follows the topics on which they are answered.

    Any number of gateways may run: each reads all decisions. It belongs to no consumer group and keeps no state. At its
    start it reads the decisions of late, so that who asks again is told the same by whichever gateway.

    Parameters
    ----------
    kafka
        The connection and prefix.
    remember
        Seconds for which a decision is known to those who ask again.

    """

    def __init__(self, kafka: KafkaSettings, remember: float) -> None:
        self._kafka, self._remember = kafka, remember
        self._desk = DecisionDesk(remember)
        options = kafka.client_options()
        self._producer = AIOKafkaProducer(**options, acks="all", enable_idempotence=True, linger_ms=0)
        self._consumer = AIOKafkaConsumer(**options, enable_auto_commit=False, fetch_max_wait_ms=500)
        self.ready = False

    async def run(self) -> None:
        """Follow the answers, for ever."""
        try:
            await self._producer.start()
            await self._consumer.start()
            await self._read_what_was_decided()
            self.ready = True
            log.info("gateway_ready")
            while True:
                for tp, records in (await self._consumer.getmany(timeout_ms=round(1000 * POLL_SECONDS))).items():
                    self._take(tp, records)
        finally:
            self.ready = False
            await self._consumer.stop()
            await self._producer.stop()

    async def decide(self, event: TransactionEvent, value: bytes) -> Answer:
        """Return what becomes of a transaction; one that was decided of late is not decided again.

        Parameters
        ----------
        event, value
            The transaction, and its JSON.

        Raises
        ------
        aiokafka.errors.KafkaError
            If Kafka does not take it.

        """
        id_ = event.transaction_id
        known = self._desk.known(id_, time.time())
        if known is not None:
            return known
        first = not self._desk.is_awaited(id_)
        waiting = self._desk.await_(id_)
        try:
            if first:
                topic = self._kafka.topic("transactions")
                sent = await self._producer.send_and_wait(topic, key=event.account.encode(), value=value)
                self._desk.sent(id_, sent.partition, sent.offset)
            return await waiting
        finally:
            self._desk.give_up(id_, waiting)

    async def _read_what_was_decided(self) -> None:
        places = [tp for topic in FOLLOWED for tp in await self._partitions(topic)]
        self._consumer.assign(places)
        ends = await self._consumer.end_offsets(places)
        since = round(1000 * (time.time() - self._remember))
        starts = await self._consumer.offsets_for_times(dict.fromkeys(places, since))
        for tp, end in ends.items():
            found = starts.get(tp)
            self._consumer.seek(tp, end if found is None else found.offset)
        async for tp, records in until(self._consumer, ends):
            self._take(tp, records)

    async def _partitions(self, topic: str) -> list[TopicPartition]:
        name = self._kafka.topic(topic)
        await self._consumer._client.add_topic(name)
        numbers = self._consumer.partitions_for_topic(name) or set()
        if not numbers:
            raise KafkaError(f"there is no topic {name}: run `tocsin topics create`")
        return [TopicPartition(name, number) for number in sorted(numbers)]

    def _take(self, tp: TopicPartition, records: Iterable[ConsumerRecord]) -> None:
        decisions = tp.topic == self._kafka.topic("decisions")
        for record in records:
            if record.value is None:
                continue
            if decisions:
                self._desk.decided(DecisionRecord.decode(record.value), record.timestamp / 1000)
            else:
                self._desk.refused(DeadLetter.model_validate_json(record.value))
