"""The alert of an account: what is suspicious about its payments."""

from __future__ import annotations

from alerts.alert import Alert, State
from detectors.score import Score, SignalScore, ValueExplanation
from detectors.transactions import Decision, FraudScore
from streams.schemas import TransactionEvent

KIND = "fraud"


def as_score(genuine: float, score: FraudScore) -> Score:
    """Return a fraud score as the life of alerts takes it: its p-value is the probability that all is well."""
    raised = {name: value for name, value in score.contributions.items() if value > 0.0}
    total = sum(raised.values())
    values = {
        name: ValueExplanation(score.features[name], None, None, None, raised[name] / total)
        for name in sorted(raised, key=lambda name: -raised[name])[:5]
    }
    signal = SignalScore(KIND, genuine, next(iter(values), None), direction=0)
    return Score(p_value=genuine, anomaly_score=min(score.probability, 1.0), signals=(signal,), values=values)


def sentence(event: TransactionEvent, score: FraudScore, decision: Decision) -> str:
    """Return what is suspicious about a payment, in a sentence."""
    because = "; ".join(decision.reasons) or "no single reason stands out"
    currency = f" {event.currency}" if event.currency else ""
    what = "declined" if decision.verdict == "decline" else "to be reviewed"
    return (
        f"{event.account}: payment {event.transaction_id} of {event.amount:.2f}{currency} to {event.counterparty} "
        f"is {what} (fraud score {score.probability:.2f}): {because}."
    )


def worded(alert: Alert, suspicion: str) -> Alert:
    """Return an alert whose summary says what is suspicious."""
    summary = f"{suspicion} Nothing suspicious since." if alert.state is State.RESOLVED else suspicion
    return alert.model_copy(update={"summary": summary})
