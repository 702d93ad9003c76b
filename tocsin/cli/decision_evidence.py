"""What the topics hold of one decision: its record, its transaction, and the rules that were asked."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from streams.codec import Rejected, decode
from streams.decisions import DecisionRecord
from streams.explained_decision import Explained, explained
from streams.publication import POSITION
from streams.rule_book import LIMITS, MOST_BYTES, RULES, RuleVersion
from streams.schemas import TransactionEvent
from tocsin.cli.clients import consumer, valid_values
from tocsin.cli.errors import CommandError
from tocsin.cli.evidence import records_since

if TYPE_CHECKING:
    from streams.settings import KafkaSettings


def explained_decision(kafka: KafkaSettings, transaction_id: str, since: float) -> Explained:
    """Return why a transaction was decided as it was; decisions are read from so many seconds ago on."""
    for record in records_since(kafka, "decisions", time.time() - since):
        if record.value is None or transaction_id.encode() not in record.value:
            continue
        decision = DecisionRecord.decode(record.value)
        if decision.transaction_id == transaction_id:
            position = dict(record.headers)[POSITION].decode()
            wanted = decision.rule_versions if isinstance(decision.rule_versions, tuple) else ()
            versions = valid_values(kafka, RULES, RuleVersion, MOST_BYTES) if wanted else []
            named = {one.key.decode(): one for one in versions}
            rules = {name: named[name].rules() for name in wanted if name in named}
            return explained(decision, _transaction(kafka, position) if wanted else None, rules)
    raise CommandError(f"there is no decision about {transaction_id!r}; --since says how far back they are read")


def _transaction(kafka: KafkaSettings, position: str) -> TransactionEvent | None:
    """Return the transaction at a position, ``None`` if Kafka no longer has it."""
    from kafka import TopicPartition  # noqa: PLC0415 - start-up time

    topic, partition, offset = position.rsplit("/", 2)
    place = TopicPartition(kafka.topic(topic), int(partition))
    with consumer(kafka) as client:
        client.assign([place])
        if client.beginning_offsets([place])[place] > int(offset):
            return None
        client.seek(place, int(offset))
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            for record in client.poll(timeout_ms=500).get(place, ()):
                event = decode(TransactionEvent, record.value, LIMITS)
                return None if isinstance(event, Rejected) or record.offset != int(offset) else event
    return None
