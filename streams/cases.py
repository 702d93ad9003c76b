"""The review queue: what was not approved and nobody has judged yet, by account, the most that may be lost first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from streams.decisions import DecisionRecord


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """The transactions of one account that wait for a verdict.

    Parameters
    ----------
    account
        The account.
    expected_loss
        Sum of amount times fraud score of what is to be reviewed; what is declined loses nothing.
    fraud_score
        The highest of any of them.
    transactions
        Decisions without a verdict, the newest first.

    """

    account: str
    expected_loss: float
    fraud_score: float
    transactions: tuple[DecisionRecord, ...]


def open_cases(decisions: Iterable[DecisionRecord], verdicts: Mapping[str, bool]) -> list[Case]:
    """Return the cases that are open, ranked by what may be lost.

    Parameters
    ----------
    decisions
        In the order in which they were published.
    verdicts
        What people have said, by transaction.

    Examples
    --------
    >>> said = dict(
    ...     timestamp="2026-01-01T00:00:00.000Z", counterparty="shop", p_value=0.1, labels_learned=0, frauds_learned=0
    ... )
    >>> odd, odder, usual = (
    ...     DecisionRecord(transaction_id=id_, account=account, amount=100.0, decision=what, fraud_score=score, **said)
    ...     for id_, account, what, score in [
    ...         ("t1", "ann", "review", 0.4), ("t2", "bob", "review", 0.7), ("t3", "ann", "approve", 0.0)
    ...     ]
    ... )
    >>> [(case.account, case.expected_loss) for case in open_cases([odd, odder, usual], {})]
    [('bob', 70.0), ('ann', 40.0)]
    >>> [case.account for case in open_cases([odd, odder, usual], {"t2": False})]
    ['ann']

    """
    waiting: dict[str, dict[str, DecisionRecord]] = {}
    for decision in decisions:
        if decision.decision != "approve" and decision.transaction_id not in verdicts:
            waiting.setdefault(decision.account, {})[decision.transaction_id] = decision
    cases = [
        Case(
            account=account,
            expected_loss=round(
                sum(one.amount * one.fraud_score for one in found.values() if one.decision == "review"), 2
            ),
            fraud_score=max(one.fraud_score for one in found.values()),
            transactions=tuple(reversed(found.values())),
        )
        for account, found in waiting.items()
    ]
    return sorted(cases, key=lambda case: (-case.expected_loss, -case.fraud_score, case.account))
