"""Fraud that the model did not foretell is noticed, told on topic `models`, and survives any crash."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.transactions.drift import DriftSettings
from streams.processor import Output, Record
from streams.transaction_settings import ChallengerSettings, TransactionSettings
from streams.transactions import TransactionProcessor
from tests.crashes import in_batches, with_a_torn_checkpoint

START = 1_767_225_600.0
SETTINGS = TransactionSettings(drift=DriftSettings(labels_between_false_alarms=1_000))
PAYMENTS, CHANGE = 900, 600


def records(topic: str) -> list[Record]:
    """Payments that look alike, one a minute, labelled an hour later. From one of them on, one in ten is fraud."""
    made = []
    for i in range(PAYMENTS):
        at = START + 60.0 * i
        if topic == "labels":
            value: dict[str, Any] = {"id": f"t{i}", "label": i >= CHANGE and i % 10 == 0, "timestamp": at + 3_600}
            made.append(Record(topic, 0, i, at + 3_600, f"t{i}".encode(), json.dumps(value).encode()))
        else:
            account = f"card-{i % 7}"
            value = {"transaction_id": f"t{i}", "timestamp": at, "account": account, "counterparty": f"shop-{i % 5}"}
            value["amount"] = 20.0 + i % 9
            made.append(Record(topic, 0, i, at, account.encode(), json.dumps(value).encode()))
    return made


WORK = list(in_batches(records("transactions"), records("labels"), 50))


def new(states: dict[str, bytes] | None = None, given: TransactionSettings = SETTINGS) -> TransactionProcessor:
    return TransactionProcessor(given, 0, states)


def play(processor: TransactionProcessor) -> list[Output]:
    outputs = []
    for batch, labels in WORK:
        outputs += processor.absorb(labels).outputs + processor.process(batch).outputs
    return outputs


def models(outputs: Iterable[Output]) -> list[dict[str, Any]]:
    return [json.loads(output.value) for output in outputs if output.topic == "models"]


def test_it_is_told_what_was_foretold_and_what_was_seen():
    first = models(play(new()))[0]
    drift = first["drift"]
    assert (first["model"], first["role"], drift["kind"]) == ("default", "champion", "missed")
    assert drift["seen"] > 5 * drift["foretold"]
    assert drift["labels"] < PAYMENTS - CHANGE + 20


def test_nothing_is_told_while_all_is_as_foretold():
    processor, told = new(), []
    for batch, labels in WORK[: CHANGE // 50]:
        told += processor.absorb(labels).outputs + processor.process(batch).outputs
    assert models(told) == []


def test_beside_challengers_it_is_told_of_the_champion():
    settings = SETTINGS.model_copy(update={"challengers": {"calm": ChallengerSettings()}})
    told = [one for one in models(play(new(given=settings))) if one["drift"]]
    assert {(one["model"], one["role"]) for one in told} == {("default", "champion")}


def test_the_model_that_noticed_knows_the_new_fraud_better():
    unaware = SETTINGS.model_copy(update={"drift": DriftSettings(enabled=False)})
    last = [
        [json.loads(one.value)["fraud_score"] for one in play(new(given=given)) if one.topic == "decisions"][-1]
        for given in (SETTINGS, unaware)
    ]
    assert last[0] > last[1]


@given(crash_at=st.integers(1, len(WORK) - 1), cut=st.floats(0, 1), checkpoint_every=st.integers(1, 4))
@settings(max_examples=10, deadline=None)
def test_a_crash_changes_nothing(crash_at: int, cut: float, checkpoint_every: int) -> None:
    assert with_a_torn_checkpoint(new, WORK, crash_at, cut, checkpoint_every) == play(new())
