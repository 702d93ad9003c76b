"""The Fraud Detection Handbook's simulated card payments, decided one after another, labels seven days late.

The model learns online from the first day on, as live. The Handbook's own models are trained in batch, on the week
that ends seven days before the test; the figures beside ours are those that it publishes (chapter 5).
"""

from __future__ import annotations

import tempfile
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from streams.backtest_transactions import backtest_transactions
from streams.columns import epochs, numbers_in, truths_in
from streams.tables import Progress, TableError, column_names, read_table
from streams.transaction_settings import TransactionSettings
from tocsin.evaluation.fraud_protocol import (
    DELAY_DAYS,
    TESTED_DAYS,
    TRAINED_DAYS,
    Cards,
    Days,
    Flags,
    Measures,
    Scores,
    auc_roc,
    card_precision,
    in_test,
    reviewed,
)
from tocsin.evaluation.metrics import average_precision
from tocsin.evaluation.tables import Table, cell
from tocsin.plotting import plot_into

DAY = 86_400.0
FILE = "transactions.parquet"
FIRST_TRAINED = 1_532_476_800.0
"""2018-07-25, midnight: where the Handbook's training week begins; its test week is 2018-08-08 to 2018-08-14."""
TITLE = "Fraud Detection Handbook, 2018-08-08 to 2018-08-14, labels 7 days late"
PUBLISHED = {
    "Handbook: logistic regression": Measures(0.871, 0.606, 0.291),
    "Handbook: random forest": Measures(0.867, 0.658, 0.287),
    "Handbook: XGBoost": Measures(0.862, 0.639, 0.273),
}
SCENARIOS = {1: "amount over 220", 2: "terminal compromised for 28 days", 3: "card leaked for 14 days"}
BANDS = (0.0, 0.01, 0.1, 0.3, 0.5, 0.8, 1.0)
REVIEWS_A_DAY = 100


@dataclass(frozen=True, slots=True)
class Week:
    """Seven days of all cards, also those known as defrauded: what a team that reviews 100 payments a day gets."""

    begins: str
    frauds: int
    auc_roc: float
    average_precision: float
    money_saved: float
    money_at_stake: float


@dataclass(frozen=True, slots=True)
class Band:
    """Payments whose score lies between two bounds: how many, their mean score, and the share that is fraud."""

    low: float
    high: float
    payments: int
    mean_score: float
    frauds: float


@dataclass(frozen=True, slots=True)
class FraudResult:
    """What came of it.

    Parameters
    ----------
    protocol
        On the Handbook's test week, by its protocol.
    scenarios
        Number of tested frauds of each kind, and how they are ranked among the genuine payments.
    weeks
        The whole period.
    bands
        How far scores are probabilities, over the whole period after the first labels.

    """

    protocol: Measures
    scenarios: dict[int, tuple[int, float, float]]
    weeks: list[Week]
    bands: list[Band]

    def as_json(self) -> dict[str, Any]:
        """Return what programs read."""
        return {
            **asdict(self.protocol),
            "published": {name: asdict(measures) for name, measures in PUBLISHED.items()},
            "scenarios": {
                str(number): {"frauds": frauds, "auc_roc": auc, "average_precision": precision}
                for number, (frauds, auc, precision) in self.scenarios.items()
            },
            "weeks": [asdict(week) for week in self.weeks],
            "calibration": [asdict(band) for band in self.bands],
        }

    def tables(self, title: str) -> list[Table]:
        """Return what people read."""
        rows = [
            (name, *(cell(value, ".3f") for value in asdict(measures).values()))
            for name, measures in {"this": self.protocol, **PUBLISHED}.items()
        ]
        kinds = [
            (f"{number}: {SCENARIOS[number]}", f"{frauds:,}", cell(auc, ".3f"), cell(precision, ".3f"))
            for number, (frauds, auc, precision) in self.scenarios.items()
        ]
        weeks = [
            (
                week.begins,
                f"{week.frauds:,}",
                cell(week.auc_roc, ".3f"),
                cell(week.average_precision, ".3f"),
                cell(week.money_saved, ",.0f"),
                cell(week.money_saved / week.money_at_stake if week.money_at_stake else None, ".0%"),
            )
            for week in self.weeks
        ]
        bands = [
            (
                f"{band.low:g} to {band.high:g}",
                f"{band.payments:,}",
                cell(band.mean_score, ".3f"),
                cell(band.frauds, ".3f"),
            )
            for band in self.bands
        ]
        return [
            Table(title, ("model", "AUC ROC", "average precision", "card precision@100"), rows),
            Table("By kind of fraud", ("scenario", "frauds", "AUC ROC", "average precision"), kinds),
            Table(
                f"Week by week, all cards; money saved by reviewing {REVIEWS_A_DAY} payments a day",
                ("from", "frauds", "AUC ROC", "average precision", "money saved", "of all"),
                weeks,
            ),
            Table("Are scores probabilities?", ("score", "payments", "mean score", "share of fraud"), bands),
        ]

    def plot(self, target: Path) -> None:
        """Draw average precision and the share of money saved over the weeks.

        Parameters
        ----------
        target
            An .svg or .png file.

        """
        weeks = range(1, len(self.weeks) + 1)
        saved = [week.money_saved / max(week.money_at_stake, 1.0) for week in self.weeks]
        with plot_into(target) as (_, (panel,)):
            panel.plot(weeks, [week.average_precision for week in self.weeks], label="average precision")
            panel.plot(weeks, saved, label=f"share of the money saved, {REVIEWS_A_DAY} reviews a day")
            panel.set_ylim(0, 1)
            panel.set_xlabel("week")
            panel.legend(loc="lower right", frameon=False)


def evaluate(
    data: Path, settings: TransactionSettings, partitions: int, progress: Progress | None = None
) -> FraudResult:
    """Decide all payments as a live run would have, and measure as the Handbook does.

    Parameters
    ----------
    data
        Folder with ``transactions.parquet``: the Handbook's simulated payments under its names of columns.
    settings
        How to decide.
    partitions
        Number of partitions, each of which has a model of its own.
    progress
        Called now and then with the rows done and in all.

    Raises
    ------
    streams.tables.TableError
        If the file cannot be read or lacks a column.

    """
    source = data / FILE
    _must_have_columns(source)
    with tempfile.TemporaryDirectory() as folder:
        scored = Path(folder) / "scored.parquet"
        delay = DELAY_DAYS * DAY
        backtest_transactions(source, scored, settings, label_delay=delay, partitions=partitions, progress=progress)
        scores = np.array(numbers_in(read_table(scored, ["fraud_score"]).column("fraud_score")), float)
    table = read_table(source, list(COLUMNS))
    times, cards, amounts, kinds = (
        np.array(part)
        for part in (
            epochs(table.column("TX_DATETIME")),
            numbers_in(table.column("CUSTOMER_ID")),
            numbers_in(table.column("TX_AMOUNT")),
            numbers_in(table.column("TX_FRAUD_SCENARIO")),
        )
    )
    frauds = np.array(truths_in(table.column("TX_FRAUD")), bool)
    return measure(times, cards.astype(int), amounts.astype(float), frauds, kinds.astype(int), scores)


COLUMNS = ("TX_DATETIME", "CUSTOMER_ID", "TX_AMOUNT", "TX_FRAUD", "TX_FRAUD_SCENARIO")


def measure(times: Scores, cards: Cards, amounts: Scores, frauds: Flags, kinds: Days, scores: Scores) -> FraudResult:
    """Return all measures of scored payments; rows without a score count as the least suspicious."""
    scores = np.where(np.isnan(scores), -1.0, scores)
    days = ((times - FIRST_TRAINED) // DAY).astype(int)
    chosen = in_test(days, cards, frauds)
    truth, said = frauds[chosen], scores[chosen]
    protocol = Measures(
        auc_roc(truth, said),
        average_precision(truth, said),
        card_precision(days[chosen], cards[chosen], truth, said),
    )
    scenarios = {}
    for number in SCENARIOS:
        one = chosen & (~frauds | (kinds == number))
        ranked = auc_roc(frauds[one], scores[one]), average_precision(frauds[one], scores[one])
        scenarios[number] = (int(frauds[one].sum()), *ranked)
    return FraudResult(protocol, scenarios, _weeks(times, days, amounts, frauds, scores), _bands(times, frauds, scores))


def _weeks(times: Scores, days: Days, amounts: Scores, frauds: Flags, scores: Scores) -> list[Week]:
    looked_at = reviewed(days, scores, REVIEWS_A_DAY)
    # Aligned with the test week, which begins on day 14.
    week_of = (days - TRAINED_DAYS - DELAY_DAYS) // TESTED_DAYS
    weeks = []
    for week in np.unique(week_of):
        now = week_of == week
        begins = FIRST_TRAINED + (week * TESTED_DAYS + TRAINED_DAYS + DELAY_DAYS) * DAY
        weeks.append(
            Week(
                str(np.datetime64(int(begins), "s").astype("datetime64[D]")),
                int(frauds[now].sum()),
                auc_roc(frauds[now], scores[now]),
                average_precision(frauds[now], scores[now]),
                float(amounts[now & looked_at & frauds].sum()),
                float(amounts[now & frauds].sum()),
            )
        )
    return weeks


def _bands(times: Scores, frauds: Flags, scores: Scores) -> list[Band]:
    learned = times >= times.min(initial=np.inf) + 2 * DELAY_DAYS * DAY
    bands = []
    for low, high in pairwise(BANDS):
        within = learned & (scores >= low) & ((scores < high) | (high == BANDS[-1]))
        if within.any():
            mean, share = float(scores[within].mean()), float(frauds[within].mean())
            bands.append(Band(low, high, int(within.sum()), mean, share))
    return bands


def _must_have_columns(source: Path) -> None:
    missing = sorted(set(COLUMNS) - set(column_names(source)))
    if missing:
        raise TableError(f"{source} lacks {', '.join(missing)}: it should be the Handbook's simulated-data-raw")
