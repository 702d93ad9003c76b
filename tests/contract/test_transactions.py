"""Transactions on a real Kafka: partitions on several workers decide as a backtest does, also after kill -9."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet

from tests.contract.conftest import Service
from tests.streams.town import town

COLUMNS = ("transaction_id", "timestamp", "account", "counterparty", "amount", "label")


def test_live_scores_equal_the_backtest_though_a_worker_is_killed(service: Service, tmp_path: Path) -> None:
    said = [(record.topic, (record.key or b"").decode(), json.loads(record.value or b"")) for record in town()]
    truth = {value["id"]: value["label"] for topic, _, value in said if topic == "labels"}
    payments = [value | {"label": truth[key]} for topic, key, value in told(said)]
    source, target = tmp_path / "payments.parquet", tmp_path / "scored.parquet"
    pa.parquet.write_table(pa.Table.from_pylist([{name: row[name] for name in COLUMNS} for row in payments]), source)
    service.tocsin("backtest", "transactions", str(source), "-o", str(target), "--label-delay", "5d")
    offline = pa.parquet.read_table(target)

    service.produce("labels", ((key, value) for topic, key, value in said if topic == "labels"))
    half = len(payments) // 2
    service.produce("transactions", ((row["account"], bare(row)) for row in payments[:half]))
    first, second = service.start_worker(), service.start_worker()
    first.wait_until_ready()
    second.wait_until_ready()
    service.read("decisions", at_least=half // 2, quiet=0.0)
    first.stop(signal.SIGKILL)
    service.produce("transactions", ((row["account"], bare(row)) for row in payments[half:]))
    live = [json.loads(record.value) for record in service.read("decisions", at_least=len(payments), seconds=90)]
    assert len(live) == len(payments)
    assert {d["transaction_id"]: d["fraud_score"] for d in live} == dict(
        zip(offline["transaction_id"].to_pylist(), offline["fraud_score"].to_pylist(), strict=True)
    )


def told(said: list[tuple[str, str, dict[str, object]]]) -> list[tuple[str, str, dict[str, object]]]:
    """Return the payments, each under its id."""
    return [(topic, str(value["transaction_id"]), value) for topic, _, value in said if topic == "transactions"]


def bare(row: dict[str, object]) -> dict[str, object]:
    """Return a payment without its label."""
    return {name: value for name, value in row.items() if name != "label"}
