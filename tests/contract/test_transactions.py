"""Transactions on a real Kafka: partitions on several workers decide as a backtest does, also after kill -9."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet

from streams.decisions import DecisionRecord
from streams.explained_decision import explained
from tests.contract.conftest import Service
from tests.streams.test_declared_features import FEATURES, world
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


def test_declared_features_count_all_partitions_live_as_in_a_backtest_though_workers_are_killed(
    service: Service, tmp_path: Path
) -> None:
    """Each payment is produced at its time, as a backtest takes it to be; weeks of them are there at once."""
    service.environment["TOCSIN_TRANSACTIONS__FEATURES"] = json.dumps(FEATURES)
    said = [(record.topic, json.loads(record.value or b"")) for record in world()]
    truth = {value["id"]: value["label"] for topic, value in said if topic == "labels"}
    paid = [value for topic, value in said if topic == "transactions"]
    source, target = tmp_path / "payments.parquet", tmp_path / "scored.parquet"
    names = (*COLUMNS, "device", "shift")
    rows = [{"label": truth.get(value["transaction_id"]), **value} for value in paid]
    pa.parquet.write_table(pa.Table.from_pylist([{name: row.get(name) for name in names} for row in rows]), source)
    service.tocsin("backtest", "transactions", str(source), "-o", str(target), "--label-delay", "5d")
    offline = pa.parquet.read_table(target)

    half = [record for record in world() if record.topic == "transactions"][len(paid) // 2].timestamp
    service.send(record for record in world() if record.topic == "labels" or record.timestamp < half)
    first, second = service.start_worker(), service.start_worker()
    first.wait_until_ready()
    second.wait_until_ready()
    service.read("decisions", at_least=len(paid) // 4, quiet=0.0)
    first.stop(signal.SIGKILL)
    second.stop(signal.SIGKILL)
    service.send(record for record in world() if record.topic == "transactions" and record.timestamp >= half)
    first.restart()
    second.restart()
    first.wait_until_ready()
    second.wait_until_ready()
    read = service.read("decisions", at_least=len(paid), seconds=90)
    live = [DecisionRecord.decode(record.value) for record in read]
    assert len(live) == len(paid)
    assert {one.transaction_id: one.fraud_score for one in live} == dict(
        zip(offline["transaction_id"].to_pylist(), offline["fraud_score"].to_pylist(), strict=True)
    )
    assert max(explained(one, None, {}).features["device_distinct_account_7d"] for one in live) > 5


def told(said: list[tuple[str, str, dict[str, object]]]) -> list[tuple[str, str, dict[str, object]]]:
    """Return the payments, each under its id."""
    return [(topic, str(value["transaction_id"]), value) for topic, _, value in said if topic == "transactions"]


def bare(row: dict[str, object]) -> dict[str, object]:
    """Return a payment without its label."""
    return {name: value for name, value in row.items() if name != "label"}
