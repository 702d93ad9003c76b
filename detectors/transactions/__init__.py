"""Fraud in transactions: histories of accounts and counterparties, an online classifier, and decisions."""

from detectors.transactions.account import AccountHistory
from detectors.transactions.counterparty import CounterpartyHistory
from detectors.transactions.decision import Decision, DecisionSettings, decide
from detectors.transactions.model import FraudModel, FraudModelSettings, FraudScore

__all__ = [
    "AccountHistory",
    "CounterpartyHistory",
    "Decision",
    "DecisionSettings",
    "FraudModel",
    "FraudModelSettings",
    "FraudScore",
    "decide",
]
