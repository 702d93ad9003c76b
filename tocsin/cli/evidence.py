"""What the topics hold of one source: its scores, dead letters, events and notifications."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec
from pydantic import ValidationError

from alerts.alert import Alert
from alerts.incident import Incident
from alerts.notification import Notification
from streams.account import Account
from streams.dead_letters import DeadLetter
from streams.explained import Explainer, Scored
from streams.not_scored import letter_time, not_processed
from streams.partitioner import partition_of
from streams.publication import POSITION
from streams.rescoring import Replay, position_of
from streams.scores import ScoreRecord
from streams.telemetry import STREAM
from tocsin.cli.clients import admin, as_processed, consumer, governing, must_have, read_topic, until_end
from tocsin.cli.commands import newest
from tocsin.wiring import make_detector

if TYPE_CHECKING:
    from kafka.consumer.fetcher import ConsumerRecord

    from streams.settings import KafkaSettings
    from tocsin.config import Configuration


@dataclass(frozen=True, slots=True)
class Again:
    """What scoring a source's events again has found.

    ``exact`` is whether it began with the first event that there ever was, and without what peers had learned;
    ``committed`` is how far workers have come.
    """

    replay: Replay
    exact: bool
    committed: int

    def account(self, explainer: Explainer, published: dict[str, Scored]) -> Account | None:
        """Return what became of the nearest event, as it was published if it was."""
        event = self.replay.nearest
        if event is None:
            return None
        scored = published.get(position_of(event.record))
        if scored is not None:
            return explainer.scored(scored)
        if event.record.offset >= self.committed:
            return not_processed(event, self.committed)
        return explainer.rescored(event, exact=self.exact)


class Evidence:
    """Reads what there is of a source.

    Parameters
    ----------
    configuration
        Where and how.
    source
        Its name.

    """

    def __init__(self, configuration: Configuration, source: str) -> None:
        self._settings, self._kafka = configuration.telemetry, configuration.kafka
        self._make_detector = make_detector(configuration)
        self._source, self._key = source, source.encode()
        self._policies = governing(self._kafka)

    def explainer(self) -> Explainer:
        """Return what puts it into words."""
        return Explainer(self._settings, self._policies, self._make_detector().state_format)

    def scores(self, since: float) -> list[tuple[float, Scored]]:
        """Return the scores that were published since a time, each with the time of its event."""
        found = []
        for record in records_since(self._kafka, "scores", since):
            if record.key == self._key and record.value is not None:
                value = msgspec.json.decode(record.value, type=ScoreRecord)
                headers = dict(record.headers)
                scored = Scored(value, headers[POSITION].decode(), _seconds(headers["ce_time"].decode()))
                found.append((_seconds(value.timestamp), scored))
        return found

    def letters(self, since: float) -> list[tuple[float, DeadLetter]]:
        """Return the events that became dead letters since a time, each with its time."""
        found = []
        for record in records_since(self._kafka, "dead-letters", since):
            if record.value is not None:
                letter = DeadLetter.model_validate_json(record.value)
                time = letter_time(letter, record.key, self._source)
                if time is not None:
                    found.append((time, letter))
        return found

    def replayed(self, at: float, history: float) -> Again:
        """Score the source's events again, from so many seconds before a time on."""
        from kafka import TopicPartition  # noqa: PLC0415 - start-up time

        with consumer(self._kafka) as client:
            name = self._kafka.topic(STREAM)
            partitions = sorted(client.partitions_for_topic(name) or ())
        # Where the key puts it; a producer may have chosen another one.
        likely = partition_of(self._source, len(partitions)) if partitions else 0
        for number in sorted(partitions, key=lambda number: number != likely):
            replay = Replay(self._settings, self._make_detector, self._source, at, number, self._policies)
            for lot in lots_since(self._kafka, STREAM, at - history, [number]):
                replay.take(as_processed(self._kafka, one) for one in lot if one.key in (self._key, None))
                if replay.is_past:
                    break
            if replay.events:
                whole = self._begins_at_first(TopicPartition(name, number), at - history)
                return Again(replay, whole and not replay.has_peers, self._committed(number))
        return Again(Replay(self._settings, self._make_detector, self._source, at, 0), exact=True, committed=0)

    def is_known(self) -> bool:
        """Say whether there is any other trace of the source: an alert."""
        values = (one.value for one in read_topic(self._kafka, "alerts") if one.value is not None)
        return any(Alert.model_validate_json(value).source == self._source for value in values)

    def _begins_at_first(self, tp: Any, since: float) -> bool:
        with consumer(self._kafka) as client:
            return int(client.beginning_offsets([tp])[tp]) == 0 == _starts(client, [tp], since)[tp]

    def _committed(self, number: int) -> int:
        from kafka import TopicPartition  # noqa: PLC0415 - start-up time

        tp = TopicPartition(self._kafka.topic(STREAM), number)
        with admin(self._kafka) as client:
            found = client.list_group_offsets({self._kafka.group_id: [tp]})[self._kafka.group_id]
        return max(0, int(found[tp].offset)) if tp in found else 0


def incidents_of(kafka: KafkaSettings, alert_id: str) -> list[str]:
    """Return the ids of the incidents that list an alert."""
    found = newest(kafka, "incidents", Incident).values()
    return [one.incident_id for one in found if any(alert.alert_id == alert_id for alert in one.alerts)]


def notifications(kafka: KafkaSettings, ids: Sequence[str]) -> list[Notification]:
    """Return the notifications about an alert or its incidents, in their order."""
    about = [one.encode() for one in ids]
    found = []
    for record in read_topic(kafka, "notifications", isolation_level="read_committed"):
        if record.value is not None and any(one in record.value for one in about):
            try:
                found.append(Notification.model_validate_json(record.value))
            except ValidationError:
                continue  # of a newer version
    return found


def records_since(kafka: KafkaSettings, topic: str, since: float) -> Iterator[ConsumerRecord]:
    """Yield the records of a topic that were written at a time or later, up to its present end."""
    for lot in lots_since(kafka, topic, since):
        yield from lot


def lots_since(
    kafka: KafkaSettings, topic: str, since: float, numbers: list[int] | None = None
) -> Iterator[list[ConsumerRecord]]:
    """Yield the same in lots, of some partitions; ``None`` is all."""
    from kafka import TopicPartition  # noqa: PLC0415 - start-up time

    must_have(kafka, topic)
    name = kafka.topic(topic)
    with consumer(kafka, isolation_level="read_committed") as client:
        wanted = sorted(client.partitions_for_topic(name) or ()) if numbers is None else numbers
        partitions = [TopicPartition(name, number) for number in wanted]
        client.assign(partitions)
        for tp, start in _starts(client, partitions, since).items():
            client.seek(tp, start)
        yield from until_end(client, partitions)


def _starts(client: Any, partitions: list[Any], since: float) -> dict[Any, int]:
    """Return the first offset of each partition whose record was written at a time or later, else its end."""
    found = client.offsets_for_times(dict.fromkeys(partitions, max(0, int(since * 1000))))
    ends = client.end_offsets(partitions)
    return {tp: ends[tp] if found[tp] is None else found[tp].offset for tp in partitions}


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
