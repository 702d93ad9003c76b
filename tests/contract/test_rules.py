"""Rules and lists on a real Kafka, from the command line to decisions of all workers."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from detectors.transactions.rules import table
from tests.contract.conftest import Service

GRAPH = table([{"field": "transaction.amount"}], [["> 100", "'block'", "'large'"]])


def pay(service: Service, prefix: str, count: int = 16) -> list[tuple[str, dict[str, Any]]]:
    """Send payments of as many accounts, which all partitions decide."""
    payments = [
        {"transaction_id": f"{prefix}{n}", "timestamp": time.time(), "account": f"a{n}", "counterparty": "shop"}
        for n in range(count)
    ]
    service.produce("transactions", [(one["account"], one | {"amount": 500.0}) for one in payments])
    return [(one["account"], one) for one in payments]


def decisions(service: Service, prefix: str, count: int = 16) -> set[str]:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        found = [json.loads(record.value) for record in service.read("decisions", quiet=0.2)]
        ours = [one["decision"] for one in found if one["transaction_id"].startswith(prefix)]
        if len(ours) == count:
            return set(ours)
    raise AssertionError(f"{len(ours)} of {count} decisions")


@pytest.mark.slow
def test_a_rule_counts_within_two_seconds_on_all_workers_and_a_broken_one_never(
    service: Service, tmp_path: Path
) -> None:
    file = tmp_path / "large.json"
    file.write_text(json.dumps(GRAPH, indent=1))
    workers = [service.start_worker() for _ in range(2)]
    for worker in workers:
        worker.wait_until_ready()
    pay(service, "before-")
    assert decisions(service, "before-") == {"approve"}
    service.tocsin("rules", "apply", str(file), "--reason", "losses")
    time.sleep(2.01)
    pay(service, "after-")
    assert decisions(service, "after-") == {"decline"}
    file.write_text(json.dumps(GRAPH, indent=1).replace("> 100", "> > 100"))
    with pytest.raises(subprocess.CalledProcessError) as refused:
        service.tocsin("rules", "apply", str(file))
    assert refused.value.returncode == 2
    assert "large.json: line " in refused.value.stderr and "'> > 100'" in refused.value.stderr
    service.tocsin("lists", "add", "allow", "counterparty", "shop", "--for", "1h")
    time.sleep(2.01)
    pay(service, "allowed-")
    assert decisions(service, "allowed-") == {"approve"}
    workers[0].stop(9)  # whoever takes over knows the rules and lists at once
    service.tocsin("lists", "remove", "allow", "counterparty", "shop")
    time.sleep(2.01)
    pay(service, "again-")
    assert decisions(service, "again-") == {"decline"}
    (listed,) = json.loads(service.tocsin("rules", "list", "--json").stdout)
    assert (listed["name"], listed["version"], listed["mode"], listed["reason"]) == ("large", 1, "active", "losses")
