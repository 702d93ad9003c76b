"""Fraud scoring of one shard: how surprising a transaction is, how probably it is fraud, and why."""

from __future__ import annotations

import difflib
import math
from array import array
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
from pydantic import BaseModel, ConfigDict, Field

from detectors.transactions.account import ACCOUNT_FEATURES, AccountHistory
from detectors.transactions.classifier import AdditiveLogisticRegression, Curve
from detectors.transactions.counterparty import COUNTERPARTY_FEATURES, CounterpartyHistory
from detectors.transactions.declared import NONE_DECLARED, DeclaredFeatures
from detectors.transactions.snapshots import decode_state
from detectors.transactions.surprise import TailHistogram

SURPRISES = ("amount_surprise", "habit_surprise", "velocity_surprise")
FEATURES = (*ACCOUNT_FEATURES, *COUNTERPARTY_FEATURES, *SURPRISES)

# Knots for each feature, on scales that hold for any currency and size of business. The priors let a model
# without labels speak of what is obvious: amounts and bursts never seen before, and a bad neighbourhood.
CURVES = {
    "amount": Curve(-4.0, 20.0, 0.25),
    "amount_to_mean": Curve(-4.0, 5.0, 0.25),
    "amount_to_maximum_30d": Curve(-5.0, 4.0, 0.25),
    "amount_deviation": Curve(-3.0, 12.0, 0.5),
    "count_1h": Curve(0.0, 8.0, 1.0),
    "count_1d_to_habit": Curve(-3.0, 8.0, 0.5),
    "sum_1d_to_habit": Curve(-4.0, 6.0, 0.5),
    "large_7d": Curve(0.0, 8.0, 1.0),
    "large_14d": Curve(0.0, 8.0, 1.0),
    "since_large_began": Curve(0.0, 28.0, 2.0),
    "usual_since_large": Curve(0.0, 20.0, 2.0),
    "since_last": Curve(-1.0, 24.0, 1.0),
    "hour": Curve(0.0, 24.0, 2.0),
    "weekday": Curve(0.0, 7.0, 1.0),
    "hour_habit": Curve(0.0, 8.0, 0.5),
    "new_counterparty": Curve(0.0, 1.0, 1.0),
    "account_history": Curve(0.0, 12.0, 1.0),
    "account_frauds_30d": Curve(0.0, 8.0, 1.0, prior=0.5),
    "counterparty_count_1d": Curve(0.0, 10.0, 1.0),
    "counterparty_count_7d_to_habit": Curve(-3.0, 6.0, 0.5),
    "amount_to_counterparty_mean": Curve(-4.0, 6.0, 0.5),
    "counterparty_labels_30d": Curve(0.0, 40.0, 4.0),
    "counterparty_risk_30d": Curve(0.0, 1.0, 0.1, prior=5.0),
    "counterparty_last_labels": Curve(0.0, 7.0, 1.0),
    "since_counterparty_fraud": Curve(0.0, 60.0, 2.0),
    "since_counterparty_fraud_began": Curve(0.0, 60.0, 2.0),
    "usual_frauds_30d": Curve(0.0, 10.0, 1.0),
    "since_usual_fraud": Curve(0.0, 60.0, 2.0),
    "since_usual_fraud_began": Curve(0.0, 60.0, 2.0),
    "genuine_since_usual_fraud": Curve(0.0, 20.0, 1.0),
    "frauds_since_usual_fraud_began": Curve(0.0, 20.0, 1.0),
    "amount_surprise": Curve(0.0, 6.0, 0.25, prior=0.8),
    "habit_surprise": Curve(0.0, 6.0, 0.25, prior=1.0),
    "velocity_surprise": Curve(0.0, 6.0, 0.25, prior=0.6),
}


class ClassifierSettings(BaseModel):
    """What the classifier of a fraud model sees, and how it learns."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    learning_rate: float = Field(0.2, gt=0, le=1, description="Step of the online learning (AdaGrad)")
    base_rate: float = Field(0.005, gt=0, lt=1, description="Share of frauds expected before the first label has come")
    without: frozenset[str] = Field(frozenset(), description="Features that it does not see")

    def seen(self, declared: DeclaredFeatures = NONE_DECLARED) -> dict[str, Curve]:
        """Return the features that it sees, each with its curve.

        Raises
        ------
        ValueError
            If ``without`` names no feature, or all.

        """
        curves = {**CURVES, **declared.curves}
        for name in sorted(self.without - curves.keys()):
            near = difflib.get_close_matches(name, curves, n=1)
            raise ValueError(
                f"without: there is no feature {name!r}: "
                + (f"did you mean {near[0]!r}?" if near else ", ".join(curves))
            )
        if len(self.without) == len(curves):
            raise ValueError("without: a classifier must see something: leave a feature out of this list")
        return {name: curve for name, curve in curves.items() if name not in self.without}


class FraudModelSettings(ClassifierSettings):
    """How the fraud model learns, and what it remembers of accounts."""

    known_counterparties: int = Field(
        64, ge=1, le=1024, description="Counterparties remembered for each account, to know a new one"
    )
    large: float = Field(
        3.0, gt=0, description="Deviations above an account's mean from which an amount counts as large"
    )


@dataclass(frozen=True, slots=True)
class FraudScore:
    """What the model says of one transaction.

    Parameters
    ----------
    probability
        Calibrated probability of fraud, given all labels so far.
    p_value
        How often a transaction has been at least this unusual in amount, against its account's habit or in
        speed, whatever the labels say.
    contributions
        What each feature added to the log-odds of fraud, against what it adds on average.
    features
        The features by name.

    """

    probability: float
    p_value: float
    contributions: dict[str, float]
    features: dict[str, float]


class FraudModelState(msgspec.Struct, array_like=True, frozen=True):
    """The fraud model as plain values."""

    version: int
    classifier: bytes
    tails: list[list[int]]


class FraudModel:
    """The fraud model of one shard: an online classifier and the unsupervised surprise beneath it.

    The surprise of a transaction (conformal p-values of its amount, of its amount against the account's
    habit, and of the account's speed) needs no labels; it is an input of the classifier, which begins with a
    prior opinion of it. So a model without labels finds what is plainly unusual, and no more than that: fraud
    that looks like everyday payments is found once labels have come.

    Examples
    --------
    >>> from detectors.transactions import AccountHistory, CounterpartyHistory
    >>> model, account, shop = FraudModel(FraudModelSettings()), AccountHistory(), CounterpartyHistory()
    >>> def pay(t, amount):
    ...     features = model.features(t, amount, account, shop, "shop")
    ...     score = model.score(features)
    ...     model.observe(features)
    ...     account.learn(t, amount, "shop")
    ...     shop.learn(t, amount)
    ...     return score
    >>> usual = [pay(hour * 3_600.0, 20.0 + hour % 7) for hour in range(1_000)]
    >>> pay(3_600_000.0, 2_000.0).probability > 10 * usual[-1].probability
    True

    """

    VERSION = 2

    def __init__(self, settings: FraudModelSettings, declared: DeclaredFeatures = NONE_DECLARED) -> None:
        self.names = (*FEATURES, *declared.names)
        self.classifier = make_classifier(settings, declared)
        self._tails = [TailHistogram() for _ in SURPRISES]

    @property
    def frauds_learned(self) -> int:
        """Number of frauds among the labels learned."""
        return self.classifier.learned[True]

    def features(
        self,
        t: float,
        amount: float,
        account: AccountHistory,
        counterparty: CounterpartyHistory,
        name: str,
        declared: Sequence[float] = (),
    ) -> bytes:
        """Return a transaction's features as they are now, in the form in which they wait for the label.

        Parameters
        ----------
        t
            Event time, epoch seconds.
        amount
            The amount.
        account, counterparty
            Their histories, before this transaction.
        name
            The counterparty's name.
        declared
            Values of the declared features.

        """
        values = account.features(t, amount, name) + counterparty.features(t, amount)
        odd = zip(self._tails, _oddities(amount, values), strict=True)
        values += [-math.log10(tail.p_value(oddity)) for tail, oddity in odd]
        values += declared
        return array("f", values).tobytes()

    def score(self, features: bytes) -> FraudScore:
        """Return the probability of fraud and what it comes from; learns nothing."""
        return score_with(self.classifier, named(features, self.names))

    def observe(self, features: bytes) -> None:
        """Learn what is usual from a transaction, whose label is not known yet."""
        values = array("f", features).tolist()
        amount = 2.0 ** values[0]
        for tail, oddity in zip(self._tails, _oddities(amount, values), strict=True):
            tail.learn(oddity)

    def learn(self, features: bytes, *, fraud: bool) -> None:
        """Learn from a label, with the features as they were when the transaction was decided."""
        self.classifier.learn_one(named(features, self.names), fraud)

    def snapshot(self) -> bytes:
        """Return the model in a compact, versioned, non-executable form."""
        tails = [tail.counts() for tail in self._tails]
        return msgspec.msgpack.encode(FraudModelState(self.VERSION, self.classifier.snapshot(), tails))

    def restore(self, state: bytes) -> None:
        """Take up a model that ``snapshot`` gave.

        Raises
        ------
        detectors.base.SnapshotError
            If the state is damaged or of another format.

        """
        saved = decode_state(state, FraudModelState, self.VERSION)
        self.classifier.restore(saved.classifier)
        self._tails = [TailHistogram(counts=counts) for counts in saved.tails]


def make_classifier(
    settings: ClassifierSettings, declared: DeclaredFeatures = NONE_DECLARED
) -> AdditiveLogisticRegression:
    """Return a classifier that has learned nothing yet.

    Raises
    ------
    ValueError
        If it shall be without a feature that there is not.

    """
    return AdditiveLogisticRegression(settings.seen(declared), settings.learning_rate, settings.base_rate)


def score_with(classifier: AdditiveLogisticRegression, x: dict[str, float]) -> FraudScore:
    """Return what a classifier says of features, and how unusual they are in themselves."""
    prediction = classifier.explain_one(x)
    least = 10.0 ** -max(x[name] for name in SURPRISES)
    return FraudScore(prediction.probability, min(1.0, len(SURPRISES) * least), prediction.contributions, x)


def named(features: bytes, names: Sequence[str] = FEATURES) -> dict[str, float]:
    """Return features in their compact form by name; those that were not known then are left out."""
    found = dict(zip(names, array("f", features).tolist(), strict=True))
    for name in names[len(FEATURES) :]:
        if math.isnan(found[name]):
            del found[name]
    return found


def laid_out(features: bytes, before: Sequence[str], names: Sequence[str]) -> bytes:
    """Return features as they stand if others are declared: not a number is what was not known then.

    Parameters
    ----------
    features
        In their compact form.
    before, names
        Names of the declared features in it, and of those that there are now.

    Examples
    --------
    >>> was = array("f", [0.0] * len(FEATURES) + [1.0, 2.0]).tobytes()
    >>> array("f", laid_out(was, ["a", "b"], ["b", "c"])).tolist()[len(FEATURES):]
    [2.0, nan]

    """
    values = array("f", features).tolist()
    known = dict(zip(before, values[len(FEATURES) :], strict=True))
    return array("f", [*values[: len(FEATURES)], *(known.get(name, math.nan) for name in names)]).tobytes()


_DEVIATION = FEATURES.index("amount_deviation")
_VELOCITY = FEATURES.index("count_1d_to_habit")


def _oddities(amount: float, values: list[float]) -> tuple[float, float, float]:
    """Return the three positive quantities whose upper tails are surprising."""
    return amount, 1.0 + max(values[_DEVIATION], 0.0), 1.0 + max(values[_VELOCITY], 0.0)
