"""Rules and lists as a fraud team uses them: applied while transactions come, in one order, never by chance."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.transactions.rules import RuleError, RuleSet, table
from streams.processor import Output, Record
from streams.rule_book import ListChange, RuleVersion
from streams.transaction_settings import TransactionSettings
from streams.transactions import TransactionProcessor
from tests.crashes import store

START = 1e9
LARGE = table([{"field": "transaction.amount"}], [["> 100", "'block'", "'large'"]])
FRIENDS = table([{"field": "transaction.counterparty"}], [["'friend'", "'allow'", "'a friend'"]])
LATE = table([{"field": "transaction.attributes"}, {"field": "transaction.shift"}], [["", "'night'", "'review'", "''"]])


def payment(number: int, **fields: Any) -> Record:
    event = {
        "transaction_id": f"t{number}",
        "timestamp": START + number,
        "account": "ann",
        "counterparty": "shop",
        "amount": 20.0,
        **fields,
    }
    return Record("transactions", 0, number, START + number, event["account"].encode(), json.dumps(event).encode())


def rules(offset: int, at: float, graph: Any, name: str = "large", mode: str = "active", version: int = 1) -> Record:
    said = {"name": name, "version": version, "author": "bob", "at": 0, "mode": mode, "graph": graph}
    value = {key: one for key, one in said.items() if one is not None}
    return Record("rules", 0, offset, START + at, f"{name}@{version}".encode(), json.dumps(value).encode())


def entry(offset: int, at: float, list_: str, field: str, value: str, **said: Any) -> Record:
    change = ListChange(list=list_, field=field, value=value, by="bob", at=0.0, **said)  # type: ignore[arg-type]
    return Record("lists", 0, offset, START + at, change.key, change.encode())


def decided(outputs: list[Output]) -> list[dict[str, Any]]:
    return [json.loads(output.value) for output in outputs if output.topic == "decisions"]


def play(heard: list[Record], payments: list[Record], **said: Any) -> list[dict[str, Any]]:
    processor = TransactionProcessor(TransactionSettings.model_validate(said), 0)
    processor.absorb(heard)
    return decided(processor.process(payments).outputs)


def test_without_rules_and_lists_decisions_say_nothing_of_them():
    (decision,) = play([], [payment(1)])
    assert not {"rules", "rule_versions", "lists"} & decision.keys()


def test_a_rule_counts_for_what_is_produced_two_seconds_later():
    found = play([rules(0, 10.0, LARGE)], [payment(number, amount=500.0) for number in (11, 12, 13)])
    assert [one["decision"] for one in found] == ["approve", "approve", "decline"]
    assert found[-1]["reasons"] == ["rule large@1: large"]
    assert found[-1]["rules"] == [{"rules": "large@1", "action": "block", "reason": "large"}]


def test_rules_in_shadow_are_noted_and_change_nothing():
    (found,) = play([rules(0, 0.0, LARGE, mode="shadow")], [payment(9, amount=500.0)])
    assert found["decision"] == "approve"
    assert found["rules"] == [{"rules": "large@1", "action": "block", "reason": "large", "shadow": True}]


def test_what_was_in_shadow_may_be_promoted_and_withdrawn():
    said = [
        rules(0, 0.0, LARGE, mode="shadow"),
        rules(1, 10.0, LARGE, version=2),
        rules(2, 20.0, None, mode="withdrawn", version=3),
    ]
    found = play(said, [payment(number, amount=500.0) for number in (9, 19, 29)])
    assert [one["decision"] for one in found] == ["approve", "decline", "approve"]


def test_who_is_allowed_is_allowed_whatever_rules_say():
    said = [rules(0, 0.0, LARGE), rules(1, 0.0, FRIENDS, name="friends"), entry(0, 0.0, "block", "account", "ann")]
    friend, other = play(said, [payment(8, amount=500.0, counterparty="friend"), payment(9)])
    assert (friend["decision"], friend["reasons"]) == ("approve", ["rule friends@1: a friend"])
    assert (other["decision"], other["reasons"]) == ("decline", ["on the block list by account"])
    assert other["lists"] == {"block": {"account": ""}}


def test_an_entry_ends_in_event_time_and_may_be_taken_off():
    said = [
        entry(0, 0.0, "watch", "counterparty", "shop", until=START + 10, reason="odd"),
        entry(1, 0.0, "block", "channel", "web"),
        entry(2, 20.0, "block", "channel", "web", removed=True),
    ]
    found = play(said, [payment(9), payment(11), payment(12, channel="web"), payment(25, channel="web")])
    assert [one["decision"] for one in found] == ["review", "approve", "decline", "approve"]
    assert found[0]["reasons"] == ["on the watch list by counterparty: odd"]


def test_rules_see_attributes_features_score_and_lists():
    graph = {
        **LARGE,
        "nodes": [
            LARGE["nodes"][0],
            {
                "id": "rules",
                "type": "expressionNode",
                "name": "all",
                "content": {
                    "expressions": [
                        {"id": "1", "key": "action", "value": "score < 1 and features.amount > 0 ? 'review' : null"},
                        {"id": "2", "key": "reason", "value": "transaction.shift + ' ' + lists.watch[0]"},
                    ]
                },
            },
            LARGE["nodes"][2],
        ],
    }
    said = [rules(0, 0.0, graph), entry(0, 0.0, "watch", "counterparty", "shop")]
    (found,) = play(said, [payment(9, shift="night")])
    assert "rule large@1: night counterparty" in found["reasons"]


def test_a_rule_set_that_cannot_be_used_is_a_dead_letter_and_the_one_before_goes_on():
    broken = json.loads(json.dumps(LARGE).replace("> 100", "> > 100"))
    processor = TransactionProcessor(TransactionSettings(), 0)
    processor.absorb([rules(0, 0.0, LARGE)])
    (letter,) = processor.absorb([rules(1, 1.0, broken, version=2)]).outputs
    assert "rule 1, column 'transaction.amount': '> > 100'" in json.loads(letter.value)["detail"]
    (found,) = decided(processor.process([payment(9, amount=500.0)]).outputs)
    assert found["rule_versions"] == ["large@1"]
    assert found["decision"] == "decline"


def test_a_number_that_rules_cannot_take_costs_nothing_else():
    huge, usual = play([rules(0, 0.0, LARGE)], [payment(8, attributes={"limit": 1e40}), payment(9, amount=500.0)])
    assert huge["decision"] == "approve" and "1" in huge["rules"][0]["error"]
    assert usual["decision"] == "decline"


def test_a_rule_that_fails_asks_for_nothing_and_says_so():
    odd = table([{"field": "transaction.amount"}], [["> 100", "'dance'", "''"]])
    (found,) = play([rules(0, 0.0, odd)], [payment(9, amount=500.0)])
    assert found["decision"] == "approve"
    assert found["rules"][0]["error"] == "action: 'dance' is none of allow, block, review"


@pytest.mark.parametrize(
    ("graph", "said"),
    [
        ('{\n "nodes": [', "line 2, column 12"),
        ('{"nodes": []}', "there must be lists `nodes` and `edges`"),
        ('{"nodes": [{"type": "functionNode", "name": "f"}], "edges": []}', "none may run a program"),
        ('{"nodes": [], "edges": []}', "it has no inputNode"),
        (json.dumps(LARGE).replace("> 100", "> rand(100)"), "differs from one time to the next"),
        (json.dumps(LARGE).replace("> 100", "> d()"), "differs from one time to the next"),
        (json.dumps(LARGE).replace("'large'", "'now'"), "differs from one time to the next"),
        (json.dumps(LARGE, indent=1).replace("'block'", "'block"), "rule 1, column 'action'"),
    ],
)
def test_a_file_with_an_error_is_refused_with_its_place(graph: str, said: str):
    with pytest.raises(RuleError, match=said.replace("`", ".")):
        RuleSet("r@1", graph)


def test_the_line_of_a_wrong_cell_is_told():
    text = json.dumps(LARGE, indent=1).replace("> 100", "> > 100")
    line = next(number for number, one in enumerate(text.splitlines(), 1) if "> > 100" in one)
    with pytest.raises(RuleError, match=rf"^line {line}: "):
        RuleSet("r@1", text)


def test_the_breaker_lets_people_look_when_declines_run_away():
    breaker = {"share": 0.5, "window": 600, "minimum": 5}
    found = play([rules(0, 0.0, LARGE)], [payment(n, amount=500.0) for n in range(3, 13)], breaker=breaker)
    assert [one["decision"] for one in found] == ["decline"] * 4 + ["review"] * 6
    assert found[-1]["reasons"][0] == "breaker: more than 50% of all within 10 min would be declined"


@given(
    ahead=st.integers(0, 4),
    crash_at=st.integers(1, 40),
    checkpoint_every=st.integers(1, 15),
    size=st.integers(1, 10),
)
@settings(max_examples=20, deadline=None)
def test_neither_when_rules_are_read_nor_a_crash_changes_a_decision(
    ahead: int, crash_at: int, checkpoint_every: int, size: int
):
    heard = [
        rules(0, 5.0, LARGE),
        rules(1, 15.0, FRIENDS, name="friends"),
        rules(2, 22.0, None, mode="withdrawn", version=2),
        entry(0, 25.0, "watch", "counterparty", "shop"),
    ]
    payments = [
        payment(n, amount=500.0 if n % 3 else 20.0, counterparty="friend" if n % 4 else "shop") for n in range(40)
    ]
    said = {"breaker": {"share": 0.3, "window": 60, "minimum": 5}}
    whole = play(heard, payments, **said)
    states: dict[str, bytes] = {}
    found: dict[str, dict[str, Any]] = {}
    configured = TransactionSettings.model_validate(said)

    def run(processor: TransactionProcessor, until: int) -> None:
        for number, start in enumerate(range(0, until, size), 1):
            batch = payments[start : start + size]
            came = sum(one.timestamp <= batch[-1].timestamp for one in heard)
            processor.absorb(heard[: max(came, ahead)])
            for one in decided(processor.process(batch).outputs):
                assert found.setdefault(one["transaction_id"], one) == one
            if number % checkpoint_every == 0:
                store(states, processor.changes())

    run(TransactionProcessor(configured, 0, states), crash_at)
    run(TransactionProcessor(configured, 0, states), 40)
    assert list(found.values()) == whole


def test_a_version_says_by_whom_and_why():
    version = RuleVersion.model_validate_json(rules(0, 0.0, LARGE).value or b"")
    assert (version.author, version.rules().name) == ("bob", "large@1")
