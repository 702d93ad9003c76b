"""Commands to the alerts of accounts: taken once, between the same two transactions, whatever happens in between."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.transactions import DecisionSettings
from streams.processor import Output, Record, Result
from streams.transaction_settings import TransactionSettings
from streams.transactions import TransactionProcessor
from tests.crashes import assert_crashes_change_nothing

START = 1_767_225_600.0
SETTINGS = TransactionSettings(decision=DecisionSettings(review_at=0.0001, decline_at=0.9))
"""Under which the first payments of everybody are looked at."""


def new(states: dict[str, bytes] | None = None) -> TransactionProcessor:
    return TransactionProcessor(SETTINGS, 0, states)


def payments(*accounts: str, first: int = 0) -> list[Record]:
    """One payment every ten seconds."""
    records = []
    for offset, account in enumerate(accounts, first):
        at = START + 10 * offset
        event = {"transaction_id": f"t{offset}", "timestamp": at, "account": account, "counterparty": "shop"}
        value = json.dumps({**event, "amount": 20.0}).encode()
        records.append(Record("transactions", 0, offset, at, account.encode(), value))
    return records


def command(offset: int, at: float, order: str, alert_id: str, account: str = "ann", **said: Any) -> Record:
    value = {"alert_id": alert_id, "source": account, "command": order, "by": "bob", "timestamp": START + at} | said
    return Record("commands", 0, offset, START + at, alert_id.encode(), json.dumps(value).encode())


def alerts(result: Result | list[Output]) -> list[dict[str, Any]]:
    outputs = result.outputs if isinstance(result, Result) else result
    return [json.loads(output.value) for output in outputs if output.topic == "alerts"]


def fired(processor: TransactionProcessor) -> dict[str, Any]:
    (alert,) = alerts(processor.process(payments("ann")))
    assert alert["state"] == "firing"
    return alert


def test_a_fraud_alert_is_acknowledged_with_the_next_transaction_of_anybody():
    processor = new()
    alert = fired(processor)
    processor.absorb([command(0, 5.0, "acknowledge", alert["alert_id"], comment="I call her")])
    result = processor.process(payments("carl", first=1))
    acknowledged = next(one for one in alerts(result) if one["alert_id"] == alert["alert_id"])
    assert (acknowledged["state"], acknowledged["acknowledged_by"]) == ("acknowledged", "bob")
    assert acknowledged["summary"] == alert["summary"]
    assert result.outcomes["command_done"] == 1


def test_it_is_acknowledged_when_nothing_comes_any_more():
    processor = new()
    alert = fired(processor)
    processor.absorb([command(0, 5.0, "acknowledge", alert["alert_id"])])
    assert alerts(processor.tick(START + 6.9)) == []
    assert [one["state"] for one in alerts(processor.tick(START + 7.1))] == ["acknowledged"]
    assert alerts(processor.tick(START + 8.0)) == []


def test_what_was_taken_as_time_passed_is_part_of_the_next_checkpoint():
    processor, states = new(), {}
    alert = fired(processor)
    processor.absorb([command(0, 5.0, "acknowledge", alert["alert_id"])])
    states.update({key: state for key, state in processor.changes() if state is not None})
    processor.tick(START + 8.0)
    states.update({key: state for key, state in processor.changes() if state is not None})
    assert alerts(new(states).tick(START + 9.0)) == []


def test_commands_to_others_change_nothing_and_bad_ones_are_left_to_telemetry():
    processor = new()
    alert = fired(processor)
    bad = Record("commands", 0, 2, START, b"a", b'{"alert_id": "a"}')
    elsewhere = command(0, 1.0, "acknowledge", "a1", account="nobody")
    over = command(1, 1.0, "acknowledge", "another alert")
    assert processor.absorb([elsewhere, over, bad]).outputs == []
    result = processor.tick(START + 60.0)
    assert (alerts(result), result.outcomes["command_without_effect"]) == ([], 1)
    assert processor.absorbed()["commands", 0] == 2
    assert alert["state"] == "firing"


said = st.lists(
    st.tuples(st.integers(0, 300), st.sampled_from(["acknowledge", "unacknowledge", "comment"]), st.booleans()),
    max_size=6,
)


@given(st.lists(st.sampled_from(["ann", "carl"]), min_size=5, max_size=25), said, st.integers(1, 5), st.data())
@settings(deadline=None, max_examples=40)
def test_crashes_change_nothing(accounts, orders, size, data):
    ids = {one["source"]: one["alert_id"] for one in alerts(new().process(payments(*accounts)))}
    commands = [
        command(i, at, order, ids["ann" if ann else "carl"], account="ann" if ann else "carl", comment="so")
        for i, (at, order, ann) in enumerate(sorted(orders))
        if ("ann" if ann else "carl") in ids
    ]
    assert_crashes_change_nothing(new, payments(*accounts), commands, [size], data)
