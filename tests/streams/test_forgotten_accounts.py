"""Accounts and counterparties that are silent for long: they are forgotten, and no decision depends on when."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from streams.processor import Output, Record
from streams.transaction_settings import TransactionSettings
from streams.transactions import TransactionProcessor
from tests.crashes import store

DAY = 86_400.0
START = 1e9
SETTINGS = TransactionSettings.model_validate({"decision": {"review_above": 500.0}})


def payment(day: int, account: str, amount: float, counterparty: str = "shop") -> dict[str, Any]:
    return {
        "transaction_id": f"{account}-{day}",
        "timestamp": START + day * DAY,
        "account": account,
        "counterparty": counterparty,
        "amount": amount,
    }


def records() -> list[Record]:
    """Bob pays every day; Ann's one large payment raises an alert, and she comes back after half a year."""
    events = [payment(0, "ann", 20.0, "kiosk"), payment(1, "ann", 900.0, "kiosk")]
    events += [payment(day, "bob", 20.0 + day % 3) for day in range(2, 190)]
    events += [payment(190, "ann", 30.0, "kiosk"), payment(191, "bob", 20.0)]
    return [
        Record("transactions", 0, i, event["timestamp"], event["account"].encode(), json.dumps(event).encode())
        for i, event in enumerate(events)
    ]


def play(processor: TransactionProcessor, states: dict[str, bytes], checkpoint_every: int, tick_every: int) -> Any:
    """Return what is put out, in batches of one."""
    outputs = []
    for number, record in enumerate(records(), 1):
        outputs += processor.process([record]).outputs
        if number % checkpoint_every == 0:
            store(states, processor.changes())
        if number % tick_every == 0:
            outputs += processor.tick(0.0).outputs
    store(states, processor.changes())
    return outputs


def values(outputs: list[Output], topic: str) -> list[dict[str, Any]]:
    return [json.loads(output.value) for output in outputs if output.topic == topic]


def alerts(outputs: list[Output]) -> dict[tuple[str, int], dict[str, Any]]:
    """All values of alerts: said again, one is the same."""
    said: dict[tuple[str, int], dict[str, Any]] = {}
    for alert in values(outputs, "alerts"):
        key = alert["alert_id"], alert["version"]
        assert said.setdefault(key, alert) == alert
    return said


def test_the_alert_of_an_account_that_pays_no_more_ends_as_expired() -> None:
    outputs = play(TransactionProcessor(SETTINGS, 0), {}, checkpoint_every=10, tick_every=1)
    of_ann = [alert for alert in alerts(outputs).values() if alert["source"] == "ann"]
    assert [alert["state"] for alert in of_ann] == ["firing", "resolved"]
    assert of_ann[-1]["expired"]


def test_the_state_of_accounts_and_counterparties_that_are_silent_for_long_is_deleted() -> None:
    states: dict[str, bytes] = {}
    processor = TransactionProcessor(SETTINGS, 0, states)
    for record in records()[:-2]:
        processor.process([record])
        store(states, processor.changes())
        processor.tick(0.0)
    kept = {key for key in states if key.startswith(("account/", "counterparty/"))}
    assert kept == {"account/bob", "counterparty/shop"}


def test_an_account_that_was_forgotten_begins_anew() -> None:
    fresh = TransactionProcessor(SETTINGS, 0)
    back = values(play(fresh, {}, 10, 1), "decisions")[-2]
    assert back["account"] == "ann"
    assert back["contributions"].keys()
    never = TransactionSettings.model_validate(SETTINGS.model_dump() | {"forget_after": None})
    remembered = values(play(TransactionProcessor(never, 0), {}, 10, 1), "decisions")[-2]
    assert remembered["fraud_score"] != back["fraud_score"]


@given(checkpoint_every=st.integers(1, 60), tick_every=st.integers(1, 400), crash_at=st.integers(1, 191))
@settings(max_examples=40, deadline=None)
def test_neither_when_it_is_deleted_nor_a_crash_changes_what_is_decided(
    checkpoint_every: int, tick_every: int, crash_at: int
) -> None:
    whole = play(TransactionProcessor(SETTINGS, 0), {}, checkpoint_every=1000, tick_every=1000)
    states: dict[str, bytes] = {}
    processor = TransactionProcessor(SETTINGS, 0, states)
    outputs: list[Output] = []
    for number, record in enumerate(records()[:crash_at], 1):
        outputs += processor.process([record]).outputs
        if number % checkpoint_every == 0:
            store(states, processor.changes())
        if number % tick_every == 0:
            outputs += processor.tick(0.0).outputs
    outputs += play(TransactionProcessor(SETTINGS, 0, states), states, checkpoint_every, tick_every)
    decisions = {decision["transaction_id"]: decision for decision in values(whole, "decisions")}
    for decision in values(outputs, "decisions"):
        assert decision == decisions[decision["transaction_id"]]
    assert alerts(outputs) == alerts(whole)


def test_forgetting_sooner_than_labels_come_is_refused() -> None:
    with pytest.raises(ValidationError, match=r"forget_after: 86400 s is not longer than labels.wait_seconds"):
        TransactionSettings.model_validate({"forget_after": DAY})
