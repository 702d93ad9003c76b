"""What is known of a counterparty: how much is paid to it, and how much of that turned out as fraud."""

from __future__ import annotations

import math

import msgspec

from detectors.transactions.account import DAY, HOUR, log_ratio
from detectors.transactions.snapshots import decode_state
from detectors.transactions.windows import Row, TimeBuckets

COUNTERPARTY_FEATURES = (
    "counterparty_count_1d",
    "counterparty_count_7d_to_habit",
    "amount_to_counterparty_mean",
    "counterparty_risk_30d",
    "counterparty_last_labels",
    "since_counterparty_fraud",
    "since_counterparty_fraud_began",
)

SPELL = 28 * DAY
"""Frauds further apart than this are two spells of trouble at a counterparty."""


class CounterpartyState(msgspec.Struct, array_like=True, frozen=True):
    """A counterparty's history as plain values."""

    version: int
    hours: list[Row]
    days: list[Row]
    labels: list[Row]
    count: int
    habit: list[float]
    last_labels: list[tuple[float, bool]]


class CounterpartyHistory:
    """The past of one counterparty, and its delayed risk.

    A label comes late and counts at the time of its transaction; until then that transaction says nothing of
    the risk. This is the delayed terminal risk of the Fraud Detection Handbook, chapter 3, to which the last
    three labels and the start of the present spell of frauds are added. Costs about 20 µs per transaction and
    at most 3 KB of state.

    References
    ----------
    Le Borgne, Y.-A., Siblini, W., Lebichot, B., Bontempi, G. (2022). Reproducible Machine Learning for Credit
    Card Fraud Detection: Practical Handbook. Université Libre de Bruxelles.
    https://github.com/Fraud-Detection-Handbook/fraud-detection-handbook

    Examples
    --------
    >>> terminal = CounterpartyHistory()
    >>> terminal.learn(0.0, 25.0)
    >>> terminal.learn_label(0.0, fraud=True)
    >>> dict(zip(COUNTERPARTY_FEATURES, terminal.features(8 * 86_400.0, 25.0)))["counterparty_risk_30d"]
    0.5

    """

    VERSION = 1
    LABEL_DAYS = 60

    def __init__(self) -> None:
        self._hours = TimeBuckets(HOUR, 24)
        self._days = TimeBuckets(DAY, 30)
        self._labels = TimeBuckets(DAY, self.LABEL_DAYS)
        self._last_labels: list[tuple[float, bool]] = []
        self._count = 0
        self._mean = 0.0
        self._first = 0.0
        self._last_fraud = -math.inf
        self._fraud_began = -math.inf

    def features(self, t: float, amount: float) -> list[float]:
        """Return the values of ``COUNTERPARTY_FEATURES`` for a transaction, before it is learned."""
        days_known = min(max(t - self._first, DAY) / DAY, 30.0) if self._count else 1.0
        per_week = 7.0 * (self._days.totals(t, 30).events + 1.0) / (days_known + 1.0)
        this_week = self._days.totals(t, 7).events + 1.0
        labels = self._labels.totals(t, 30)
        return [
            float(self._hours.totals(t, 24).events),
            (this_week - per_week) / math.sqrt(per_week + 1.0),
            log_ratio(amount, self._mean),
            labels.sum / (labels.events + 1.0),
            self._label_pattern(),
            self._days_since(t, self._last_fraud),
            self._days_since(t, self._fraud_began),
        ]

    def learn(self, t: float, amount: float) -> None:
        """Add a transaction to the history."""
        self._hours.add(t, amount)
        self._days.add(t, amount)
        self._first = min(self._first, t) if self._count else t
        self._count += 1
        self._mean += (amount - self._mean) / min(self._count, 200)

    def learn_label(self, t: float, *, fraud: bool) -> None:
        """Count the label of a transaction that happened at ``t``."""
        self._labels.add(t, 1.0 if fraud else 0.0)
        self._last_labels = sorted([*self._last_labels, (t, fraud)])[-3:]
        if fraud:
            self._fraud_began = t if t - self._last_fraud > SPELL else min(self._fraud_began, t)
            self._last_fraud = max(self._last_fraud, t)

    def correct_label(self, t: float, *, fraud: bool) -> None:
        """Turn the label of a transaction, counted before, into its opposite."""
        self._labels.adjust(t, 1.0 if fraud else -1.0)
        self._last_labels = [(at, fraud if at == t else was) for at, was in self._last_labels]

    def snapshot(self) -> bytes:
        """Return the history in a compact, versioned, non-executable form."""
        state = CounterpartyState(
            self.VERSION,
            self._hours.rows(),
            self._days.rows(),
            self._labels.rows(),
            self._count,
            [self._mean, self._first, self._last_fraud, self._fraud_began],
            self._last_labels,
        )
        return msgspec.msgpack.encode(state)

    def restore(self, state: bytes) -> None:
        """Take up a history that ``snapshot`` gave.

        Raises
        ------
        detectors.base.SnapshotError
            If the state is damaged or of another format.

        """
        saved = decode_state(state, CounterpartyState, self.VERSION)
        self._hours = TimeBuckets(HOUR, 24, saved.hours)
        self._days = TimeBuckets(DAY, 30, saved.days)
        self._labels = TimeBuckets(DAY, self.LABEL_DAYS, saved.labels)
        self._count = saved.count
        self._mean, self._first, self._last_fraud, self._fraud_began = saved.habit
        self._last_labels = saved.last_labels

    def _label_pattern(self) -> float:
        """The last three labels as bits, the newest lowest: 0 is clean, 7 is nothing but fraud."""
        pattern = 0
        for _, fraud in self._last_labels:
            pattern = 2 * pattern + fraud
        return float(pattern)

    def _days_since(self, t: float, then: float) -> float:
        return min(max((t - then) / DAY, 0.0), float(self.LABEL_DAYS))
