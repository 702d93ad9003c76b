"""Challengers on a real Kafka: a promotion counts in all partitions, and a worker that was killed keeps to it."""

from __future__ import annotations

import json
import signal
import time

from tests.contract.conftest import Service


def test_a_promotion_counts_in_every_partition_and_outlives_a_kill(service: Service) -> None:
    challengers = {"calm": {"model": {"learning_rate": 0.05}}}
    service.environment["TOCSIN_TRANSACTIONS__CHALLENGERS"] = json.dumps(challengers)
    sent = 0

    def pay(count: int) -> None:
        nonlocal sent
        service.produce(
            "transactions",
            (
                (
                    f"card-{i % 12}",
                    {
                        "transaction_id": f"t{sent + i}",
                        "timestamp": time.time(),
                        "account": f"card-{i % 12}",
                        "counterparty": "shop",
                        "amount": 10.0 + i % 7,
                    },
                )
                for i in range(count)
            ),
        )
        sent += count

    def decided_by() -> list[str]:
        found = service.read("decisions", at_least=sent, seconds=90)
        assert len(found) == sent
        return [json.loads(record.value)["model"] for record in found]

    worker = service.start_worker()
    worker.wait_until_ready()
    pay(24)
    assert decided_by() == ["default"] * 24
    service.tocsin("models", "promote", "calm", "--by", "ann", "--reason", "calmer")
    time.sleep(2.1)
    pay(24)
    assert decided_by().count("calm") == 24
    worker.stop(signal.SIGKILL)
    pay(24)
    worker.restart()
    worker.wait_until_ready()
    assert decided_by().count("calm") == 48
    listed = json.loads(service.tocsin("models", "list", "--json").stdout)
    champions = [(one["model"], one["by"], one["reason"]) for one in listed if one["role"] == "champion"]
    assert len(champions) > 1
    assert set(champions) == {("calm", "ann", "calmer")}
