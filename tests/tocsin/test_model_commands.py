"""`tocsin models` as its users type it, against Apache Kafka itself."""

from __future__ import annotations

import json

from detectors.transactions.prequential import Measures
from detectors.transactions.promotion import Comparison
from streams.models import ModelRecord

MEASURES = Measures(
    labels=4_000,
    frauds=32,
    brier=0.0051,
    log_loss=0.02,
    auc=0.9,
    average_precision=0.61,
    money_saved=750.0,
    money_at_stake=1_000.0,
    false_alarms=3,
)
COMPARISON = Comparison(
    champion="default", labels=4_000, frauds=32, advantage=0.123, p_value=0.0042, verdict="better", lost=0
)
SINCE = "2026-01-02T03:04:05.000Z"


def standing(model: str, role: str, **said: object) -> dict[str, object]:
    record = ModelRecord(
        model=model, partition=1, role=role, version=1, since=SINCE, by="configuration", measures=MEASURES, **said
    )
    return json.loads(record.encode())


def test_models_are_listed_as_they_are_now_and_promoted_by_name(tocsin):
    assert "configure transactions.challengers" in tocsin("models", "list").stdout
    tocsin.environment["COLUMNS"] = "120"
    tocsin.send("models", standing("default", "champion"), key=b"default")
    tocsin.send(
        "models", standing("calm", "challenger"), standing("calm", "challenger", comparison=COMPARISON), key=b"calm"
    )
    _, calm, default = (line.split() for line in tocsin("models", "list").stdout.splitlines())
    assert default == [
        *("default", "1", "champion", "2026-01-02"),
        *("4,000", "32", "0.610", "75%"),
    ]
    assert calm[-3:] == ["+12.3%", "0.0042", "better"]
    assert [one["model"] for one in json.loads(tocsin("models", "list", "--json").stdout)] == ["calm", "default"]
    done = tocsin("models", "promote", "calm", "--by", "ann", "--reason", "better")
    assert done.stdout == f"promote calm: sent to topic {tocsin.prefix}promotions\n", done.stderr
    assert tocsin("models", "rollback", "--by", "ann").returncode == 0
    said = [json.loads(record.value) for record in tocsin.records("promotions")]
    assert [(one["order"], one.get("model"), one["by"], one.get("reason")) for one in said] == [
        ("promote", "calm", "ann", "better"),
        ("rollback", None, "ann", None),
    ]


def test_a_model_that_there_is_not_is_not_promoted(tocsin):
    tocsin.send("models", standing("calm", "challenger"), standing("gone", "removed"), key=b"x")
    done = tocsin("models", "promote", "gone")
    assert (done.returncode, done.stderr) == (1, "tocsin: there is no model 'gone' (there are: calm)\n")
    assert tocsin.records("promotions") == []
