"""Publishes what processors put out: a batch at a time, in order of causes, and nothing twice."""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from faust.types import TP

from alerts.alert import iso
from streams.processor import Output
from streams.settings import KafkaSettings

Headers = list[tuple[str, bytes]]

POSITION = "tocsin-position"
"""Header: topic, partition and offset of the record that caused an output."""

DUE = "tocsin-due"
"""Header of an output that fell due as time passed, not when its cause was processed."""


class Publisher:
    """Sends records as whole batches; Kafka acknowledges each batch once and in order.

    Parameters
    ----------
    producer
        Gives the aiokafka producer; it is idempotent, so its retries neither repeat nor reorder.

    """

    def __init__(self, producer: Callable[[], Any]) -> None:
        self._producer = producer

    async def send(self, tp: TP, records: Iterable[tuple[bytes | None, bytes | None, Headers]]) -> int:
        """Send records to a partition, wait for their acknowledgement, and return the partition's new end."""
        producer = self._producer()
        acknowledgements = []
        batch = producer.create_batch()
        for key, value, headers in records:
            if batch.append(key=key, value=value, timestamp=None, headers=headers) is None:
                acknowledgements.append((batch, await producer.send_batch(batch, tp.topic, partition=tp.partition)))
                batch = producer.create_batch()
                batch.append(key=key, value=value, timestamp=None, headers=headers)
        acknowledgements.append((batch, await producer.send_batch(batch, tp.topic, partition=tp.partition)))
        end = 0
        for sent, acknowledgement in acknowledgements:
            end = (await acknowledgement).offset + sent.record_count()
        return end


class Outlet:
    """The output partitions that belong to one input partition.

    Parameters
    ----------
    source
        The input partition, by its logical topic name. Outputs go to partitions of the same number.
    settings
        Connection and topic prefix.
    publisher
        Sends the records.
    tails
        Ends of the output partitions, by topic, at the last checkpoint: ``covered``. Later ends are in ``tails``.

    """

    def __init__(self, source: TP, settings: KafkaSettings, publisher: Publisher, tails: Mapping[str, int]) -> None:
        self._source = source
        self._settings = settings
        self._publisher = publisher
        self.covered = dict(tails)
        self.tails = dict(tails)
        self.before = PublishedBefore()

    async def read_tails(self, topics: Sequence[str]) -> None:
        """Read what has been published since the last checkpoint, so as not to publish it again."""
        async with AIOKafkaConsumer(**self._settings.client_options(), enable_auto_commit=False) as consumer:
            names = {TopicPartition(self._settings.topic(name), self._source.partition): name for name in topics}
            consumer.assign(list(names))
            ends = await consumer.end_offsets(list(names))
            begins = await consumer.beginning_offsets(list(names))
            for tp, name in names.items():
                consumer.seek(tp, max(begins[tp], self.tails.get(name, 0)))
                self.tails[name] = ends[tp]
            async for tp, records in until(consumer, ends):
                for record in records:
                    self.before.note(names[tp], record.key, record.value, dict(record.headers))

    def cover(self, position: int) -> None:
        """Let ``covered`` be the ends of now, for a checkpoint that covers the input's records before ``position``.

        As long as records come again that had led to outputs before a crash, it stays as it is: outputs of records
        that this checkpoint does not cover must be found should there be another crash.
        """
        if not self.before.outlives(self._source, position):
            self.covered = dict(self.tails)

    async def publish(self, outputs: Sequence[Output], *, due: bool = False) -> Counter[str]:
        """Publish outputs and wait until Kafka has acknowledged them all.

        Parameters
        ----------
        outputs
            Sent in order of causes.
        due
            Whether they fell due as time passed, rather than when their causes were processed.

        Returns
        -------
        collections.Counter
            How many records went to each topic; fewer than given if some had been published before.

        """
        by_topic: dict[str, list[Output]] = defaultdict(list)
        for output in sorted(outputs, key=_cause_offset):
            if not self.before.has(output):
                by_topic[output.topic].append(output)
        partition = self._source.partition
        sent = [
            self._publisher.send(TP(self._settings.topic(topic), partition), (record_of(o, due=due) for o in found))
            for topic, found in by_topic.items()
        ]
        for topic, end in zip(by_topic, await asyncio.gather(*sent), strict=True):
            self.tails[topic] = max(end, self.tails.get(topic, 0))
        return Counter({topic: len(found) for topic, found in by_topic.items()})


class PublishedBefore:
    """What a run before this one has published since its last checkpoint.

    An output partition holds outputs in order of causes. So all that an earlier record than the last cause
    led to is there, and of what the last one led to, the first few are. Outputs that fell due as time passed
    are told by their content.
    """

    def __init__(self) -> None:
        self._last: dict[tuple[str, str, int], tuple[int, int]] = {}
        self._due: Counter[bytes] = Counter()

    def note(self, topic: str, key: bytes | None, value: bytes | None, headers: Mapping[str, bytes]) -> None:
        """Take in a published record, in the order of the output partition."""
        if DUE in headers:
            self._due[_digest(topic, key, value)] += 1
        elif POSITION in headers:
            cause, partition, offset = headers[POSITION].decode().rsplit("/", 2)
            where = (topic, cause, int(partition))
            last, count = self._last.get(where, (-1, 0))
            self._last[where] = (int(offset), count + 1 if last == int(offset) else 1)

    def has(self, output: Output) -> bool:
        """Say whether this output is there; each one there is found once."""
        if not self._last and not self._due:
            return False
        cause = output.cause
        where = (output.topic, cause.topic, cause.partition)
        last, count = self._last.get(where, (-1, 0))
        if cause.offset < last:
            return True
        if self._due:
            digest = _digest(output.topic, output.key, output.value)
            if self._due[digest]:
                self._due[digest] -= 1
                return True
        if cause.offset == last and count:
            self._last[where] = (last, count - 1)
            return True
        return False

    def reaches(self, source: TP, position: int) -> bool:
        """Say whether records at or after this position of the input have led to outputs already."""
        return any(
            last >= position
            for (_, topic, partition), (last, _) in self._last.items()
            if (topic, partition) == (source.topic, source.partition)
        )

    def outlives(self, source: TP, position: int) -> bool:
        """Say whether some of it may still be needed once the input's records before this position are covered."""
        return bool(self._due) or self.reaches(source, position)

    def forget(self) -> None:
        """Forget it all: a later checkpoint covers it."""
        self._last.clear()
        self._due.clear()


def _cause_offset(output: Output) -> int:
    return output.cause.offset


def _digest(topic: str, key: bytes | None, value: bytes | None) -> bytes:
    content = b"\x00".join((topic.encode(), key or b"", value or b""))
    return hashlib.blake2b(content, digest_size=16).digest()


def record_of(output: Output, *, due: bool) -> tuple[bytes, bytes, Headers]:
    """Return an output's key, value and headers."""
    cause = output.cause
    position = f"{cause.topic}/{cause.partition}/{cause.offset}"
    digest = _digest(f"{output.topic}/{position}", output.key, output.value).hex().encode()
    headers = cloud_event(digest, cause.topic, output.type, cause.timestamp, output.key)
    headers.append((POSITION, position.encode()))
    if due:
        headers.append((DUE, b"1"))
    return output.key, output.value, headers


def cloud_event(event_id: bytes, source: str, type_: str, time: float, subject: bytes) -> Headers:
    """Return the headers of CloudEvents 1.0, as its binding to Kafka has them.

    Examples
    --------
    >>> dict(cloud_event(b"e1", "alerts", "tocsin.alert.v1", 0.0, b"a1"))["ce_time"]
    b'1970-01-01T00:00:00.000Z'

    """
    return [
        ("ce_specversion", b"1.0"),
        ("ce_id", event_id),
        ("ce_source", f"/tocsin/{source}".encode()),
        ("ce_type", type_.encode()),
        ("ce_time", iso(time).encode()),
        ("ce_subject", subject),
        ("content-type", b"application/json"),
    ]


async def until(consumer: AIOKafkaConsumer, ends: Mapping[TopicPartition, int]) -> AsyncIterator[Any]:
    """Yield each partition and its next records, up to the given ends."""
    left = {tp for tp, end in ends.items() if await consumer.position(tp) < end}
    while left:
        for tp, records in (await consumer.getmany(*left, timeout_ms=1000)).items():
            if wanted := [record for record in records if record.offset < ends[tp]]:
                yield tp, wanted
        left = {tp for tp in left if await consumer.position(tp) < ends[tp]}
