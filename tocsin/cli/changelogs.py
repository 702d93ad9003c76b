"""The changelog topics as commands read and write them: while no worker does."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from streams.changelog import changelog_topic
from streams.packed import pack, unpack
from streams.state import MARKER_KEY, Marker
from streams.state_restore import marker_in
from tocsin.cli.clients import admin, consumer, producer, until_end
from tocsin.cli.errors import CommandError

if TYPE_CHECKING:
    from streams.settings import KafkaSettings

STREAMS = ("telemetry", "transactions")
LARGEST_RECORD = 8 * 1024 * 1024


@dataclass(slots=True)
class Changelog:
    """The states in one partition of a changelog topic, as a worker would recover them."""

    stream: str
    partition: int
    states: dict[str, bytes] = field(default_factory=dict)
    bytes: int = 0
    written_at: float | None = None

    @property
    def marker(self) -> Marker | None:
        """The marker of the last checkpoint."""
        return marker_in(self.states)


def read_changelogs(kafka: KafkaSettings, streams: Iterable[str] = STREAMS) -> list[Changelog]:
    """Read the changelogs of the streams to their ends.

    Raises
    ------
    tocsin.cli.errors.CommandError
        If there are none.

    """
    from kafka import TopicPartition  # noqa: PLC0415 - start-up time

    found = []
    with consumer(kafka, max_partition_fetch_bytes=LARGEST_RECORD) as client:
        existing = client.topics()
        for stream in streams:
            topic = changelog_topic(kafka, stream)
            if topic in existing:
                numbers = sorted(client.partitions_for_topic(topic) or ())
                found += [_read(client, TopicPartition(topic, number), stream) for number in numbers]
    if not found:
        raise CommandError(
            f"group {kafka.group_id} has no state yet: there is no topic {changelog_topic(kafka, STREAMS[0])}; a worker"
            " makes it when it first starts"
        )
    return found


def make_changelogs(kafka: KafkaSettings) -> None:
    """Make the changelog topics that are missing, as a worker does when it starts."""
    import asyncio  # noqa: PLC0415 - start-up time

    from streams.changelog import prepare_cluster  # noqa: PLC0415 - start-up time

    asyncio.run(prepare_cluster(kafka, STREAMS, restoring=True))


def must_be_idle(kafka: KafkaSettings) -> None:
    """Raise a ``CommandError`` if a worker of the group is running."""
    with admin(kafka) as client:
        group = client.describe_groups([kafka.group_id])[kafka.group_id]
    if group["members"]:
        raise CommandError(
            f"group {kafka.group_id} has {len(group['members'])} running worker(s), which would write over it: stop"
            f" them all, wait {kafka.session_seconds:.0f} s if one was killed, and try again"
        )


def written(kafka: KafkaSettings, changes: Iterable[tuple[str, int, Iterator[tuple[bytes, bytes | None]]]]) -> int:
    """Write states into changelog partitions, each to its last record, and return how many."""
    count = 0
    with producer(kafka, acks="all", linger_ms=20, max_request_size=LARGEST_RECORD) as client:
        for stream, partition, records in changes:
            sent = []
            for key, state in records:
                value = None if state is None else state if key == MARKER_KEY else pack(state)
                sent.append(client.send(changelog_topic(kafka, stream), key=key, value=value, partition=partition))
            client.flush()
            count += sum(1 for one in sent if one.get(timeout=60))
    return count


def input_bounds(kafka: KafkaSettings, places: Iterable[tuple[str, int]]) -> dict[tuple[str, int], tuple[int, int]]:
    """Return the offsets of the first record that is retained, and of the end, of partitions of input topics."""
    from kafka import TopicPartition  # noqa: PLC0415 - start-up time

    tps = {(stream, number): TopicPartition(kafka.topic(stream), number) for stream, number in places}
    with consumer(kafka) as client:
        begins, ends = client.beginning_offsets(list(tps.values())), client.end_offsets(list(tps.values()))
    return {place: (begins[tp], ends[tp]) for place, tp in tps.items()}


def commit_offsets(kafka: KafkaSettings, covered: dict[tuple[str, int], int]) -> None:
    """Let the group go on from these offsets of its input partitions."""
    from kafka import TopicPartition  # noqa: PLC0415 - start-up time
    from kafka.structs import OffsetAndMetadata  # noqa: PLC0415 - start-up time

    offsets = {
        TopicPartition(kafka.topic(stream), number): OffsetAndMetadata(offset, "", None)
        for (stream, number), offset in covered.items()
    }
    with admin(kafka) as client:
        failed = [error for error in client.alter_group_offsets(kafka.group_id, offsets).values() if _is_bad(error)]
    if failed:
        raise CommandError(f"offsets of group {kafka.group_id} cannot be set ({failed[0].__name__}): try again")


def _is_bad(error: Any) -> bool:
    return getattr(error, "errno", 0) != 0


def _read(client: Any, tp: Any, stream: str) -> Changelog:
    client.assign([tp])
    client.seek_to_beginning(tp)
    found = Changelog(stream, tp.partition)
    take: Callable[[Any], None] = _taker(found)
    for lot in until_end(client, [tp]):
        for record in lot:
            take(record)
    found.bytes = sum(len(key) + len(state) for key, state in found.states.items())
    found.states = {key: unpack(state) for key, state in found.states.items()}
    return found


def _taker(found: Changelog) -> Callable[[Any], None]:
    def take(record: Any) -> None:
        key = record.key.decode()
        if record.value is None:
            found.states.pop(key, None)
        else:
            found.states[key] = record.value
        if record.key == MARKER_KEY:
            found.written_at = record.timestamp / 1000

    return take
