"""The review queue on a real Kafka: a person says what it was, and it waits no more."""

from __future__ import annotations

import json
import time

import pytest

from tests.contract.conftest import Service


@pytest.mark.slow
def test_what_is_reviewed_waits_by_account_until_a_verdict_which_is_a_label(service: Service) -> None:
    service.environment["TOCSIN_TRANSACTIONS__DECISION__REVIEW_ABOVE"] = "100"
    now = time.time()
    payments = [
        {
            "transaction_id": f"t{n}",
            "timestamp": now - 10 + n,
            "account": account,
            "counterparty": "shop",
            "amount": amount,
        }
        for n, (account, amount) in enumerate([("ann", 500.0), ("bob", 9000.0), ("ann", 700.0), ("eve", 5.0)])
    ]
    service.produce("transactions", [(str(one["account"]), one) for one in payments])
    service.start_worker().wait_until_ready()
    service.read("decisions", at_least=4)
    first, second = json.loads(service.tocsin("cases", "list", "--json").stdout)
    assert (first["account"], [one["transaction_id"] for one in first["transactions"]]) == ("bob", ["t1"])
    assert (second["account"], [one["transaction_id"] for one in second["transactions"]]) == ("ann", ["t2", "t0"])
    assert first["expected_loss"] > second["expected_loss"] > 0
    shown = service.tocsin("cases", "show", "ann").stdout
    assert "t2: 700.00 to shop, review" in shown and "above the limit of 100.00" in shown
    service.tocsin("cases", "verdict", "ann", "--genuine", "--transaction", "t0", "--by", "zoe")
    service.tocsin("cases", "verdict", "bob", "--fraud", "--by", "zoe")
    (left,) = json.loads(service.tocsin("cases", "list", "--json").stdout)
    assert [one["transaction_id"] for one in left["transactions"]] == ["t2"]
    labels = [json.loads(record.value) for record in service.read("labels", at_least=2)]
    assert {(one["id"], one["label"], one["by"]) for one in labels} == {("t0", False, "zoe"), ("t1", True, "zoe")}
