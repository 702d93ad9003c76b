"""`tocsin evaluate fraud`: the Handbook's protocol and measures, on payments that come under its names of columns."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from tocsin.cli import run
from tocsin.evaluation import fraud
from tocsin.evaluation.fraud_protocol import auc_roc, card_precision, in_test, reviewed

COUNT = 4_000


@pytest.fixture(scope="module")
def payments(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five weeks of payments up to the Handbook's last day; those over 220 are fraud, and one terminal in the end."""
    chance = np.random.default_rng(4)
    times = np.sort(chance.uniform(fraud.FIRST_TRAINED - 14 * fraud.DAY, fraud.FIRST_TRAINED + 21 * fraud.DAY, COUNT))
    amounts, terminals = chance.gamma(2.0, 30.0, COUNT).round(2), chance.integers(0, 60, COUNT)
    kinds = np.where(amounts > 220, 1, np.where((terminals == 7) & (times > fraud.FIRST_TRAINED), 2, 0))
    table = {
        "TRANSACTION_ID": np.arange(COUNT),
        "TX_DATETIME": (times * 1e3).astype("datetime64[ms]"),
        "CUSTOMER_ID": chance.integers(0, 300, COUNT),
        "TERMINAL_ID": terminals,
        "TX_AMOUNT": amounts,
        "TX_FRAUD": (kinds > 0).astype(int),
        "TX_FRAUD_SCENARIO": kinds,
    }
    folder = tmp_path_factory.mktemp("handbook")
    pa.parquet.write_table(pa.table(table), folder / "transactions.parquet")
    return folder


def test_the_handbooks_measures_are_told_beside_its_models(payments: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["evaluate", "fraud", "--data", str(payments), "--plots", str(payments / "plots"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["auc_roc"] > 0.8
    assert found["published"]["Handbook: random forest"] == {
        "auc_roc": 0.867,
        "average_precision": 0.658,
        "card_precision": 0.287,
    }
    assert [week["begins"] for week in found["weeks"]][-1] == "2018-08-08"
    assert all(week["money_saved"] <= week["money_at_stake"] for week in found["weeks"])
    assert found["scenarios"]["2"]["frauds"] > 0
    assert (payments / "plots" / "fraud.svg").exists()


def test_payments_under_other_names_are_refused_with_the_names_that_are_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pa.parquet.write_table(pa.table({"TX_AMOUNT": [1.0]}), tmp_path / "transactions.parquet")
    assert run(["evaluate", "fraud", "--data", str(tmp_path)]) == 2
    assert "lacks CUSTOMER_ID, TX_DATETIME" in capsys.readouterr().err


def test_ranking_is_measured_as_scikit_learn_does() -> None:
    chance = np.random.default_rng(1)
    frauds, scores = chance.random(2_000) < 0.05, chance.random(2_000).round(2)
    assert auc_roc(frauds, scores) == pytest.approx(roc_auc_score(frauds, scores))
    assert fraud.average_precision(frauds, scores) == pytest.approx(average_precision_score(frauds, scores))


def test_cards_known_as_defrauded_are_left_out_day_by_day() -> None:
    """The Handbook, chapter 4: training week, seven days until its labels are known, test week."""
    days, cards = np.array([6, 7, 14, 15, 16, 14, 15, 21]), np.array([1, 2, 1, 2, 2, 3, 2, 3])
    frauds = np.array([True, True, False, False, False, False, False, False])
    assert in_test(days, cards, frauds).tolist() == [False, False, False, False, False, True, False, False]


def test_a_card_that_was_found_is_not_looked_at_again() -> None:
    days, cards = np.array([0, 1, 1]), np.array([1, 1, 2])
    frauds, scores = np.array([True, True, False]), np.array([0.9, 0.9, 0.1])
    assert card_precision(days, cards, frauds, scores, top=1) == 0.5


def test_a_team_looks_at_the_most_suspicious_payments_of_a_day() -> None:
    chosen = reviewed(np.array([0, 0, 0, 1]), np.array([0.3, 0.1, 0.2, 0.0]), a_day=2)
    assert chosen.tolist() == [True, False, True, True]
