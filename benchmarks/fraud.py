"""Scores fraud decisions on the Fraud Detection Handbook's simulated transactions as the Handbook does.

    python benchmarks/fraud.py --data DATA/fraud    labels 7 days late, reported on 2018-08-08 to 2018-08-14

Beside it the Handbook's own baseline, trained on 2018-07-25 to 07-31 and tested on the same week: logistic regression
0.871, 0.606, 0.291; random forest 0.867, 0.658, 0.287; XGBoost 0.862, 0.639, 0.273.

Source of the protocol: Le Borgne, Y.-A., Siblini, W., Lebichot, B., Bontempi, G. (2022). Reproducible Machine Learning
for Credit Card Fraud Detection: Practical Handbook. Université Libre de Bruxelles. Chapters 3 and 4.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
from sklearn.metrics import average_precision_score, roc_auc_score

from streams.backtest_transactions import backtest_transactions
from streams.transactions import TransactionSettings

DAY = 86_400
FIRST_TRAINED, TRAINED_DAYS, DELAY_DAYS, TESTED_DAYS = np.datetime64("2018-07-25"), 7, 7, 7
CARDS = 100
BASELINE = {
    "logistic regression": (0.871, 0.606, 0.291),
    "random forest": (0.867, 0.658, 0.287),
    "XGBoost": (0.862, 0.639, 0.273),
}


def tested(days: np.ndarray, customers: np.ndarray, frauds: np.ndarray) -> np.ndarray:
    """Return which transactions the Handbook tests on: those of cards not yet known to be compromised."""
    chosen = np.zeros(len(days), bool)
    known = set(customers[(days >= 0) & (days < TRAINED_DAYS) & frauds])
    for day in range(TESTED_DAYS):
        known |= set(customers[(days == TRAINED_DAYS + day - 1) & frauds])
        today = days == TRAINED_DAYS + DELAY_DAYS + day
        chosen[today] = ~np.isin(customers[today], list(known))
    return chosen


def card_precision(days: np.ndarray, customers: np.ndarray, frauds: np.ndarray, scores: np.ndarray) -> float:
    """Return the share of compromised cards among the 100 most suspicious of a day, found ones left out after."""
    found: set[int] = set()
    precisions = []
    for day in np.unique(days):
        today = (days == day) & ~np.isin(customers, list(found))
        cards, place = np.unique(customers[today], return_inverse=True)
        worst, compromised = np.full(len(cards), -1.0), np.zeros(len(cards), bool)
        np.maximum.at(worst, place, scores[today])
        np.logical_or.at(compromised, place, frauds[today])
        top = np.argsort(-worst, kind="stable")[:CARDS]
        found |= set(cards[top][compromised[top]])
        precisions.append(compromised[top].sum() / CARDS)
    return float(np.mean(precisions))


def main() -> None:
    """Backtest, score, and print a table; the last line is one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with transactions.parquet")
    parser.add_argument("--partitions", type=int, default=4, help="partitions, each of which has a model of its own")
    source = parser.parse_args().data / "transactions.parquet"
    partitions = parser.parse_args().partitions
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "scored.parquet"
        backtest_transactions(source, target, TransactionSettings(), label_delay=7.0 * DAY, partitions=partitions)
        scored = pa.parquet.read_table(target)
    seconds = time.perf_counter() - began
    table = pa.parquet.read_table(source, columns=["TX_DATETIME", "CUSTOMER_ID", "TX_FRAUD"])
    times = table["TX_DATETIME"].to_numpy().astype("datetime64[D]")
    days = (times - FIRST_TRAINED).astype(int)
    customers, frauds = table["CUSTOMER_ID"].to_numpy(), table["TX_FRAUD"].to_numpy().astype(bool)
    scores = scored["fraud_score"].to_numpy()
    chosen = tested(days, customers, frauds)
    found = (
        float(roc_auc_score(frauds[chosen], scores[chosen])),
        float(average_precision_score(frauds[chosen], scores[chosen])),
        card_precision(days[chosen], customers[chosen], frauds[chosen], scores[chosen]),
    )
    print(f"{'model':<24}{'AUC ROC':>10}{'average precision':>20}{'card precision@100':>20}")
    for name, numbers in ({"Tocsin": found} | BASELINE).items():
        print(f"{name:<24}{numbers[0]:>10.3f}{numbers[1]:>20.3f}{numbers[2]:>20.3f}")
    print(f"{len(table):,} transactions in {seconds:.0f} s")
    names = ("auc_roc", "average_precision", "card_precision_100")
    print(json.dumps(dict(zip(names, found, strict=True)) | {"transactions": len(table), "seconds": round(seconds, 1)}))


if __name__ == "__main__":
    main()
