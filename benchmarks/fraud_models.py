"""Compares classifiers of River, and the one that decides, on the features of payments with labels seven days late.

    python -m benchmarks.fraud_models --data DATA/fraud
    python -m benchmarks.fraud_models --data DATA/fraud --only "Hoeffding tree,naive Bayes"

All see the same features, computed once as the service does, predict each payment before its label, and learn the
labels in the order in which they come. The Fraud Detection Handbook's payments of April and May are taken, and measured
on the second half of May: its test week in August is left alone, since a model is chosen here.
"""

from __future__ import annotations

import argparse
import math
import random
import time
from array import array
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow.parquet as pq
from river import (
    compose,
    ensemble,
    forest,
    imblearn,
    linear_model,
    naive_bayes,
    optim,
    preprocessing,
    tree,
)

from detectors.transactions import AccountHistory, CounterpartyHistory, FraudModel, FraudModelSettings
from detectors.transactions.model import make_classifier, named
from tocsin.evaluation.fraud_protocol import auc_roc
from tocsin.evaluation.metrics import average_precision

DAY = 86_400.0
BEGIN = 1_522_540_800.0
"""2018-04-01, midnight."""
MEASURED, END, DELAY = BEGIN + 46 * DAY, BEGIN + 61 * DAY, 7 * DAY
KEPT = {True: 0.1, False: 0.9}
"""Shares of frauds and others that a model learns from which cannot live with one fraud in 120."""


class Payment(NamedTuple):
    """A payment's time, features and truth."""

    time: float
    features: bytes
    fraud: bool


def payments(file: Path) -> list[Payment]:
    """Return all payments with the features that they had when they were made, labels known seven days later."""
    columns = ["TX_DATETIME", "CUSTOMER_ID", "TERMINAL_ID", "TX_AMOUNT", "TX_FRAUD"]
    table = pq.read_table(file, columns=columns)
    times = table["TX_DATETIME"].to_numpy().astype("datetime64[ms]").astype(np.int64) / 1000
    rest = (table[name].to_pylist() for name in columns[1:])
    settings = FraudModelSettings()
    model = FraudModel(settings)
    accounts: dict[str, AccountHistory] = defaultdict(
        lambda: AccountHistory(settings.known_counterparties, large=settings.large)
    )
    shops: dict[str, CounterpartyHistory] = defaultdict(CounterpartyHistory)
    due: deque[tuple[float, str, str, float, bool]] = deque()
    found: list[Payment] = []
    for t, customer, terminal, amount, fraud in zip(times.tolist(), *rest, strict=True):
        if not BEGIN <= t < END:
            continue
        while due and due[0][0] + DELAY <= t:
            at, account, shop, paid, was_fraud = due.popleft()
            shops[shop].learn_label(at, paid, fraud=was_fraud)
            if was_fraud:
                accounts[account].learn_fraud(at, 1)
        account, shop = str(customer), str(terminal)
        features = model.features(t, amount, accounts[account], shops[shop], shop)
        model.observe(features)
        accounts[account].learn(t, amount, shop)
        shops[shop].learn(t, amount)
        due.append((t, account, shop, amount, bool(fraud)))
        found.append(Payment(t, features, bool(fraud)))
    return found


def sampled(model: Any) -> Any:
    """Return a model that learns all frauds and some of the others."""
    return imblearn.RandomUnderSampler(model, desired_dist=KEPT, seed=1)


def linear() -> Any:
    """Return River's logistic regression behind a scaler."""
    return compose.Pipeline(preprocessing.StandardScaler(), linear_model.LogisticRegression(optim.AdaGrad(0.1)))


CONTENDERS: dict[str, Callable[[], Any]] = {
    "additive logistic regression (ours)": lambda: make_classifier(FraudModelSettings()),
    "logistic regression": linear,
    "naive Bayes": lambda: sampled(naive_bayes.GaussianNB()),
    "Hoeffding tree": lambda: sampled(tree.HoeffdingTreeClassifier()),
    "adaptive Hoeffding tree": lambda: sampled(tree.HoeffdingAdaptiveTreeClassifier(seed=1)),
    "adaptive random forest, 10 trees": lambda: sampled(forest.ARFClassifier(n_models=10, seed=1)),
    "aggregated Mondrian forest, 10 trees": lambda: sampled(forest.AMFClassifier(n_estimators=10, seed=1)),
    "bagged Hoeffding trees, 10": lambda: sampled(
        ensemble.ADWINBaggingClassifier(tree.HoeffdingTreeClassifier(), n_models=10, seed=1)
    ),
    "boosted Hoeffding trees, 10": lambda: sampled(
        ensemble.ADWINBoostingClassifier(tree.HoeffdingTreeClassifier(), n_models=10, seed=1)
    ),
}


class Outcome(NamedTuple):
    """How good a model was, and microseconds for a prediction and for a label."""

    average_precision: float
    auc_roc: float
    predicting: float
    learning: float


def play(model: Any, made: list[Payment]) -> Outcome:
    """Let a model predict the payments that are measured, and learn all labels as they come."""
    scores, truths = array("d"), array("b")
    predicting = learning = 0.0
    learned = 0
    for payment, known in _with_labels(made):
        if payment is None:
            began = time.perf_counter()
            for label in known:
                model.learn_one(named(label.features), label.fraud)
            learning += time.perf_counter() - began
            learned += len(known)
        else:
            x = named(payment.features)
            began = time.perf_counter()
            probability = model.predict_proba_one(x).get(True, 0.0)
            predicting += time.perf_counter() - began
            scores.append(probability if math.isfinite(probability) else 0.0)
            truths.append(payment.fraud)
    found, truth = np.array(scores), np.array(truths, bool)
    return Outcome(
        average_precision(truth, found), auc_roc(truth, found), 1e6 * predicting / len(found), 1e6 * learning / learned
    )


def _with_labels(made: list[Payment]) -> Iterator[tuple[Payment | None, list[Payment]]]:
    """Yield payments to be predicted, and before them the labels that have come."""
    first = 0
    for payment in made:
        if payment.time < MEASURED:
            continue
        last = first
        while made[last].time + DELAY <= payment.time:
            last += 1
        if last > first:
            yield None, made[first:last]
        first = last
        yield payment, []


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of transactions.parquet")
    parser.add_argument("--only", default="", help="some of the models, separated by commas")
    options = parser.parse_args()
    random.seed(1)
    wanted = [name.strip() for name in options.only.split(",") if name.strip()] or list(CONTENDERS)
    made = payments(options.data / "transactions.parquet")
    measured = [payment.fraud for payment in made if payment.time >= MEASURED]
    print(f"{len(made):,} payments, measured on {len(measured):,} with {sum(measured):,} frauds")
    print(f"{'':<40}{'AP':>8}{'AUC':>8}{'predict, µs':>14}{'learn, µs':>12}")
    for name in wanted:
        found = play(CONTENDERS[name](), made)
        cells = f"{found.average_precision:>8.3f}{found.auc_roc:>8.3f}{found.predicting:>14.0f}{found.learning:>12.0f}"
        print(f"{name:<40}{cells}", flush=True)


if __name__ == "__main__":
    main()
