"""A decision that is made again from its trace is what was decided, with rules, lists and breaker."""

from __future__ import annotations

import json

import msgspec
import pytest

from detectors.base import SnapshotError
from detectors.transactions.rules import RuleSet
from streams.decisions import DecisionRecord, PackedTrace
from streams.explained_decision import explained
from streams.processor import Record
from streams.schemas import TransactionEvent
from streams.transaction_settings import TransactionSettings
from streams.transactions import TransactionProcessor
from tests.streams.test_rules import FRIENDS, LARGE, entry, payment, rules
from tests.streams.test_transactions import of, uninterrupted

SETS = {"large@1": RuleSet("large@1", json.dumps(LARGE)), "friends@1": RuleSet("friends@1", json.dumps(FRIENDS))}


def event(record: Record) -> TransactionEvent:
    return TransactionEvent.model_validate_json(record.value or b"")


def decided(heard: list[Record], payments: list[Record], **said: object) -> list[DecisionRecord]:
    processor = TransactionProcessor(TransactionSettings.model_validate(said), 0)
    processor.absorb(heard)
    outputs = processor.process(payments).outputs
    return [DecisionRecord.decode(one.value) for one in outputs if one.topic == "decisions"]


def test_every_decision_of_a_town_is_made_again_with_the_same_result() -> None:
    records = [DecisionRecord.decode(one.value) for one in uninterrupted() if one.topic == "decisions"]
    assert {one.decision for one in records} >= {"approve", "review"}
    for record, transaction in zip(records, of("transactions"), strict=True):
        found = explained(record, event(transaction), {})
        assert found.exact
        assert found.by_score == record.decision


def test_rules_are_asked_again_and_what_they_said_is_found_again() -> None:
    heard = [
        rules(0, 0.0, LARGE),
        rules(1, 0.0, FRIENDS, name="friends", mode="shadow"),
        entry(0, 0.0, "watch", "counterparty", "shop"),
    ]
    payments = [payment(8, amount=500.0, counterparty="friend"), payment(9)]
    blocked, watched = decided(heard, payments)
    for record, transaction in zip((blocked, watched), payments, strict=True):
        found = explained(record, event(transaction), SETS)
        assert found.exact and found.because == "the stored trace, and the rules asked again"
    assert explained(blocked, event(payments[0]), SETS).by_score == "approve"
    assert [one.shadow for one in explained(blocked, event(payments[0]), SETS).rules] == [False, True]
    assert explained(blocked, None, {}).because.endswith("no longer in Kafka, so rules are as they were recorded")
    assert watched.decision == "review"


def test_a_rule_that_says_something_else_now_is_noticed() -> None:
    (record,) = decided([rules(0, 0.0, LARGE)], [payment(9, amount=500.0)])
    other = {"large@1": RuleSet("large@1", json.dumps(FRIENDS))}
    assert explained(record, event(payment(9, amount=500.0)), other).exact is False


def test_what_the_breaker_held_is_explained() -> None:
    payments = [payment(n, amount=500.0) for n in range(3, 13)]
    breaker = {"share": 0.5, "window": 600, "minimum": 5}
    records = decided([rules(0, 0.0, LARGE)], payments, breaker=breaker)
    assert records[-1].decision == "review"
    assert all(explained(one, event(p), SETS).exact for one, p in zip(records, payments, strict=True))


def test_without_a_trace_nothing_is_decided_again_and_a_damaged_one_is_refused() -> None:
    (record,) = decided([], [payment(1)], traces="none")
    assert explained(record, None, {}).exact is None
    for data in ("?", "AAAA"):
        damaged = msgspec.structs.replace(record, trace=PackedTrace("0.1", data))
        with pytest.raises(SnapshotError, match="damaged"):
            explained(damaged, None, {})
