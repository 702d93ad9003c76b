"""Labels of payments that other partitions decide: each counts for its counterparty everywhere, once."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.processor import Record
from streams.transaction_settings import TransactionSettings
from streams.transactions import TransactionProcessor
from tests.crashes import assert_as_undisturbed, by_offset, over_several_lives, store, with_a_torn_checkpoint
from tests.streams.town import SETTINGS, batches, decisions, heard_by, payments, play, uninterrupted

DAY = 86_400.0
START = 1e9


def payment(partition: int, offset: int, day: float, **fields: Any) -> Record:
    account, time = f"account-{partition}", START + day * DAY
    event = {
        "transaction_id": f"t{partition}-{offset}",
        "timestamp": time,
        "account": account,
        "counterparty": "shop",
        "amount": 20.0,
        **fields,
    }
    return Record("transactions", partition, offset, time, account.encode(), json.dumps(event).encode())


def label(offset: int, name: str, fraud: bool, day: float, produced_at: float | None = None) -> Record:
    value = json.dumps({"id": name, "label": fraud, "timestamp": START + day * DAY})
    produced = START + (day if produced_at is None else produced_at) * DAY
    return Record("labels", 0, offset, produced, name.encode(), value.encode())


def score(heard: list[Record], day: float = 10.0, wait_limit: int = 1000) -> float:
    """Return the fraud score of a payment at the shop, after a shard has heard this."""
    settings = TransactionSettings.model_validate({"labels": {"wait_limit": wait_limit}})
    processor = TransactionProcessor(settings, 0)
    processor.process([payment(0, 0, 0.0, counterparty="kiosk")])
    processor.absorb(heard)
    found: float = decisions(processor.process([payment(0, 1, day)]).outputs)[0]["fraud_score"]
    return found


def new(states: dict[str, bytes]) -> TransactionProcessor:
    return TransactionProcessor(SETTINGS, 1, states)


ELSEWHERE = [payment(1, i, 1.0 + i / 10) for i in range(5)]
FRAUDS = [label(i, f"t1-{i}", fraud=True, day=8.0) for i in range(5)]


def test_frauds_that_other_partitions_saw_at_a_counterparty_make_it_suspicious_here() -> None:
    assert score([*ELSEWHERE, *FRAUDS]) > 3 * score(ELSEWHERE)


def test_a_label_counts_from_its_time_on() -> None:
    assert score([*ELSEWHERE, *FRAUDS], day=7.9) == score(ELSEWHERE, day=7.9)


def test_a_label_that_is_said_again_counts_once() -> None:
    again = [label(5 + i, f"t1-{i}", fraud=True, day=9.0) for i in range(5)]
    assert score([*ELSEWHERE, *FRAUDS, *again]) == score([*ELSEWHERE, *FRAUDS])


def test_a_label_that_is_corrected_no_longer_speaks_against_the_counterparty() -> None:
    genuine = [label(5 + i, f"t1-{i}", fraud=False, day=9.0) for i in range(5)]
    assert score([*ELSEWHERE, *FRAUDS, *genuine]) < score([*ELSEWHERE, *FRAUDS[:1]])


@pytest.mark.parametrize(
    "broken",
    [
        {"key": b"someone else"},
        {"value": b"not json"},
        {"value": None},
    ],
)
def test_what_another_partition_refuses_does_not_count_here(broken: dict[str, Any]) -> None:
    from msgspec.structs import replace

    assert score([*(replace(record, **broken) for record in ELSEWHERE), *FRAUDS]) == score([])


def test_beyond_the_limit_the_oldest_payments_elsewhere_are_given_up() -> None:
    assert score([*ELSEWHERE, *FRAUDS], wait_limit=10) > score([*ELSEWHERE, *FRAUDS[:1]], wait_limit=10)
    processor = TransactionProcessor(TransactionSettings.model_validate({"labels": {"wait_limit": 2}}), 0)
    processor.absorb(ELSEWHERE)
    processor.process([payment(0, 0, 5.0)])
    assert len(processor._shard.elsewhere) == 2


@pytest.mark.parametrize("partition", [0, 2])
def test_reading_everything_early_changes_nothing(partition: int) -> None:
    processor = TransactionProcessor(SETTINGS, partition)
    processor.absorb(heard_by(partition))
    assert processor.process(payments(partition)).outputs == list(uninterrupted(partition))


@pytest.mark.parametrize("size", [7, 10_000])
def test_batch_boundaries_change_nothing(size: int) -> None:
    assert play(TransactionProcessor(SETTINGS, 1), 1, size) == list(uninterrupted(1))


@given(crash_at=st.integers(1, 8), cut=st.floats(0, 1), checkpoint_every=st.integers(1, 3), early=st.booleans())
@settings(max_examples=12, deadline=None)
def test_a_checkpoint_torn_at_any_place_loses_and_repeats_nothing(
    crash_at: int, cut: float, checkpoint_every: int, early: bool
) -> None:
    work = list(batches(1, 30))
    if early:
        work[0] = work[0][0], heard_by(1)
    kept = with_a_torn_checkpoint(new, work, crash_at, cut, checkpoint_every)
    assert kept == list(uninterrupted(1))


def test_a_label_that_came_before_its_payment_does_not_come_again_after_a_crash() -> None:
    states: dict[str, bytes] = {}
    processor = new(states)
    processor.absorb([label(0, "t0-3", fraud=True, day=1.5)])
    processor.process([payment(1, 0, 1.0)])
    store(states, processor.changes())
    processor.process([payment(1, 1, 2.0)])
    store(states, processor.changes())
    again = new(states)
    for shard in (processor, again):
        shard.absorb([payment(0, 3, 2.5)])
    assert again.process([payment(1, 2, 3.0)]).outputs == processor.process([payment(1, 2, 3.0)]).outputs


PAID = st.lists(st.tuples(st.sampled_from((0, 1)), st.sampled_from(("shop", "kiosk"))), min_size=5, max_size=40)
SAID = st.lists(
    st.tuples(st.integers(0, 39), st.integers(-6, 6), st.booleans(), st.sampled_from((0.0, 0.0, 3.0))), max_size=20
)
"""Which payment, how many payments later the label is produced, what it says and how many days later it is due."""


@given(
    paid=PAID,
    said=SAID,
    sizes=st.lists(st.integers(1, 6), min_size=1, max_size=8),
    ahead=st.floats(0, 9),
    data=st.data(),
)
@settings(max_examples=100, deadline=None)
def test_after_any_crashes_every_payment_is_decided_as_it_was(
    paid: list[tuple[int, str]],
    said: list[tuple[int, int, bool, float]],
    sizes: list[int],
    ahead: float,
    data: st.DataObject,
) -> None:
    """Labels may come before their payment, be corrected, or come when nobody waits for them any more."""
    payments = [payment(at, i, i / 2, transaction_id=f"t{i}", counterparty=shop) for i, (at, shop) in enumerate(paid)]
    labels = [
        label(offset, f"t{i}", fraud, (i + later) / 2 + 0.1 + after, produced_at=(i + later) / 2 + 0.1)
        for offset, (i, later, fraud, after) in enumerate(sorted(said, key=lambda one: one[0] + one[1]))
    ]
    own = [record for record in payments if record.partition == 0]
    heard = labels + [record for record in payments if record.partition == 1]
    settings = TransactionSettings.model_validate({"labels": {"wait_seconds": 5 * DAY}})
    undisturbed = TransactionProcessor(settings, 0)
    undisturbed.absorb(heard)
    expected = by_offset(undisturbed.process(own).outputs)

    def known_at(time: float) -> list[Record]:
        return [record for record in heard if record.timestamp < time + ahead * DAY]

    found = over_several_lives(lambda states: TransactionProcessor(settings, 0, states), own, known_at, sizes, data)
    assert_as_undisturbed(found, expected)


def test_what_is_stored_of_payments_that_are_over_is_deleted() -> None:
    states: dict[str, bytes] = {}
    processor = TransactionProcessor(SETTINGS, 0, states)
    for month in range(4):
        day = 31.0 * month
        processor.absorb([payment(1, month, day), label(month, f"t1-{month}", fraud=True, day=day + 1)])
        processor.process([payment(0, 2 * month, day + 2), payment(0, 2 * month + 1, day + 3)])
        store(states, processor.changes())
    kept = [key for key in states if key.startswith("elsewhere")]
    assert len(kept) <= 4
    assert {key.partition("/")[0] for key in kept} == {"elsewhere", "elsewhere-labels"}
