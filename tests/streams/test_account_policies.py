"""Policies of stream `transactions`: who looks after a fraud alert, how severe it is, when it is not told."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from alerts.policies import PolicyDocument
from streams.processor import Record
from tests.crashes import assert_crashes_change_nothing
from tests.streams.test_account_commands import START, alerts, command, new, payments


def policy(offset: int, at: float, version: int = 1, **said: Any) -> Record:
    """A version of a document about accounts that was appended so many seconds after the start."""
    document = {"name": "cards", "stream": "transactions", **said}
    value = {"name": "cards", "version": version, "author": "ann", "at": START + at, "policy": document}
    return Record("policies", 0, offset, START + at, f"cards@{version}".encode(), json.dumps(value).encode())


def test_it_counts_for_transactions_produced_after_it_of_the_accounts_that_it_names():
    processor = new()
    processor.absorb([policy(0, 5.0, source="a*", owner="desk", kinds={"fraud": {"most_severity": "info"}})])
    told = alerts(processor.process(payments("anton", "ann", "carl")))
    assert [(one["source"], one["owner"], one["severity"]) for one in told] == [
        ("anton", None, told[2]["severity"]),
        ("ann", "desk", "info"),
        ("carl", None, told[2]["severity"]),
    ]
    assert told[1]["policies"] == [{"name": "cards", "version": 1}]


def test_while_it_mutes_payments_are_decided_and_no_alert_begins():
    processor = new()
    window = {"name": "audit", "start": "2026-01-01T00:00:00", "duration": 15}
    processor.absorb([policy(0, -10.0, calendar=[window])])
    result = processor.process(payments("ann", "carl", "ann"))
    assert sum(output.topic == "decisions" for output in result.outputs) == 3
    assert [one["source"] for one in alerts(result)] == ["ann"]
    assert result.held["calendar"] == 2


def test_a_document_about_telemetry_says_nothing_of_accounts():
    processor = new()
    processor.absorb([policy(0, -10.0, stream="telemetry", owner="plant")])
    (told,) = alerts(processor.process(payments("ann")))
    assert (told["owner"], told["policies"]) == (None, [])


@pytest.mark.parametrize(
    ("said", "field"),
    [
        ({"values": {"x": {"max": 1}}}, "values"),
        ({"per_source_a_day": 3}, "per_source_a_day"),
        ({"calendar": [{"name": "w", "start": "2026-01-01", "duration": 60, "freeze": True}]}, "freeze"),
    ],
)
def test_what_is_for_telemetry_only_is_refused(said: dict[str, Any], field: str) -> None:
    with pytest.raises(ValidationError, match=field):
        PolicyDocument.model_validate({"name": "cards", "stream": "transactions", **said})


applied = st.lists(st.tuples(st.integers(-20, 300), st.sampled_from(["desk", "night"])), max_size=4)


@given(st.lists(st.sampled_from(["ann", "carl"]), min_size=5, max_size=25), applied, st.integers(1, 5), st.data())
@settings(deadline=None, max_examples=30)
def test_crashes_change_nothing(accounts, versions, size, data):
    ids = {one["source"]: one["alert_id"] for one in alerts(new().process(payments(*accounts)))}
    said = [
        policy(i, at, version=i + 1, owner=owner, default={"remind_every": 20})
        for i, (at, owner) in enumerate(sorted(versions))
    ]
    said += [command(i, 40.0 * i, "comment", ids[name], account=name, comment="so") for i, name in enumerate(ids)]
    assert_crashes_change_nothing(new, payments(*accounts), said, [size], data)
