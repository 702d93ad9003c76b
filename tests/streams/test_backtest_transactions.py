"""A backtest of transactions: the decisions of a live run, and nothing from the future."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet
import pytest

from streams.backtest_transactions import backtest_transactions
from tests.streams.town import PARTITIONS, SETTINGS, decisions, town, uninterrupted

DAY = 86_400.0
DELAY = 5.0 * DAY


@pytest.fixture(scope="module")
def rows() -> list[dict[str, Any]]:
    """The town's payments, each with its label."""
    said = [(record.topic, json.loads(record.value or b"")) for record in town()]
    truth = {value["id"]: value["label"] for topic, value in said if topic == "labels"}
    paid = [value for topic, value in said if topic == "transactions"]
    return [{**value, "label": truth[value["transaction_id"]]} for value in paid if value["transaction_id"] in truth]


def scored(rows: list[dict[str, Any]], folder: Path, partitions: int = PARTITIONS) -> dict[str, float]:
    columns = ("transaction_id", "timestamp", "account", "counterparty", "amount", "label")
    source, target = folder / "payments.parquet", folder / "scored.parquet"
    pa.parquet.write_table(pa.Table.from_pylist([{name: row[name] for name in columns} for row in rows]), source)
    backtest_transactions(source, target, SETTINGS, label_delay=DELAY, partitions=partitions)
    found = pa.parquet.read_table(target)
    return dict(zip(found["transaction_id"].to_pylist(), found["fraud_score"].to_pylist(), strict=True))


def test_each_row_gets_the_score_of_the_live_run(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    found = scored(rows, tmp_path)
    live = {d["transaction_id"]: d["fraud_score"] for p in range(PARTITIONS) for d in decisions(uninterrupted(p))}
    assert len(found) == len(rows)
    assert {name: live[name] for name in found} == found


def test_no_score_knows_labels_of_its_future(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    middle = rows[len(rows) // 2]["timestamp"]
    known = [row for row in rows if epoch(row) + DELAY <= epoch_of(middle)]
    labels = [row["label"] for row in rows[len(known) :]]
    random.Random(1).shuffle(labels)
    shuffled = rows[: len(known)] + [
        row | {"label": label} for row, label in zip(rows[len(known) :], labels, strict=True)
    ]
    before, after = scored(rows, tmp_path), scored(shuffled, tmp_path)
    past = [row["transaction_id"] for row in rows if epoch(row) <= epoch_of(middle)]
    assert [after[name] for name in past] == [before[name] for name in past]
    assert after != before


def epoch(row: dict[str, Any]) -> float:
    return epoch_of(row["timestamp"])


def epoch_of(at: Any) -> float:
    from streams.columns import epochs

    return epochs(pa.chunked_array([[at]]))[0]
