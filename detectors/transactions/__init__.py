"""Fraud in transactions: histories of accounts and counterparties, an online classifier, and decisions."""

from detectors.transactions.account import AccountHistory
from detectors.transactions.contest import Contest
from detectors.transactions.counterparty import CounterpartyHistory
from detectors.transactions.decision import Decision, DecisionSettings, decide
from detectors.transactions.model import ClassifierSettings, FraudModel, FraudModelSettings, FraudScore
from detectors.transactions.promotion import PromotionSettings

__all__ = [
    "AccountHistory",
    "ClassifierSettings",
    "Contest",
    "CounterpartyHistory",
    "Decision",
    "DecisionSettings",
    "FraudModel",
    "FraudModelSettings",
    "FraudScore",
    "PromotionSettings",
    "decide",
]
