"""Declared features live: they count what other partitions decide, in one order, and outlive crashes and changes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any
from zlib import crc32

import msgspec
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.transactions.rules import table
from streams.backtest_transactions import backtest_transactions
from streams.decisions import DecisionRecord
from streams.explained_decision import explained
from streams.processor import Output, Record
from streams.schemas import TransactionEvent
from streams.tables import TableError
from streams.transaction_settings import TransactionSettings
from streams.transactions import TransactionProcessor
from tests.crashes import (
    assert_as_undisturbed,
    by_offset,
    in_batches,
    over_several_lives,
    store,
    with_a_torn_checkpoint,
)
from tests.streams.test_rules import rules
from tests.streams.town import PARTITIONS, heard_by, payments, town
from tests.streams.town import uninterrupted as undeclared

DAY = 86_400.0
START = 1e9
FEATURES: list[dict[str, Any]] = [
    {"key": "device", "of": "count", "window": "7d"},
    {"key": "device", "of": "distinct", "what": "account", "window": "7d"},
    {"key": "device", "of": "risk", "window": "30d"},
    {"key": "device", "of": "since_last"},
    {"key": ["account", "device"], "of": "first_seen"},
    {"key": ["account", "shift"], "of": "mean", "window": "30d", "ratio": True},
]


def declaring(*features: dict[str, Any], **more: Any) -> TransactionSettings:
    return TransactionSettings.model_validate({"features": features, **more})


SETTINGS = declaring(*FEATURES)


def payment(partition: int, offset: int, day: float, produced: float | None = None, **fields: Any) -> Record:
    account, time = f"account-{partition}", START + day * DAY
    event = {
        "transaction_id": f"t{partition}-{offset}",
        "timestamp": time,
        "account": account,
        "counterparty": f"shop-{partition}",
        "amount": 20.0,
        "device": "d",
        **fields,
    }
    at = time if produced is None else START + produced * DAY
    return Record("transactions", partition, offset, at, account.encode(), json.dumps(event).encode())


def label(offset: int, name: str, fraud: bool, day: float) -> Record:
    value = json.dumps({"id": name, "label": fraud, "timestamp": START + day * DAY})
    return Record("labels", 0, offset, START + day * DAY, name.encode(), value.encode())


def decided(outputs: Sequence[Output]) -> list[DecisionRecord]:
    return [DecisionRecord.decode(output.value) for output in outputs if output.topic == "decisions"]


def seen(outputs: Sequence[Output]) -> list[dict[str, float]]:
    """Return the features that each decision rests on."""
    return [explained(record, None, {}).features for record in decided(outputs)]


def after(
    heard: list[Record], day: float = 10.0, said: TransactionSettings = SETTINGS, **fields: Any
) -> dict[str, float]:
    """Return the features of a payment in partition 0, after that has heard of others."""
    processor = TransactionProcessor(said, 0)
    processor.absorb(heard)
    return seen(processor.process([payment(0, 0, day, **fields)]).outputs)[-1]


ELSEWHERE = [payment(1, 0, 4.0), payment(2, 0, 5.0), payment(1, 1, 6.0)]


def test_payments_of_other_partitions_count_for_a_device() -> None:
    found = after(ELSEWHERE)
    assert (found["device_count_7d"], found["device_distinct_account_7d"]) == (3.0, 2.0)
    assert found["device_since_last"] == 4 * DAY


def test_a_payment_elsewhere_counts_once_this_partition_is_two_seconds_later_than_it() -> None:
    second = 1 / DAY
    assert after([payment(1, 0, 4.0, produced=10.0 - 3 * second)])["device_count_7d"] == 1.0
    assert after([payment(1, 0, 4.0, produced=10.0 - 1 * second)])["device_count_7d"] == 0.0


def test_a_payment_that_is_a_moment_on_its_way_counts_as_if_it_had_been_there() -> None:
    second = 1 / DAY
    own = [payment(0, i, 10.0 + i * second) for i in range(5)]
    there, late = TransactionProcessor(SETTINGS, 0), TransactionProcessor(SETTINGS, 0)
    there.absorb([payment(1, 0, 10.0)])
    first = late.process(own[:2]).outputs  # the second of them was produced after it
    late.absorb([payment(1, 0, 10.0)])
    assert [*first, *late.process(own[2:]).outputs] == there.process(own).outputs


def test_a_payment_that_is_sent_again_counts_once() -> None:
    again = payment(1, 1, 4.5, transaction_id="t1-0")
    assert after([payment(1, 0, 4.0), again])["device_count_7d"] == 1.0
    processor = TransactionProcessor(SETTINGS, 0)
    own = [payment(0, 0, 1.0), payment(0, 1, 2.0, transaction_id="t0-0"), payment(0, 2, 3.0)]
    assert seen(processor.process(own).outputs)[-1]["device_count_7d"] == 1.0


def test_labels_of_payments_elsewhere_count_for_the_risk_of_a_device() -> None:
    frauds = [label(0, "t1-0", fraud=True, day=8.0), label(1, "t2-0", fraud=True, day=9.0)]
    assert after(ELSEWHERE)["device_risk_30d"] == 0.0
    assert after([*ELSEWHERE, *frauds])["device_risk_30d"] == pytest.approx(2 / 3)
    assert after([*ELSEWHERE, *frauds], day=8.5)["device_risk_30d"] == 0.5
    corrected = label(2, "t1-0", fraud=False, day=9.5)
    assert after([*ELSEWHERE, *frauds, corrected])["device_risk_30d"] == pytest.approx(1 / 3)


def test_a_payment_elsewhere_that_is_dated_far_ahead_counts_nowhere() -> None:
    assert after([*ELSEWHERE, payment(1, 2, 4000.0, produced=7.0)]) == after(ELSEWHERE)


def test_without_labels_across_partitions_each_counts_its_own() -> None:
    alone = declaring(*FEATURES, labels={"across_partitions": False})
    assert "transactions" not in TransactionProcessor(alone, 0).broadcasts
    assert after([], said=alone)["device_count_7d"] == 0.0


def test_a_transaction_without_the_attribute_is_neutral_and_teaches_nothing() -> None:
    found = after([*ELSEWHERE, payment(1, 2, 7.0, device=None)], device=None)
    assert (found["device_count_7d"], found["device_since_last"]) == (0.0, -1.0)
    assert found["account_device_first_seen"] == 0.0
    assert after([*ELSEWHERE, payment(1, 2, 7.0, device=None)])["device_count_7d"] == 3.0


def test_rules_see_declared_features() -> None:
    many = table([{"field": "features.device_distinct_account_7d"}], [[">= 2", "'block'", "'shared device'"]])
    processor = TransactionProcessor(SETTINGS, 0)
    processor.absorb([rules(0, 0.0, many, name="shared"), *ELSEWHERE])
    (found,) = decided(processor.process([payment(0, 0, 10.0)]).outputs)
    assert (found.decision, found.reasons) == ("decline", ("rule shared@1: shared device",))


def test_a_decision_is_made_again_from_its_trace_whatever_is_declared_by_then() -> None:
    (output,) = [one for one in uninterrupted(1) if one.topic == "decisions"][-1:]
    found = explained(DecisionRecord.decode(output.value), None, {})
    assert found.exact
    assert "device_count_7d" in found.features.keys() & found.contributions.keys()


@cache
def world() -> tuple[Record, ...]:
    """The town, where each payment comes from one of a few devices."""
    return tuple(with_device(record) for record in town())


def with_device(record: Record) -> Record:
    if record.topic == "labels":
        return record
    event = json.loads(record.value or b"")
    number = crc32(event["transaction_id"].encode())
    event |= {"device": number % 7, "shift": ("early", "late")[number % 2]}
    if number % 5 == 0:
        del event["device"]
    return msgspec.structs.replace(record, value=json.dumps(event).encode())


def own(partition: int) -> list[Record]:
    return [with_device(record) for record in payments(partition)]


def heard(partition: int) -> list[Record]:
    return [with_device(record) for record in heard_by(partition)]


def play(processor: TransactionProcessor, partition: int, size: int = 200) -> list[Output]:
    outputs = []
    for batch, news in in_batches(own(partition), heard(partition), size):
        outputs += processor.absorb(news).outputs + processor.process(batch).outputs
    return outputs


@cache
def uninterrupted(partition: int) -> tuple[Output, ...]:
    return tuple(play(TransactionProcessor(SETTINGS, partition), partition))


@pytest.mark.parametrize("partition", range(PARTITIONS))
def test_every_partition_counts_all_payments_of_a_device(partition: int) -> None:
    """Looked up in all that was produced before, at the resolution of days."""
    paid = [(record, json.loads(record.value or b"")) for record in world() if record.topic == "transactions"]
    found = seen(uninterrupted(partition))
    now = [(record, event) for record, event in paid if record.partition == partition]
    for (record, event), features in list(zip(now, found, strict=True))[::17]:
        if "device" not in event:
            assert features["device_count_7d"] == 0.0
            continue
        day = TransactionEvent.model_validate(event).time // DAY
        before = [
            one
            for other, one in paid
            if one.get("device") == event["device"]
            and day - 7 < TransactionEvent.model_validate(one).time // DAY <= day
            and (
                other.offset < record.offset if other.partition == partition else other.timestamp + 2 < record.timestamp
            )
        ]
        assert features["device_count_7d"] == len(before)
        assert features["device_distinct_account_7d"] == len({one["account"] for one in before})


def test_the_model_learns_declared_features() -> None:
    told = [set(record.contributions) for record in decided(uninterrupted(0))]
    assert any("device" in name for names in told for name in names)


@pytest.mark.parametrize("size", [7, 10_000])
def test_batch_boundaries_change_nothing(size: int) -> None:
    assert play(TransactionProcessor(SETTINGS, 1), 1, size) == list(uninterrupted(1))


def test_reading_everything_early_changes_nothing() -> None:
    processor = TransactionProcessor(SETTINGS, 1)
    processor.absorb(heard(1))
    assert processor.process(own(1)).outputs == list(uninterrupted(1))


@given(crash_at=st.integers(1, 8), cut=st.floats(0, 1), checkpoint_every=st.integers(1, 3), early=st.booleans())
@settings(max_examples=10, deadline=None)
def test_a_checkpoint_torn_at_any_place_loses_and_repeats_nothing(
    crash_at: int, cut: float, checkpoint_every: int, early: bool
) -> None:
    work: list[Any] = list(in_batches(own(1), heard(1), 30))
    if early:
        work[0] = work[0][0], heard(1)
    kept = with_a_torn_checkpoint(
        lambda states: TransactionProcessor(SETTINGS, 1, states), work, crash_at, cut, checkpoint_every
    )
    assert kept == list(uninterrupted(1))


PAID = st.lists(st.tuples(st.sampled_from((0, 1)), st.sampled_from(("d", "e", None))), min_size=5, max_size=30)
SAID = st.lists(st.tuples(st.integers(0, 29), st.integers(-6, 6), st.booleans()), max_size=15)
"""Which payment, how many payments later the label comes, and what it says."""


@given(
    paid=PAID,
    said=SAID,
    sizes=st.lists(st.integers(1, 6), min_size=1, max_size=8),
    ahead=st.floats(0, 9),
    data=st.data(),
)
@settings(max_examples=60, deadline=None)
def test_after_any_crashes_every_payment_is_decided_as_it_was(
    paid: list[tuple[int, str | None]],
    said: list[tuple[int, int, bool]],
    sizes: list[int],
    ahead: float,
    data: st.DataObject,
) -> None:
    """Entities are forgotten in between, and leave memory."""
    records = [payment(at, i, i / 2, transaction_id=f"t{i}", device=device) for i, (at, device) in enumerate(paid)]
    labels = [
        label(offset, f"t{i}", fraud, (i + later) / 2 + 0.1)
        for offset, (i, later, fraud) in enumerate(sorted(said, key=lambda one: one[0] + one[1]))
    ]
    news = labels + [record for record in records if record.partition == 1]
    mine = [record for record in records if record.partition == 0]
    short = declaring(*FEATURES, labels={"wait_seconds": 2 * DAY}, forget_after=3 * DAY)
    undisturbed = TransactionProcessor(short, 0)
    undisturbed.absorb(news)
    expected = by_offset(undisturbed.process(mine).outputs)

    def known_at(time: float) -> list[Record]:
        return [record for record in news if record.timestamp < time + ahead * DAY]

    def make(states: dict[str, bytes]) -> TransactionProcessor:
        processor = TransactionProcessor(short, 0, states)
        processor.tick(0.0)
        processor.put_away(0)
        return processor

    assert_as_undisturbed(over_several_lives(make, mine, known_at, sizes, data), expected)


def test_leaving_memory_after_each_checkpoint_changes_nothing() -> None:
    states: dict[str, bytes] = {}
    processor, outputs = TransactionProcessor(SETTINGS, 1, states), []
    for batch, news in in_batches(own(1), heard(1), 30):
        outputs += processor.absorb(news).outputs + processor.process(batch).outputs
        store(states, processor.changes())
        processor.put_away(0)
    assert outputs == list(uninterrupted(1))


def test_an_entity_that_is_silent_for_long_is_deleted_and_begins_anew() -> None:
    states: dict[str, bytes] = {}
    short = declaring(*FEATURES, labels={"wait_seconds": 2 * DAY}, forget_after=3 * DAY)
    processor = TransactionProcessor(short, 0, states)
    for offset, (day, device) in enumerate(((0.0, "d"), (5.0, "e"), (6.0, "e"), (7.0, "e"))):
        found = seen(processor.process([payment(0, offset, day, device=device)]).outputs)
        store(states, processor.changes())
        processor.tick(0.0)
    assert found[-1]["device_since_last"] == DAY
    kept = [key for key in states if key.startswith("entity/device/")]
    assert len(kept) == 1
    assert seen(processor.process([payment(0, 4, 8.0)]).outputs)[-1]["device_since_last"] == -1.0


Lives = tuple[TransactionProcessor, TransactionProcessor, dict[str, bytes]]


def restarted(before: TransactionSettings, now: TransactionSettings) -> Lives:
    """Return a processor that has learned some, one that goes on from it under other settings, and where it stores."""
    states: dict[str, bytes] = {}
    processor = TransactionProcessor(before, 0, states)
    frauds = [label(i, f"t0-{i}", fraud=True, day=20.0) for i in range(5)]
    processor.process([payment(0, i, i / 10) for i in range(10)])
    processor.absorb(frauds)
    processor.process([payment(0, 10, 21.0)])
    store(states, processor.changes())
    return processor, TransactionProcessor(now, 0, states), states


@pytest.mark.parametrize(
    ("before", "now"),
    [
        (SETTINGS, declaring()),
        (declaring(), SETTINGS),
        (SETTINGS, declaring(*reversed(FEATURES[2:]))),
        (declaring(*FEATURES[:2]), SETTINGS),
    ],
)
def test_what_was_learned_stays_when_features_come_and_go(
    before: TransactionSettings, now: TransactionSettings
) -> None:
    old, new, states = restarted(before, now)
    assert new._shard.classifier.learned == old._shard.classifier.learned
    for number, offset in ((5, 11), (6, 12)):  # those that waited are learned with what was known of them
        new.absorb([label(number, f"t0-{number}", fraud=True, day=offset + 11.0)])
        result = new.process([payment(0, offset, offset + 12.0)])
        assert result.outcomes["label_learned"] == 1
        assert set(seen(result.outputs)[-1]) >= set(now.declared.names)
        store(states, new.changes())
        new = TransactionProcessor(now, 0, states)


def test_a_feature_that_stays_goes_on_where_it_was() -> None:
    old, new, _ = restarted(SETTINGS, declaring(*reversed(FEATURES[2:])))
    last = payment(0, 11, 23.0)
    before, after_ = seen(old.process([last]).outputs)[-1], seen(new.process([last]).outputs)[-1]
    kept = TransactionSettings.model_validate({"features": FEATURES[2:]}).declared.names
    assert {name: after_[name] for name in kept} == {name: before[name] for name in kept}


def test_challengers_see_declared_features_and_go_on_when_one_more_is_declared() -> None:
    blind = {"blind": {"model": {"without": ["device_count_7d"]}}}
    old, new, _ = restarted(declaring(*FEATURES[:1], challengers=blind), declaring(*FEATURES[:2], challengers=blind))
    contests = [one._shard.contest for one in (old, new)]
    learned = [contest._models["blind"].classifier.learned for contest in contests if contest]
    assert learned == [[0, 5], [0, 5]]


def test_where_nothing_is_declared_nothing_is_stored_for_it() -> None:
    states: dict[str, bytes] = {}
    processor = TransactionProcessor(TransactionSettings(), 1, states)
    outputs = []
    for batch, news in in_batches(own(1), heard(1), 200):
        outputs += processor.absorb(news).outputs + processor.process(batch).outputs
        store(states, processor.changes())
    assert not [key for key in states if key.startswith(("entity", "layouts", "elsewhere-facts"))]
    told = [json.loads(output.value) for output in outputs if output.topic == "decisions"]
    assert told == [json.loads(output.value) for output in undeclared(1) if output.topic == "decisions"]


@pytest.mark.parametrize("ending", ["parquet", "csv"])
def test_a_backtest_decides_as_the_live_run(ending: str, tmp_path: Path) -> None:
    said = [(record.topic, json.loads(record.value or b"")) for record in world()]
    truth = {value["id"]: value["label"] for topic, value in said if topic == "labels"}
    paid = [value for topic, value in said if topic == "transactions"]
    names = ("transaction_id", "timestamp", "account", "counterparty", "amount", "device", "shift")
    rows = [{name: one.get(name) for name in names} | {"label": truth.get(one["transaction_id"])} for one in paid]
    source, target = tmp_path / f"payments.{ending}", tmp_path / "scored.parquet"
    written = pa.Table.from_pylist([row for row in rows if row["label"] is not None])
    (pa.parquet.write_table if ending == "parquet" else pa.csv.write_csv)(written, source)
    backtest_transactions(source, target, SETTINGS, label_delay=5 * DAY, partitions=PARTITIONS)
    found = pa.parquet.read_table(target).to_pylist()
    live = {one.transaction_id: one.fraud_score for p in range(PARTITIONS) for one in decided(uninterrupted(p))}
    assert {row["transaction_id"]: row["fraud_score"] for row in found} == {
        row["transaction_id"]: live[row["transaction_id"]] for row in found
    }


def test_a_backtest_without_a_column_that_features_go_by_is_refused(tmp_path: Path) -> None:
    source = tmp_path / "payments.csv"
    source.write_text("transaction_id,timestamp,account,counterparty,amount,shift\nt1,1,ann,shop,5,early\n")
    with pytest.raises(TableError, match="no column 'device'"):
        backtest_transactions(source, tmp_path / "scored.csv", SETTINGS)
