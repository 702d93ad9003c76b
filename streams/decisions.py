"""The schema of topic ``decisions``: one record for each transaction."""

from __future__ import annotations

from typing import Literal

import msgspec

from detectors.transactions.rules import Finding


class PackedTrace(msgspec.Struct, frozen=True):
    """What a decision rests on: ``data`` is base64."""

    tocsin: str
    data: str


class DecisionRecord(msgspec.Struct, frozen=True, kw_only=True):
    """The JSON value of topic ``decisions``; its key is the account.

    Parameters
    ----------
    transaction_id, timestamp, account, counterparty, amount, currency
        The transaction, as it came; the time in ISO 8601.
    decision
        What to do: ``approve``, ``review`` (a person should look) or ``decline``.
    fraud_score
        Probability of fraud, in 0…1, calibrated on the labels so far.
    p_value
        How often a transaction has been at least this unusual, in 0…1; needs no labels.
    reasons
        Why it is not approved, in plain words, strongest first.
    contributions
        What the strongest features added to (or took from) the log-odds of fraud.
    model, model_version
        Which model decided, and how many champions the partition has had up to it; left out without challengers.
    rules
        What rule sets said; those in shadow are marked and changed nothing. Left out, as the next two, while there are
        neither rules nor lists.
    rule_versions
        The rule sets that were asked, with their versions.
    lists
        The lists that it stands on: by list and field, the reason.
    trace
        What the decision rests on, packed, with the version of Tocsin that decided: for ``tocsin explain decision``.
    shadow_scores
        What the other models say, by name, if ``transactions.shadow_scores`` asks for it.
    labels_learned, frauds_learned
        Experience of the model that decided: how many labels it had learned, and how many of them were frauds.

    Examples
    --------
    >>> record = DecisionRecord(
    ...     transaction_id="tx-1", timestamp="2026-01-01T00:00:00.000Z", account="card-7", counterparty="shop",
    ...     amount=12.5, decision="approve", fraud_score=0.001, p_value=0.5, labels_learned=0, frauds_learned=0,
    ... )
    >>> DecisionRecord.decode(record.encode()) == record
    True

    """

    transaction_id: str
    timestamp: str
    account: str
    counterparty: str
    amount: float
    currency: str | None = None
    decision: Literal["approve", "review", "decline"]
    fraud_score: float
    p_value: float
    reasons: tuple[str, ...] = ()
    contributions: dict[str, float] = {}
    model: str | msgspec.UnsetType = msgspec.UNSET
    model_version: int | msgspec.UnsetType = msgspec.UNSET
    shadow_scores: dict[str, float] | msgspec.UnsetType = msgspec.UNSET
    rules: tuple[Finding, ...] | msgspec.UnsetType = msgspec.UNSET
    rule_versions: tuple[str, ...] | msgspec.UnsetType = msgspec.UNSET
    lists: dict[str, dict[str, str]] | msgspec.UnsetType = msgspec.UNSET
    trace: PackedTrace | msgspec.UnsetType = msgspec.UNSET
    labels_learned: int
    frauds_learned: int

    def encode(self) -> bytes:
        """Return the JSON value; the same decision always gives the same bytes."""
        return msgspec.json.encode(self)

    @classmethod
    def decode(cls, value: bytes) -> DecisionRecord:
        """Return the record that ``encode`` wrote."""
        return msgspec.json.decode(value, type=cls)
