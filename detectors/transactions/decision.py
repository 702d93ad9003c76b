"""From a fraud score to a decision, with its reasons in plain words."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from detectors.transactions.account import DAY
from detectors.transactions.model import FraudScore

Verdict = Literal["approve", "review", "decline"]


class DecisionSettings(BaseModel):
    """Where the fraud score turns into a decision."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    review_at: float = Field(0.3, gt=0, le=1, description="Fraud score from which a person should look")
    decline_at: float = Field(0.8, gt=0, le=1, description="Fraud score from which a transaction is declined")
    decline_after_frauds: int = Field(
        20,
        ge=0,
        description="Frauds a model must have learned before it may decline; until then it asks for review",
    )
    review_above: float | None = Field(
        None, gt=0, description="Amount above which a transaction is reviewed, whatever its score"
    )

    @model_validator(mode="after")
    def _in_order(self) -> DecisionSettings:
        if self.review_at > self.decline_at:
            raise ValueError(f"review_at ({self.review_at}) must not exceed decline_at ({self.decline_at})")
        return self


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do with a transaction, and why, most important reason first."""

    verdict: Verdict
    reasons: tuple[str, ...]


def decide(settings: DecisionSettings, score: FraudScore, amount: float, frauds_learned: int) -> Decision:
    """Return the decision on a transaction.

    Parameters
    ----------
    settings
        Thresholds.
    score
        The model's verdict.
    amount
        The transaction's amount.
    frauds_learned
        How many frauds the model has learned.

    Examples
    --------
    >>> from detectors.transactions.model import FraudScore
    >>> score = FraudScore(0.9, 0.001, {"new_counterparty": 2.0}, {"new_counterparty": 1.0})
    >>> decide(DecisionSettings(), score, 50.0, frauds_learned=100)
    Decision(verdict='decline', reasons=('first payment to this counterparty',))
    >>> decide(DecisionSettings(), score, 50.0, frauds_learned=0).verdict
    'review'

    """
    verdict: Verdict = "approve"
    if score.probability >= settings.review_at:
        verdict = "review"
    if score.probability >= settings.decline_at and frauds_learned >= settings.decline_after_frauds:
        verdict = "decline"
    limit = settings.review_above
    if limit is not None and amount > limit:
        verdict = "review" if verdict == "approve" else verdict
        above = f"amount {amount:.2f} is above the limit of {limit:.2f} set for review"
        return Decision(verdict, (above, *explain(score, amount)))
    return Decision(verdict, explain(score, amount) if verdict != "approve" else ())


def explain(score: FraudScore, amount: float, most: int = 3) -> tuple[str, ...]:
    """Return what speaks for fraud in plain words, strongest first.

    Features that say the same thing are one reason; only what raises the log-odds noticeably is named.
    """
    declared = [_declared(name) for name in score.contributions if name not in _THEMED]
    themes = [*_THEMES, *declared]
    strength = {theme: sum(score.contributions.get(name, 0.0) for name in theme.features) for theme in themes}
    telling = sorted((theme for theme in themes if strength[theme] >= 0.5), key=lambda theme: -strength[theme])
    return tuple(theme.sentence(score.features, amount) for theme in telling[:most])


@dataclass(frozen=True, slots=True)
class _Theme:
    features: tuple[str, ...]
    sentence: Callable[[Mapping[str, float], float], str]


def _amount(x: Mapping[str, float], amount: float) -> str:
    share = 10.0 ** -x["amount_surprise"]
    if share > 0.1:
        return f"amount {amount:.2f} looks like earlier frauds"
    return f"amount {amount:.2f} is among the highest {100 * share:.1g} % of all"


def _habit(x: Mapping[str, float], amount: float) -> str:
    times = 2.0 ** x["amount_to_mean"]
    if times < 1.5:
        return f"amount {amount:.2f}, beside what this account usually pays, looks like earlier frauds"
    often = "usually pays" if x["account_history"] >= 2.0 else "has paid so far"
    return f"amount {amount:.2f} is {times:.{0 if times >= 10 else 1}f} times what this account {often}"


def _spree(x: Mapping[str, float], _: float) -> str:
    count = round(x["large_14d"])
    if not count:
        return "unusually large payments by this account not long ago"
    payments = "payment" if count == 1 else "payments"
    return f"{count} unusually large {payments} by this account in 14 days"


def _velocity(x: Mapping[str, float], _: float) -> str:
    if x["count_1h"] >= 1:
        return f"{round(x['count_1h']) + 1} payments by this account within an hour"
    return "payments by this account follow each other at an unusual pace"


def _time(x: Mapping[str, float], _: float) -> str:
    return f"paid at {int(x['hour']):02d}:{int(x['hour'] % 1 * 60):02d} UTC, unusual for this account"


def _counterparty(x: Mapping[str, float], _: float) -> str:
    if x["since_counterparty_fraud"] < 30:
        return f"fraud at this counterparty {_days(x['since_counterparty_fraud'])} ago"
    return "unusual payments at this counterparty"


def _account_frauds(x: Mapping[str, float], _: float) -> str:
    count = round(x["account_frauds_30d"])
    return f"{count} known {'fraud' if count == 1 else 'frauds'} on this account in 30 days"


def _declared(name: str) -> _Theme:
    """Return what is said of a feature that the configuration declares."""
    return _Theme((name,), lambda x, _: f"{name} is {x[name]:.3g}, as in earlier frauds")


_THEMES = (
    _Theme(("amount", "amount_surprise"), _amount),
    _Theme(("amount_to_mean", "amount_to_maximum_30d", "amount_deviation", "habit_surprise"), _habit),
    _Theme(("large_7d", "large_14d", "since_large_began", "usual_since_large"), _spree),
    _Theme(("count_1h", "count_1d_to_habit", "sum_1d_to_habit", "since_last", "velocity_surprise"), _velocity),
    _Theme(("hour", "weekday", "hour_habit"), _time),
    _Theme(("new_counterparty",), lambda _x, _amount: "first payment to this counterparty"),
    _Theme(("account_history",), lambda _x, _amount: "little is known of this account"),
    _Theme(("account_frauds_30d",), _account_frauds),
    _Theme(
        (
            "counterparty_count_1d",
            "counterparty_count_7d_to_habit",
            "amount_to_counterparty_mean",
            "counterparty_labels_30d",
            "counterparty_risk_30d",
            "counterparty_last_labels",
            "since_counterparty_fraud",
            "since_counterparty_fraud_began",
            "usual_frauds_30d",
            "since_usual_fraud",
            "since_usual_fraud_began",
            "genuine_since_usual_fraud",
            "frauds_since_usual_fraud_began",
        ),
        _counterparty,
    ),
)

_THEMED = frozenset(name for theme in _THEMES for name in theme.features)


def _days(days: float) -> str:
    return f"{days:.0f} days" if days >= 1.5 else f"{days * DAY / 3_600.0:.0f} hours"
