"""Why a transaction was decided as it was: the decision is made again from its trace."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any

import msgspec

from detectors.base import SnapshotError
from detectors.transactions import DecisionSettings, decide
from detectors.transactions.decision import Decision
from detectors.transactions.order import NOTHING, ordered
from detectors.transactions.rules import Finding, RuleSet
from detectors.transactions.trace import DecisionTrace
from streams.decisions import DecisionRecord
from streams.rule_book import facts_of
from streams.schemas import TransactionEvent


class Explained(msgspec.Struct, frozen=True, kw_only=True):
    """A decision, what it rests on, and whether it comes out the same when it is made again.

    Parameters
    ----------
    decision
        As it was published.
    by_score
        What the score alone would have decided.
    exact
        Whether it came out the same; ``None`` without a trace.
    because
        What that rests on, in words.
    features, contributions
        What the model saw, and what each added to the log-odds of fraud, strongest first.
    rules
        What the rule sets say when they are asked again.

    """

    decision: DecisionRecord
    by_score: str | None = None
    exact: bool | None = None
    because: str
    features: dict[str, float] = {}
    contributions: dict[str, float] = {}
    rules: tuple[Finding, ...] = ()


def explained(record: DecisionRecord, event: TransactionEvent | None, rules: Mapping[str, RuleSet]) -> Explained:
    """Return why a transaction was decided as it was.

    Parameters
    ----------
    record
        The decision.
    event
        The transaction, if Kafka still has it: only then rules can be asked again.
    rules
        Rule sets by name and version.

    Raises
    ------
    detectors.base.SnapshotError
        If the trace cannot be read.

    """
    if record.trace is msgspec.UNSET:
        return Explained(decision=record, because="it carries no trace: see `transactions.traces`")
    trace = _trace(record.trace.data)
    score = trace.score(record.fraud_score, record.p_value)
    alone = decide(DecisionSettings.model_validate(trace.settings), score, record.amount, record.frauds_learned)
    said = () if record.rules is msgspec.UNSET else record.rules
    lists = {} if record.lists is msgspec.UNSET else record.lists
    hits = {**NOTHING, **lists}
    facts = None if event is None else facts_of(event, score, hits)
    findings, because = _asked_again(record, said, facts, rules)
    again = ordered(alone, hits, findings)
    if trace.breaker:
        again = Decision("review", (record.reasons[0], *again.reasons))
    same = (again.verdict, again.reasons, findings) == (record.decision, record.reasons, said)
    order = sorted(score.contributions, key=lambda name: -abs(score.contributions[name]))
    return Explained(
        decision=record,
        by_score=alone.verdict,
        exact=same,
        because=because,
        features=score.features,
        contributions={name: score.contributions[name] for name in order},
        rules=findings,
    )


def _asked_again(
    record: DecisionRecord, said: tuple[Finding, ...], facts: dict[str, Any] | None, rules: Mapping[str, RuleSet]
) -> tuple[tuple[Finding, ...], str]:
    """Return what rules say now, or what they said if they cannot be asked again."""
    asked = () if record.rule_versions is msgspec.UNSET else record.rule_versions
    if not asked:
        return said, "the stored trace"
    if facts is None:
        return said, "the stored trace; the transaction is no longer in Kafka, so rules are as they were recorded"
    if missing := [name for name in asked if name not in rules]:
        return said, f"the stored trace; {missing[0]} is no longer there, so rules are as they were recorded"
    shadow = {one.rules for one in said if one.shadow}
    found = [rules[name].ask(facts, shadow=name in shadow) for name in asked]
    telling = [one for one in found if one.action is not None or one.error]
    telling.sort(key=lambda one: (one.shadow, one.rules))
    return tuple(telling), "the stored trace, and the rules asked again"


def _trace(data: str) -> DecisionTrace:
    try:
        return DecisionTrace.decode(base64.b64decode(data, validate=True))
    except binascii.Error as error:
        raise SnapshotError(f"the trace is damaged: {error}") from error
