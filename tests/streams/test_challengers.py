"""Challengers as a payments team sees them: no decision changes until one is promoted, and a crash loses nothing."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.backtest_transactions import backtest_transactions
from streams.processor import Output, Record
from streams.transaction_settings import TransactionSettings
from streams.transactions import TransactionProcessor
from tests.crashes import store, with_a_torn_checkpoint
from tests.streams.test_transactions import DAY, batches, label, of, payment, play, uninterrupted, values

SHADOW: dict[str, Any] = {"challengers": {"slow": {"model": {"learning_rate": 0.02}}}, "shadow_scores": True}
POOR = {"learning_rate": 0.01, "without": ["amount", "amount_surprise", "habit_surprise"]}
BLIND: dict[str, Any] = {
    "model": POOR,
    "challengers": {"quick": {"model": {}}, "same": {"model": POOR}},
    "promotion": {"automatic": True, "confidence": 0.5, "minimum_labels": 100, "minimum_frauds": 5},
    "decision": {"decline_after_frauds": 5},
}


def made(said: dict[str, Any], states: dict[str, bytes] | None = None, partition: int = 0) -> TransactionProcessor:
    return TransactionProcessor(TransactionSettings.model_validate(said), partition, states)


def told(outputs: Sequence[Output]) -> list[dict[str, Any]]:
    return values(outputs, "models")


def roles(outputs: Sequence[Output]) -> list[tuple[str, str]]:
    return [(one["model"], one["role"]) for one in told(outputs)]


def said(offset: int, time: float, order: str, **fields: Any) -> Record:
    event = {"order": order, "by": "ann", "timestamp": time, **fields}
    return Record("promotions", 0, offset, time, None, json.dumps(event).encode())


def decided(processor: TransactionProcessor, offset: int, time: float) -> tuple[str, int]:
    (decision,) = values(processor.process([payment(offset, time)]).outputs, "decisions")
    return decision["model"], decision["model_version"]


@cache
def automatic() -> tuple[Output, ...]:
    """A month in which a challenger is promoted."""
    return tuple(play(made(BLIND)))


def test_without_challengers_decisions_say_nothing_of_models() -> None:
    assert not told(uninterrupted())
    assert all("model" not in decision for decision in values(uninterrupted(), "decisions"))


def test_challengers_in_shadow_change_no_decision_and_no_alert() -> None:
    outputs = play(made(SHADOW))
    plain = [
        {name: value for name, value in decision.items() if name not in ("model", "model_version", "shadow_scores")}
        for decision in values(outputs, "decisions")
    ]
    assert plain == values(uninterrupted(), "decisions")
    assert values(outputs, "alerts") == values(uninterrupted(), "alerts")


def test_decisions_tell_which_model_decided_and_what_the_others_say() -> None:
    decisions = values(play(made(SHADOW)), "decisions")
    assert {(one["model"], one["model_version"]) for one in decisions} == {("default", 1)}
    assert decisions[0]["shadow_scores"] == {}  # it has learned nothing yet
    last = decisions[-1]
    assert 0.0 < last["shadow_scores"]["slow"] < 1.0
    assert last["shadow_scores"]["slow"] != last["fraud_score"]


def test_models_are_told_with_role_measures_and_comparison() -> None:
    outputs = play(made(SHADOW))
    assert roles(outputs)[:2] == [("default", "champion"), ("slow", "challenger")]
    (last,) = [one for one in told(outputs) if one["model"] == "slow"][-1:]
    assert last["measures"]["labels"] >= 0
    assert last["comparison"]["champion"] == "default"


def test_a_better_challenger_is_promoted_and_decides_from_then_on() -> None:
    crowned = [one for one in told(automatic()) if one["role"] == "champion" and one["by"] == "automatic"]
    assert crowned[0]["model"] == "quick"
    assert crowned[0]["version"] == 2
    assert "below that of default" in crowned[0]["reason"]
    assert crowned[0]["comparison"]["verdict"] == "better"
    decided_by = [(one["model"], one["model_version"]) for one in values(automatic(), "decisions")]
    assert decided_by == sorted(decided_by, key=lambda pair: pair[1])
    assert {("default", 1), ("quick", 2)} <= set(decided_by)


def test_a_backtest_tells_of_models_what_the_live_run_tells(tmp_path: Path) -> None:
    truth = {value["id"]: value["label"] for value in (json.loads(record.value or b"") for record in of("labels"))}
    rows = [json.loads(record.value or b"") for record in of("transactions")]
    source, target, models = (tmp_path / name for name in ("in.csv", "out.csv", "models.jsonl"))
    lines = [
        f"{row['transaction_id']},{row['timestamp']},{row['account']},{row['counterparty']},{row['amount']},"
        f"{int(truth[row['transaction_id']])}"
        for row in rows
        if row["transaction_id"] in truth
    ]
    source.write_text("\n".join(["transaction_id,timestamp,account,counterparty,amount,label", *lines]))
    backtest = TransactionSettings.model_validate(BLIND)
    backtest_transactions(source, target, backtest, label_delay=5 * DAY, partitions=1, models=models)
    found = [json.loads(line) for line in models.read_text().splitlines()]
    assert found == told(automatic())


def test_without_leave_nothing_is_promoted_but_it_is_told_that_one_is_better() -> None:
    outputs = play(made(BLIND | {"promotion": BLIND["promotion"] | {"automatic": False}}))
    assert {one["model"] for one in values(outputs, "decisions")} == {"default"}
    assert "better" in {one["comparison"]["verdict"] for one in told(outputs) if one["model"] == "quick"}


@pytest.mark.parametrize("size", [1, 17])
def test_batch_boundaries_change_nothing(size: int) -> None:
    assert play(made(BLIND), size) == list(automatic())


@given(crash_at=st.integers(1, 14), cut=st.floats(0, 1), checkpoint_every=st.integers(1, 4))
@settings(max_examples=8, deadline=None)
def test_a_checkpoint_torn_at_any_place_loses_and_repeats_nothing(
    crash_at: int, cut: float, checkpoint_every: int
) -> None:
    kept = with_a_torn_checkpoint(lambda s: made(BLIND, s), list(batches(100)), crash_at, cut, checkpoint_every)
    assert kept == list(automatic())


def test_a_promotion_by_hand_counts_for_what_is_produced_two_seconds_later() -> None:
    processor = made(SHADOW)
    processor.absorb([said(0, 1e9, "promote", model="slow", reason="calmer")])
    assert decided(processor, 0, 1e9 + 2.0) == ("default", 1)
    result = processor.process([payment(1, 1e9 + 2.1)])
    assert values(result.outputs, "decisions")[0]["model"] == "slow"
    assert [(one["model"], one["role"], one["by"], one["reason"]) for one in told(result.outputs)] == [
        ("default", "challenger", "ann", "calmer"),
        ("slow", "champion", "ann", "calmer"),
    ]


def test_a_promotion_that_waits_is_not_lost_by_a_restart() -> None:
    states: dict[str, bytes] = {}
    processor = made(SHADOW, states)
    processor.process([payment(0)])
    processor.absorb([said(0, 1e9, "promote", model="slow")])
    store(states, processor.changes())
    again = made(SHADOW, states)
    assert again.absorbed() == {("promotions", 0): 0}
    assert decided(again, 1, 1e9 + 3) == ("slow", 2)


def test_a_rollback_goes_back_to_the_champion_before_and_there_it_ends() -> None:
    processor = made(SHADOW)
    processor.absorb(
        [said(0, 1e9, "promote", model="slow"), said(1, 1e9 + 10, "rollback"), said(2, 1e9 + 20, "rollback")]
    )
    found = [decided(processor, i, 1e9 + 5 + 10 * i) for i in range(3)]
    assert found == [("slow", 2), ("default", 3), ("default", 3)]


@pytest.mark.parametrize(
    ("order", "detail"),
    [
        ({"order": "promote", "model": "slwo"}, "there is no model 'slwo' (there are: default, slow)"),
        ({"order": "promote"}, "model: the field is missing"),
        ({"order": "rollback", "model": "slow"}, "leave the field out"),
    ],
)
def test_a_promotion_that_cannot_be_is_a_dead_letter_of_one_partition(order: dict[str, str], detail: str) -> None:
    record = said(0, 1e9, **order)
    letters = [values(made(SHADOW, partition=p).absorb([record]).outputs, "dead-letters") for p in range(3)]
    assert [len(found) for found in letters] == [1, 0, 0]
    assert detail in letters[0][0]["detail"]


def test_a_champion_that_is_taken_out_of_the_configuration_leaves_its_place_to_the_default() -> None:
    states: dict[str, bytes] = {}
    processor = made(SHADOW, states)
    processor.absorb([said(0, 1e9, "promote", model="slow")])
    assert decided(processor, 0, 1e9 + 3) == ("slow", 2)
    store(states, processor.changes())
    other = made({"challengers": {"new": {"model": {"learning_rate": 0.1}}}}, states)
    result = other.process([payment(1, 1e9 + 4)])
    assert values(result.outputs, "decisions")[0]["model"] == "default"
    assert roles(result.outputs) == [("slow", "removed"), ("default", "champion"), ("new", "challenger")]
    none = made({}, states).process([payment(1, 1e9 + 4)])
    assert "model" not in values(none.outputs, "decisions")[0]


def test_a_challenger_with_other_settings_begins_anew() -> None:
    states: dict[str, bytes] = {}
    processor = made(SHADOW, states)
    processor.process([payment(0)])
    processor.absorb([label(0, "t0", True, 1e9 + DAY)])
    processor.process([payment(1, 1e9 + 2 * DAY)])
    store(states, processor.changes())
    other = made({"challengers": {"slow": {"model": {"learning_rate": 0.05}}}}, states)
    result = other.process([payment(2, 1e9 + 2 * DAY + 1)])
    assert [(one["model"], one["labels_learned"]) for one in told(result.outputs)] == [("slow", 0)]


def test_states_from_before_there_were_challengers_are_taken_up() -> None:
    states: dict[str, bytes] = {}
    processor = made({}, states)
    processor.process([payment(0)])
    store(states, processor.changes())
    assert decided(made(SHADOW, states), 1, 1e9 + 1) == ("default", 1)


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"challengers": {"default": {}}}, "give the challenger another name"),
        ({"challengers": {"a": {"model": {"without": ["amont"]}}}}, "did you mean 'amount'?"),
        ({"promotion": {"margin": 1.5}}, "less than 1"),
    ],
)
def test_settings_that_cannot_be_say_why(wrong: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why.replace("?", r"\?")):
        made(wrong)
