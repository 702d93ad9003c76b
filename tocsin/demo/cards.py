"""Simulated card payments with three kinds of fraud, after the Fraud Detection Handbook.

Written from the published description (chapter 3, "Transaction data simulator"), not from its code.
"""

from __future__ import annotations

import heapq
import math
import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime

DAY = 86_400.0
COMPROMISED_DAYS = 28
LEAKED_DAYS = 14


@dataclass(frozen=True, slots=True)
class Customer:
    """Who pays: where, how much and how often."""

    name: str
    mean_amount: float
    payments_per_day: float
    terminals: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Payment:
    """One card payment and the truth about it; ``scenario`` is 0 for an honest one."""

    transaction_id: str
    time: float
    customer: str
    terminal: str
    amount: float
    scenario: int = 0


class CardSimulator:
    """Customers who pay at terminals near them, and fraudsters.

    Customers have a place, a mean amount between 5 and 100 (the deviation is half of it) and between 0 and 4
    payments a day, mostly around noon. Fraud comes in three scenarios: (1) every amount over 220; (2) a
    terminal compromised, for 28 days; (3) a customer's card leaked, for 14 days, in which a third of the
    payments are five times as large. As many terminals and customers in proportion are hit as in the
    Handbook (2 of 10,000 terminals and 3 of 5,000 customers each day), times ``fraud_rate``.

    Parameters
    ----------
    seed
        The same seed gives the same payments.
    days
        Days to simulate.
    customers, terminals
        How many there are. Terminals lie as densely as in the Handbook, whatever their number.
    fraud_rate
        Multiplies how often terminals and cards are hit in scenarios 2 and 3.
    label_delay
        Days after which the truth about a payment is known.
    start
        Start of the first day.

    References
    ----------
    Le Borgne, Y.-A., Siblini, W., Lebichot, B., Bontempi, G. (2022). Reproducible Machine Learning for Credit
    Card Fraud Detection: Practical Handbook. Université Libre de Bruxelles. Chapter 3.
    https://fraud-detection-handbook.github.io/fraud-detection-handbook/Chapter_3_GettingStarted/SimulatedDataset.html

    Examples
    --------
    >>> simulator = CardSimulator(seed=7, days=20, customers=20, terminals=40)
    >>> topic, key, time, value = next(simulator.messages())
    >>> topic, key == value["account"]
    ('transactions', True)

    """

    def __init__(
        self,
        *,
        seed: int = 7,
        days: int = 60,
        customers: int = 150,
        terminals: int = 300,
        fraud_rate: float = 1.0,
        label_delay: float = 7.0,
        start: datetime = datetime(2025, 1, 1, tzinfo=UTC),
    ) -> None:
        self.start = start
        self.days = days
        self.label_delay = label_delay
        self._chance = random.Random(seed)  # noqa: S311  a repeatable simulation, not a secret
        self._terminals = [f"terminal-{i}" for i in range(terminals)]
        self.customers = self._make_customers(customers)
        self.payments = self._commit_fraud(self._pay(), fraud_rate)
        self._frauds = {payment.transaction_id for payment in self.payments if payment.scenario}

    def is_fraud(self, transaction_id: str) -> bool:
        """Return the truth about a payment."""
        return transaction_id in self._frauds

    def messages(self) -> Iterator[tuple[str, str, float, dict[str, object]]]:
        """Yield transactions and their later labels in the order of time: topic, key, time and value."""
        delay = self.label_delay * DAY
        transactions = (("transactions", p.customer, p.time, _transaction(p)) for p in self.payments)
        labels = (("labels", p.transaction_id, p.time + delay, _label(p, p.time + delay)) for p in self.payments)
        yield from heapq.merge(transactions, labels, key=lambda message: message[2])

    def _make_customers(self, count: int) -> list[Customer]:
        side = math.sqrt(len(self._terminals))
        places = [self._place(side) for _ in self._terminals]
        radius = 5.0
        customers = []
        for i in range(count):
            home = self._place(side)
            near = [
                name for name, place in zip(self._terminals, places, strict=True) if math.dist(home, place) < radius
            ]
            if not near:
                near = [min(zip(places, self._terminals, strict=True), key=lambda at: math.dist(home, at[0]))[1]]
            customers.append(
                Customer(f"card-{i}", self._chance.uniform(5, 100), self._chance.uniform(0, 4), tuple(near))
            )
        return customers

    def _place(self, side: float) -> tuple[float, float]:
        return self._chance.uniform(0, side), self._chance.uniform(0, side)

    def _pay(self) -> list[Payment]:
        payments = []
        for customer in self.customers:
            for day in range(self.days):
                for _ in range(self._poisson(customer.payments_per_day)):
                    second = self._chance.gauss(DAY / 2, 20_000)
                    if 0 < second < DAY:
                        time = self.start.timestamp() + day * DAY + math.floor(second)
                        terminal = self._chance.choice(customer.terminals)
                        payments.append(Payment("", time, customer.name, terminal, self._amount(customer.mean_amount)))
        payments.sort(key=lambda p: (p.time, p.customer))
        return [replace(payment, transaction_id=f"tx-{i}") for i, payment in enumerate(payments)]

    def _amount(self, mean: float) -> float:
        amount = self._chance.gauss(mean, mean / 2)
        return round(amount if amount >= 0 else self._chance.uniform(0, 2 * mean), 2)

    def _commit_fraud(self, payments: list[Payment], rate: float) -> list[Payment]:
        compromised = self._hits(self._terminals, rate * 2 / 10_000, COMPROMISED_DAYS)
        leaked = self._hits([c.name for c in self.customers], rate * 3 / 5_000, LEAKED_DAYS)
        after = []
        for payment in payments:
            day = int((payment.time - self.start.timestamp()) // DAY)
            amount, scenario = payment.amount, 1 if payment.amount > 220 else 0
            if (payment.terminal, day) in compromised:
                scenario = 2
            if (payment.customer, day) in leaked and self._chance.random() < 1 / 3:
                amount, scenario = round(5 * amount, 2), 3
            after.append(replace(payment, amount=amount, scenario=scenario))
        return after

    def _hits(self, names: list[str], share: float, lasting: int) -> set[tuple[str, int]]:
        hit = set()
        for first in range(self.days):
            for name in self._chance.sample(names, min(self._poisson(share * len(names)), len(names))):
                hit |= {(name, day) for day in range(first, first + lasting)}
        return hit

    def _poisson(self, mean: float) -> int:
        # Knuth: count how many uniform numbers can be multiplied before the product falls below exp(-mean).
        count, product, limit = 0, self._chance.random(), math.exp(-mean)
        while product > limit:
            count += 1
            product *= self._chance.random()
        return count


def _transaction(payment: Payment) -> dict[str, object]:
    return {
        "transaction_id": payment.transaction_id,
        "timestamp": _iso(payment.time),
        "account": payment.customer,
        "counterparty": payment.terminal,
        "amount": payment.amount,
        "currency": "EUR",
        "channel": "card",
    }


def _label(payment: Payment, time: float) -> dict[str, object]:
    return {
        "id": payment.transaction_id,
        "label": payment.scenario > 0,
        "timestamp": _iso(time),
        "by": "simulator",
    }


def _iso(time: float) -> str:
    return datetime.fromtimestamp(time, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
