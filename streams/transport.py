"""Faust's transport to Kafka, with micro-batches, fair turns, and offsets that only a checkpoint moves.

Faust finds it by the entry point group ``faust.transports``, for broker URLs such as ``tocsin://host:9092``.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from faust.transport.drivers import aiokafka as driver
from faust.types import TP, ConsumerMessage

from streams.lease import follow_group, guard, now
from streams.scheduler import Fetched, MicroBatch

IMPATIENT_MS, RECOVERING_MS, PATIENT_MS = 5, 50, 500
"""How long a broker may wait for records that it is asked for: while others are to be worked on, while no partitions
are held since states are recovered, and else. What else it is asked meanwhile, as where a changelog ends, waits too."""


BACKOFF_SECONDS = 0.01
"""How long records wait until the broker that they came from is asked for others."""


AT_ONCE_SECONDS = 0.001
"""How long to wait where a callback is about to run."""


LIVE_SECONDS = 1.0
"""How long after a record of the most urgent topic others make room for the next."""


class ConsumerThread(driver.AIOKafkaConsumerThread):
    """Reads from Kafka in a thread of its own."""

    _turn: int = 0
    _urgent_at: float = -math.inf
    _room: asyncio.Future[None] | None = None

    async def on_start(self) -> None:
        """Connect, and keep the lease by what the group says."""
        await super().on_start()
        consumer = self._ensure_consumer()
        _ask_again_at_once(consumer._fetcher, lambda: self.app.lease.held)
        follow_group(consumer._coordinator, self.app.lease)

    async def _fetch_records(
        self,
        consumer: Any,
        active_partitions: set[TP],
        timeout: float = 0.0,  # noqa: ASYNC109 - as Faust has it
        max_records: int | None = None,
    ) -> Mapping[TP, Any]:
        """Take a micro-batch from each partition of the most urgent topic, and one from each other input topic.

        Partitions of a topic have their turns. More than one micro-batch of a topic that can wait would be in the way
        of what becomes urgent meanwhile. aiokafka by itself empties one partition's buffer before it looks at the next.
        """
        if not self.consumer.flow_active:
            return {}
        fetcher = consumer._fetcher
        if consumer._closed or fetcher._closed:
            raise driver.ConsumerStoppedError
        with fetcher._subscriptions.fetch_context():
            fetched = await self._one_round(consumer, active_partitions)
            if not fetched:
                await self._wait_for_records(fetcher, timeout)
                fetched = await self._one_round(consumer, active_partitions)
        return fetched

    async def _one_round(self, consumer: Any, active: set[TP]) -> dict[TP, Any]:
        batch_sizes = self.app.batch_sizes
        urgent = next(iter(batch_sizes), None)
        fetched: dict[TP, Any] = {}
        served: set[str] = set()
        for tp in self._in_turn(active):
            size = batch_sizes.get(tp.topic)
            makes_room = size is not None and tp.topic != urgent and now() < self._urgent_at + LIVE_SECONDS
            if tp.topic in served or (makes_room and self._is_waiting(tp)):
                continue
            start = _position(consumer, tp)
            if size is not None:
                _make_small(consumer._fetcher, tp)
            found = await consumer._fetcher.fetched_records(
                {tp}, timeout=0, max_records=None if size is None else size.records(beside_urgent=makes_room)
            )
            for got, records in found.items():
                if size is None:
                    fetched[got] = records
                else:
                    first = records[0].offset
                    fetched[got] = MicroBatch(got, first if start is None else min(start, first), records)
                    if tp.topic == urgent:
                        self._urgent_at = now()
                    else:
                        served.add(tp.topic)
        return fetched

    def _in_turn(self, active: Iterable[TP]) -> list[TP]:
        order = {topic: place for place, topic in enumerate(self.app.batch_sizes)}
        tps = sorted(active, key=lambda tp: (order.get(tp.topic, len(order)), tp))
        self._turn += 1
        by_topic = [[tp for tp in tps if tp.topic == topic] for topic in dict.fromkeys(tp.topic for tp in tps)]
        return [tp for one in by_topic for tp in one[self._turn % len(one) :] + one[: self._turn % len(one)]]

    async def _wait_for_records(self, fetcher: Any, seconds: float) -> None:
        waiter = fetcher._create_fetch_waiter()
        self._room = asyncio.get_running_loop().create_future()
        await asyncio.wait([waiter, self._room], timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        self._room = None
        if not waiter.done():
            waiter.cancel()
        elif not fetcher._closed:
            waiter.result()

    def has_room(self) -> None:
        """Say, from any thread, that an agent has taken the micro-batch that waited for it."""
        room = self._room
        if room is not None:
            self.thread_loop.call_soon_threadsafe(_settle, room)

    def _is_waiting(self, tp: TP) -> bool:
        """Say whether a micro-batch waits for the agent of this partition's topic.

        Faust would hand another one over only once that is taken, and what is urgent would wait behind it.
        """
        return any(channel.queue.full() for channel in self.app.topics._tp_index.get(tp, ()))

    def end(self, tp: TP) -> int | None:
        """Return the end of a partition as the last fetch of it told, ``None`` while unknown."""
        consumer = self._ensure_consumer()
        end: int | None = consumer.highwater(tp) if tp in consumer.assignment() else None
        return end

    async def committed(self, tp: TP) -> int | None:
        """Return the group's committed offset of a partition."""
        return await self.call_thread(self._ensure_consumer().committed, tp)


def _settle(room: asyncio.Future[None]) -> None:
    if not room.done():
        room.set_result(None)


def _ask_again_at_once(fetcher: Any, holds: Callable[[], bool]) -> None:
    """Let a broker be asked for more as soon as some of it is wanted.

    aiokafka asks a broker for nothing while any of its records have waited for less than 100 ms, and has one question
    at a time under way. So what is urgent would wait behind what is not; and, asked for by itself, keep the other from
    being asked for until something urgent comes or the broker's patience ends.

    And it may believe that a question is under way whose answer has just come: it notes the end in a callback, which
    may run after it has looked. Then it asks nobody for 200 ms, unless told to look again at once.
    """
    fetcher._prefetch_backoff = BACKOFF_SECONDS
    as_it_was = fetcher._get_actions_per_node

    def with_patience(assignment: Any) -> Any:
        patience = PATIENT_MS if holds() else RECOVERING_MS
        fetcher._fetch_max_wait_ms = IMPATIENT_MS if fetcher._records else patience
        requests, resets, seconds, *others = as_it_was(assignment)
        if not requests and fetcher._in_flight and all(question.done() for question in fetcher._pending_tasks):
            seconds = AT_ONCE_SECONDS
        return (requests, resets, seconds, *others)

    fetcher._get_actions_per_node = with_patience


class Consumer(driver.Consumer):
    """Turns micro-batches into messages, and leaves offsets of input topics to the checkpoint."""

    _thread: ConsumerThread
    _to_resume: frozenset[TP] = frozenset()

    def _new_consumer_thread(self) -> ConsumerThread:
        return ConsumerThread(self, loop=self.loop, beacon=self.beacon)

    def _to_message(self, tp: TP, record: Any) -> ConsumerMessage:
        if not isinstance(record, MicroBatch):
            return super()._to_message(tp, record)
        last = record.records[-1]
        return ConsumerMessage(
            topic=tp.topic,
            partition=tp.partition,
            offset=last.offset,
            timestamp=last.timestamp / 1000,
            timestamp_type=0,
            headers=None,
            key=None,
            value=record,
            checksum=None,
            serialized_key_size=0,
            serialized_value_size=0,
            tp=tp,
            generation_id=self.app.consumer_generation_id,
        )

    def resume_partitions(self, tps: Iterable[TP]) -> None:
        """Let partitions be fetched, those of input topics from when the flow is resumed.

        Faust resumes them first, then throws away what it has queued, and then resumes the flow. So a micro-batch that
        was fetched in between would be lost.
        """
        wanted = frozenset(tps)
        inputs = frozenset(tp for tp in wanted if tp.topic in self.app.batch_sizes)
        self._to_resume |= inputs
        super().resume_partitions(wanted - inputs)

    def resume_flow(self) -> None:
        """Let records be fetched."""
        super().resume_partitions(self._to_resume)
        self._to_resume = frozenset()
        super().resume_flow()

    def stop_flow(self) -> None:
        """Let no records be fetched: partitions will be assigned anew."""
        self._to_resume = frozenset()
        super().stop_flow()

    def has_room(self) -> None:
        """Say that an agent has taken the micro-batch that waited for it."""
        self._thread.has_room()

    async def commit_offset(self, tp: TP, offset: int) -> bool:
        """Commit one partition's offset; false if the partition is no longer this worker's."""
        return await self._commit({tp: offset})

    async def committed(self, tp: TP) -> int | None:
        """Return the group's committed offset of a partition."""
        return await self._thread.committed(tp)

    def end(self, tp: TP) -> int | None:
        """Return the end of a partition as the last fetch of it told, ``None`` while unknown."""
        return self._thread.end(tp)

    def lag(self, tp: TP, position: int) -> int | None:
        """Return how many records lie after a position, ``None`` while unknown."""
        end = self.end(tp)
        return None if end is None else max(end - position, 0)

    def verify_event_path(self, now: float, tp: TP) -> None:
        """Leave the watch over progress to the health check, which knows micro-batches."""


class Producer(driver.Producer):
    """A producer whose retries neither repeat nor reorder records."""

    def _settings_extra(self) -> Mapping[str, Any]:
        return {"acks": "all", "enable_idempotence": True}

    def _new_producer(self, transactional_id: str | None = None) -> Any:
        producer = super()._new_producer(transactional_id)
        guard(producer.client, self.app.lease)
        return producer

    @property
    def batches(self) -> Any:
        """The aiokafka producer, for sending whole batches."""
        return self._ensure_producer()


class Transport(driver.Transport):
    """Kafka by aiokafka, with the consumer and producer above."""

    Consumer = Consumer
    Producer = Producer


def _position(consumer: Any, tp: TP) -> int | None:
    assignment = consumer._subscription.subscription.assignment
    if assignment is None or tp not in assignment.tps:
        return None
    state = assignment.state_value(tp)
    return state.position if state.has_valid_position else None


def _make_small(fetcher: Any, tp: TP) -> None:
    """Let what has been fetched of a partition be given as ``Fetched``.

    aiokafka has no setting for that. Should it keep its records elsewhere one day, they come as its own, which have
    these fields too.
    """
    waiting = getattr(fetcher._records.get(tp), "_partition_records", None)
    if waiting is not None:
        waiting._consumer_record = _fetched


def _fetched(tp: TP, record: Any) -> Fetched:
    return Fetched(record.offset, record.timestamp, record.key, record.value)
