"""Transactions as a user of the topics sees them: one decision each, whatever happens in between."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any

import pytest
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st

from streams.processor import Output, Record
from streams.transaction_settings import TransactionSettings
from streams.transactions import TransactionProcessor
from tests.crashes import in_batches, store, with_a_torn_checkpoint
from tocsin.demo.cards import CardSimulator

DAY = 86_400.0
SETTINGS = TransactionSettings()


@cache
def stream() -> tuple[Record, ...]:
    """Four weeks of a small town, with much fraud: transactions, and their labels five days later."""
    simulator = CardSimulator(seed=5, days=28, customers=25, terminals=40, fraud_rate=40.0, label_delay=5.0)
    records, offsets = [], {"transactions": 0, "labels": 0}
    for topic, key, time, value in simulator.messages():
        records.append(Record(topic, 0, offsets[topic], time, key.encode(), json.dumps(value).encode()))
        offsets[topic] += 1
    return tuple(records)


def of(topic: str) -> list[Record]:
    return [record for record in stream() if record.topic == topic]


def batches(size: int) -> Iterator[tuple[list[Record], list[Record]]]:
    """Transactions in batches, each with all labels produced by then."""
    return in_batches(of("transactions"), of("labels"), size)


def play(processor: TransactionProcessor, size: int = 500) -> list[Output]:
    outputs = []
    for batch, labels in batches(size):
        outputs += processor.absorb(labels).outputs
        outputs += processor.process(batch).outputs
    return outputs


def new(states: dict[str, bytes]) -> TransactionProcessor:
    return TransactionProcessor(SETTINGS, 0, states)


@cache
def uninterrupted() -> tuple[Output, ...]:
    return tuple(play(TransactionProcessor(SETTINGS, 0)))


def values(outputs: Iterable[Output], topic: str) -> list[dict[str, Any]]:
    return [json.loads(output.value) for output in outputs if output.topic == topic]


def payment(offset: int = 0, time: float = 1e9, **fields: Any) -> Record:
    event = {
        "transaction_id": f"t{offset}",
        "timestamp": time,
        "account": "ann",
        "counterparty": "shop",
        "amount": 20.0,
        **fields,
    }
    return Record("transactions", 0, offset, time, event["account"].encode(), json.dumps(event).encode())


def label(offset: int, id: str, fraud: bool, time: float) -> Record:  # noqa: A002
    value = json.dumps({"id": id, "label": fraud, "timestamp": time})
    return Record("labels", 0, offset, time - 1.0, id.encode(), value.encode())


def test_each_transaction_gets_one_decision_in_order() -> None:
    decisions = values(uninterrupted(), "decisions")
    assert [d["transaction_id"] for d in decisions] == [
        json.loads(r.value)["transaction_id"] for r in of("transactions")
    ]
    assert all(0.0 < d["fraud_score"] < 1.0 for d in decisions)


@pytest.mark.parametrize("size", [1, 17, 100_000])
def test_batch_boundaries_change_nothing(size: int) -> None:
    assert play(TransactionProcessor(SETTINGS, 0), size) == list(uninterrupted())


def test_reading_labels_early_changes_nothing() -> None:
    processor = TransactionProcessor(SETTINGS, 0)
    processor.absorb(of("labels"))
    assert processor.process(of("transactions")).outputs == list(uninterrupted())


def test_labels_of_one_time_are_learned_in_one_order_however_they_arrive() -> None:
    first, second = TransactionProcessor(SETTINGS, 0), TransactionProcessor(SETTINGS, 0)
    payments = [payment(i, 1e9 + i, counterparty=f"shop-{i % 3}", amount=10.0 + 5 * i) for i in range(12)]
    labels = [label(i, f"t{i}", i % 2 == 0, 1e9 + 100) for i in range(12)]
    shuffled = [label(i, f"t{11 - i}", i % 2 == 1, 1e9 + 100) for i in range(12)]
    after = payment(12, 1e9 + 200)
    assert scores(first, payments, labels, after) == scores(second, payments, shuffled, after)


@pytest.mark.parametrize("crash_after", [3, 9, 14])
def test_a_restart_goes_on_as_if_nothing_had_happened(crash_after: int) -> None:
    states: dict[str, bytes] = {}
    outputs: list[Output] = []
    processor = TransactionProcessor(SETTINGS, 0, states)
    for number, (batch, labels) in enumerate(batches(100)):
        if number == crash_after:
            processor = TransactionProcessor(SETTINGS, 0, states)
        outputs += processor.absorb(labels).outputs + processor.process(batch).outputs
        store(states, processor.changes())
    assert outputs == list(uninterrupted())


@given(crash_at=st.integers(1, 14), cut=st.floats(0, 1), checkpoint_every=st.integers(1, 4))
@settings(max_examples=12, deadline=None)
def test_a_checkpoint_torn_at_any_place_loses_and_repeats_nothing(
    crash_at: int, cut: float, checkpoint_every: int
) -> None:
    kept = with_a_torn_checkpoint(new, list(batches(100)), crash_at, cut, checkpoint_every)
    assert kept == list(uninterrupted())


@example(lives=[(2, True, 1.0), (6, False, 0.9), (1, True, 1.0)])
@example(lives=[(2, False, 0.9), (1, False, 0.2), (1, True, 1.0)])
@given(lives=st.lists(st.tuples(st.integers(1, 5), st.booleans(), st.floats(0, 1)), min_size=2, max_size=4))
@settings(max_examples=6, deadline=None, phases=[Phase.explicit, Phase.generate])
def test_one_crash_after_another_loses_and_repeats_nothing(lives: list[tuple[int, bool, float]]) -> None:
    """Each life goes on from the last complete checkpoint, and may reach less far than the one before."""
    states: dict[str, bytes] = {}
    work = list(batches(100))
    outputs: list[list[Output]] = [[] for _ in work]
    saved = 0
    for reach, completes, cut in [*lives, (len(work), True, 1.0)]:
        processor = TransactionProcessor(SETTINGS, 0, states)
        end = min(saved + reach, len(work))
        for number in range(saved, end):
            batch, labels = work[number]
            outputs[number] = processor.absorb(labels).outputs + processor.process(batch).outputs
        changes = list(processor.changes())
        store(states, changes if completes else changes[: int(cut * (len(changes) - 1))])
        saved = end if completes else saved
    assert [output for found in outputs for output in found] == list(uninterrupted())


def test_records_that_come_again_are_ignored() -> None:
    processor = TransactionProcessor(SETTINGS, 0)
    first = [payment(i, 1e9 + i) for i in range(3)]
    processor.process(first)
    result = processor.process([*first, payment(3, 1e9 + 3)])
    assert [d["transaction_id"] for d in values(result.outputs, "decisions")] == ["t3"]
    assert result.outcomes["replayed"] == 3


def test_labels_taken_in_before_a_restart_are_not_asked_for_again() -> None:
    states: dict[str, bytes] = {}
    processor = TransactionProcessor(SETTINGS, 0, states)
    processor.process([payment(0)])
    processor.absorb([label(0, "t0", True, 1e9 + DAY), label(1, "other", True, 1e9 + DAY)])
    store(states, processor.changes())
    again = TransactionProcessor(SETTINGS, 0, states)
    assert again.absorbed() == {("labels", 0): 1}
    result = again.process([payment(1, 1e9 + 2 * DAY)])
    assert result.outcomes["label_learned"] == 1


def test_a_label_is_learned_once_and_may_be_corrected() -> None:
    processor = TransactionProcessor(SETTINGS, 0)
    processor.process([payment(0)])
    processor.absorb([label(0, "t0", True, 1e9 + 10), label(1, "t0", True, 1e9 + 11)])
    once = processor.process([payment(1, 1e9 + 100)])
    assert (once.outcomes["label_learned"], once.outcomes["label_repeated"]) == (1, 1)
    assert values(once.outputs, "decisions")[0]["frauds_learned"] == 1
    processor.absorb([label(2, "t0", False, 1e9 + 150)])
    corrected = processor.process([payment(2, 1e9 + 200)])
    assert corrected.outcomes["label_corrected"] == 1
    suspected, cleared = (values(r.outputs, "decisions")[0]["fraud_score"] for r in (once, corrected))
    assert cleared < suspected


def test_a_label_counts_from_its_own_time_on() -> None:
    processor = TransactionProcessor(SETTINGS, 0)
    processor.absorb([label(0, "t0", True, 1e9 + 100)])
    early = processor.process([payment(0), payment(1, 1e9 + 99)])
    late = processor.process([payment(2, 1e9 + 100)])
    assert early.outcomes["label_learned"] == 0
    assert late.outcomes["label_learned"] == 1


def test_a_label_that_never_comes_is_given_up() -> None:
    processor = TransactionProcessor(SETTINGS, 0)
    processor.process([payment(0)])
    result = processor.process([payment(1, 1e9 + 31 * DAY)])
    assert result.outcomes["label_missed"] == 1


def test_what_was_given_up_before_a_restart_takes_no_label_after_it() -> None:
    states: dict[str, bytes] = {}
    processor = TransactionProcessor(SETTINGS, 0, states)
    processor.process([payment(0)])
    store(states, processor.changes())
    assert processor.process([payment(1, 1e9 + 31 * DAY)]).outcomes["label_missed"] == 1
    store(states, processor.changes())
    again = TransactionProcessor(SETTINGS, 0, states)
    for shard in (processor, again):
        shard.absorb([label(0, "t0", True, 1e9 + 32 * DAY)])
        assert shard.process([payment(2, 1e9 + 33 * DAY)]).outcomes["label_learned"] == 0
    store(states, again.changes())
    again.process([payment(3, 1e9 + 34 * DAY)])
    store(states, again.changes())
    assert "awaiting/t0" not in states


def test_a_transaction_sent_twice_is_decided_once() -> None:
    processor = TransactionProcessor(SETTINGS, 0)
    result = processor.process([payment(0), payment(1, 1e9 + 1, transaction_id="t0")])
    assert result.outcomes["duplicate"] == 1
    assert len(values(result.outputs, "decisions")) == 1


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (Record("transactions", 0, 0, 1e9, None, b"not json"), "not_json"),
        (payment(0, amount="12"), "wrong_type"),
        (payment(0, amount=-1.0), "out_of_range"),
        (payment(0, timestamp=1e9 + 5_000.0), "too_far_ahead"),
    ],
)
def test_what_cannot_be_decided_goes_to_the_dead_letters(record: Record, reason: str) -> None:
    result = TransactionProcessor(SETTINGS, 0).process([record, payment(1)])
    assert [letter["reason"] for letter in values(result.outputs, "dead-letters")] == [reason]
    assert len(values(result.outputs, "decisions")) == 1


def test_a_transaction_far_older_than_the_newest_of_its_account_is_too_old() -> None:
    processor = TransactionProcessor(SETTINGS, 0)
    result = processor.process([payment(0), payment(1, 1e9 - 2 * DAY)])
    assert [letter["reason"] for letter in values(result.outputs, "dead-letters")] == ["too_old"]


def test_a_broken_label_is_reported_by_one_partition_only() -> None:
    broken = Record("labels", 2, 0, 1e9, b"t0", b'{"id": "t0", "label": "perhaps", "timestamp": 1}')
    letters = [len(TransactionProcessor(SETTINGS, p).absorb([broken]).outputs) for p in range(4)]
    assert letters == [0, 0, 1, 0]


def test_fraud_is_found_once_labels_have_come() -> None:
    truth = {json.loads(r.value)["id"]: json.loads(r.value)["label"] for r in of("labels")}
    decisions = values(uninterrupted(), "decisions")
    late = decisions[len(decisions) // 2 :]
    frauds = sum(truth[d["transaction_id"]] for d in late)
    declined = [truth[d["transaction_id"]] for d in late if d["decision"] == "decline"]
    stopped = [truth[d["transaction_id"]] for d in late if d["decision"] != "approve"]
    assert sum(declined) / len(declined) > 0.7  # what is doubtful goes to a person, as a review
    assert sum(stopped) / frauds > 0.7


def test_a_suspicious_payment_raises_an_alert_that_says_why_and_ends_when_calm() -> None:
    alerts = values(uninterrupted(), "alerts")
    firing = [a for a in alerts if a["state"] == "firing"]
    resolved = [a for a in alerts if a["state"] == "resolved"]
    assert {a["kind"] for a in alerts} == {"fraud"}
    assert all("fraud score" in a["summary"] for a in alerts)
    assert any("usually pays" in a["summary"] for a in firing)
    assert resolved
    assert {a["alert_id"] for a in resolved} <= {a["alert_id"] for a in firing}
    assert all(sum(v["contribution"] for v in a["values"].values()) <= 1.0001 for a in alerts)


def test_a_limit_on_the_amount_asks_for_review_and_says_so() -> None:
    strict = TransactionSettings.model_validate({"decision": {"review_above": 100.0}})
    result = TransactionProcessor(strict, 0).process([payment(0, amount=150.0)])
    decision = values(result.outputs, "decisions")[0]
    assert decision["decision"] == "review"
    assert "above the limit of 100.00" in decision["reasons"][0]
    assert [a["state"] for a in values(result.outputs, "alerts")] == ["firing"]


def test_only_what_changed_is_handed_out_to_be_stored() -> None:
    processor = TransactionProcessor(SETTINGS, 0)
    processor.process([payment(0), payment(1, account="bob")])
    first = dict(processor.changes())
    frame = {"shard/begun", "shard"}
    states = {"account/ann", "account/bob", "counterparty/shop", "awaiting/t0", "awaiting/t1"}
    assert set(first) == states | frame
    assert list(processor.changes()) == []
    processor.process([payment(2, 1e9 + 1)])
    assert set(dict(processor.changes())) == {"account/ann", "counterparty/shop", "awaiting/t2"} | frame


def test_what_a_torn_checkpoint_left_is_passed_over_also_when_a_later_one_is_complete() -> None:
    states: dict[str, bytes] = {}
    processor = TransactionProcessor(SETTINGS, 0, states)
    processor.process([payment(0), payment(1, account="bob")])
    store(states, processor.changes())
    processor.process([payment(2, 1e9 + 1), payment(3, 1e9 + 1, account="bob")])
    store(states, list(processor.changes())[:-1])
    again = TransactionProcessor(SETTINGS, 0, states)
    again.process([payment(2, 1e9 + 1)])
    store(states, again.changes())
    last = [payment(i, 1e9 + i, account="bob") for i in range(3, 6)]
    plain = TransactionProcessor(SETTINGS, 0)
    plain.process([payment(0), payment(1, account="bob"), payment(2, 1e9 + 1)])
    assert TransactionProcessor(SETTINGS, 0, states).process(last).outputs == plain.process(last).outputs


@pytest.mark.parametrize("room", [0, 20_000])
def test_accounts_that_leave_memory_come_back_as_they_were(room: int) -> None:
    states: dict[str, bytes] = {}
    processor = TransactionProcessor(SETTINGS, 0, states)
    outputs, gone = [], 0
    for batch, labels in batches(50):
        outputs += processor.absorb(labels).outputs + processor.process(batch).outputs
        store(states, list(processor.changes()))
        gone += processor.put_away(room)
        assert processor.kept_bytes() <= room
    assert outputs == list(uninterrupted())
    assert gone > 1000


def test_state_of_transactions_that_are_over_is_deleted() -> None:
    processor = TransactionProcessor(SETTINGS, 0)
    states: dict[str, bytes] = {}
    for i in range(4):
        processor.process([payment(i, 1e9 + i * 31 * DAY)])
        store(states, processor.changes())
    assert "awaiting/t0" not in states
    assert "awaiting/t3" in states


def test_huge_amounts_are_decided_like_any_other() -> None:
    processor = TransactionProcessor(SETTINGS, 0)
    records = [payment(i, 1e9 + i, amount=amount) for i, amount in enumerate([1e300, 0.0, 1e-300, 1.7e308, 5.0])]
    assert len(values(processor.process(records).outputs, "decisions")) == 5


def scores(processor: TransactionProcessor, payments: list[Record], labels: list[Record], after: Record) -> list[float]:
    outputs = processor.process(payments).outputs
    processor.absorb(labels)
    outputs += processor.process([after]).outputs
    return [d["fraud_score"] for d in values(outputs, "decisions")]
