"""From what was decided about a transaction to its record on topic ``decisions``."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

from alerts.alert import iso
from detectors.transactions import Contest, Decision, FraudScore
from detectors.transactions.contest import Scores
from detectors.transactions.trace import DecisionTrace
from streams.decisions import DecisionRecord, PackedTrace
from streams.rule_book import Judged
from streams.schemas import TransactionEvent
from streams.traces import program


def decision_record(
    event: TransactionEvent,
    score: FraudScore,
    decision: Decision,
    *,
    learned: Sequence[int],
    most: int,
    judged: Judged | None = None,
    contest: tuple[Contest, Scores] | None = None,
    shadow_scores: bool = False,
    trace: DecisionTrace | None = None,
) -> DecisionRecord:
    """Return the record of a decision.

    Parameters
    ----------
    event
        The transaction.
    score, decision
        What the model says, and what came of it.
    learned
        How many labels the model had learned: genuine ones, and frauds.
    most
        Contributions that are told.
    judged
        What rules and lists say; ``None`` while there are none.
    contest
        The models that compete, and their scores; ``None`` without challengers.
    shadow_scores
        Whether the scores of challengers are told.
    trace
        What the decision rests on.

    """
    more: dict[str, Any] = {}
    if judged is not None:
        lists = {name: dict(found) for name, found in judged.hits.items() if found}
        more |= {"rules": judged.findings, "rule_versions": judged.versions, "lists": lists}
    if contest is not None:
        models, scores = contest
        more |= {"model": models.champion, "model_version": models.reign}
        if shadow_scores:
            others = models.by_name(scores)
            others.pop(models.champion, None)
            more["shadow_scores"] = others
    if trace is not None:
        more["trace"] = PackedTrace(program(), base64.b64encode(trace.encode()).decode())
    strongest = sorted(score.contributions.items(), key=lambda item: -abs(item[1]))
    return DecisionRecord(
        transaction_id=event.transaction_id,
        timestamp=iso(event.time),
        account=event.account,
        counterparty=event.counterparty,
        amount=event.amount,
        currency=event.currency,
        decision=decision.verdict,
        fraud_score=score.probability,
        p_value=score.p_value,
        reasons=decision.reasons,
        contributions={name: round(value, 4) for name, value in strongest[:most]},
        labels_learned=sum(learned),
        frauds_learned=learned[True],
        **more,
    )
