"""How transactions are decided."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from alerts.policy import BudgetLimits, Policy, Thresholds
from detectors.transactions import (
    ClassifierSettings,
    DecisionSettings,
    FraudModelSettings,
    PromotionSettings,
)
from detectors.transactions.breaker import BreakerSettings
from detectors.transactions.contest import DEFAULT
from detectors.transactions.declared import DeclaredFeatures
from detectors.transactions.drift import DriftSettings
from streams.feature_settings import MOST, FeatureSettings, check
from streams.schemas import EventLimits, Name
from streams.settings import Settings

FRAUD_POLICY = Policy(
    default=Thresholds(
        fire_p=0.9999,
        clear_p=0.9999,
        warning_p=0.5,
        critical_p=0.2,
        resolve_after=86_400.0,
        resolve_after_events=3,
    )
)
"""An alert begins with the decision; its p-value is the probability that the transaction is genuine after all."""


class LabelSettings(BaseModel):
    """How long a label may take."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    wait_seconds: float = Field(
        30 * 86_400.0, gt=0, description="Event time after which no label for a transaction is expected any more."
    )
    wait_limit: int = Field(
        200_000,
        ge=1,
        description="Transactions of a partition, and again of all others, that may wait for labels; beyond it the "
        "oldest go.",
    )
    across_partitions: bool = Field(
        True,
        description="Whether a label counts for its counterparty in all partitions, not only in that of its payment,"
        " and a payment for each entity of a declared feature. Better decisions, for which each worker reads all"
        " payments.",
    )


class Challenge(BaseModel):
    """Which models challenge the shard's own, and what they need to take its place."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    challengers: dict[str, ClassifierSettings]
    promotion: PromotionSettings
    decision: DecisionSettings
    limits: EventLimits


class ChallengerSettings(Settings):
    """A model that is scored beside the one which decides."""

    model: ClassifierSettings = Field(ClassifierSettings(), description="What it sees, and how it learns.")


class TransactionSettings(Settings):
    """How transactions are decided."""

    limits: EventLimits = Field(EventLimits(), description="What a transaction may be.")
    features: tuple[FeatureSettings, ...] = Field(
        (), description="Features that models and rules see beside the built-in ones.", max_length=MOST
    )
    model: FraudModelSettings = Field(FraudModelSettings(), description="How the fraud model learns.")
    challengers: dict[Name, ChallengerSettings] = Field(
        {}, description="Models that score the same transactions in shadow, by name.", max_length=16
    )
    promotion: PromotionSettings = Field(
        PromotionSettings(), description="When a challenger takes the champion's place."
    )
    drift: DriftSettings = Field(DriftSettings(), description="When the model has been overtaken by events.")
    shadow_scores: bool = Field(False, description="Whether decisions tell what the other models say.")
    decision: DecisionSettings = Field(DecisionSettings(), description="Where a score becomes a decision.")
    labels: LabelSettings = Field(LabelSettings(), description="How long labels may take.")
    alert_on: frozenset[str] = Field(frozenset({"review", "decline"}), description="Decisions that raise an alert.")
    breaker: BreakerSettings = Field(BreakerSettings(), description="When declines are too many to be right.")
    rules: bool = Field(True, description="Whether topics `rules` and `lists` have a say.")
    policy: Policy = Field(FRAUD_POLICY, description="How severe an account's alert is, and when it ends.")
    traces: Literal["all", "suspicious", "none"] = Field(
        "all", description="Which decisions carry what they rest on, for `tocsin explain decision`."
    )
    contributions: int = Field(8, ge=0, description="Features whose contribution a decision tells.")
    forget_after: float | None = Field(
        90 * 86_400.0,
        gt=0,
        description="Seconds of event time without a transaction after which an account, a counterparty or another"
        " value of a declared feature's key is forgotten: its state is deleted, an account's alert ends as expired,"
        " and it begins anew with its next transaction."
        " Must be longer than `labels.wait_seconds`. `null` keeps all for good.",
    )

    @field_validator("features")
    @classmethod
    def _have_names_of_their_own(cls, features: tuple[FeatureSettings, ...]) -> tuple[FeatureSettings, ...]:
        check(features)
        return features

    @field_validator("model")
    @classmethod
    def _sees_features(cls, model: FraudModelSettings, info: ValidationInfo) -> FraudModelSettings:
        if "features" in info.data:  # else it is said what is wrong with these
            model.seen(_declared(info.data["features"]))
        return model

    @field_validator("challengers")
    @classmethod
    def _see_features(
        cls, challengers: dict[str, ChallengerSettings], info: ValidationInfo
    ) -> dict[str, ChallengerSettings]:
        for name, one in challengers.items() if "features" in info.data else ():
            try:
                one.model.seen(_declared(info.data["features"]))
            except ValueError as error:
                raise ValueError(f"{name}.model.{error}") from None
        return challengers

    @property
    def declared(self) -> DeclaredFeatures:
        """The declared features, as they are computed."""
        return _declared(self.features)

    @field_validator("challengers")
    @classmethod
    def _default_is_taken(cls, challengers: dict[str, ChallengerSettings]) -> dict[str, ChallengerSettings]:
        if DEFAULT in challengers:
            raise ValueError(f"{DEFAULT!r} is the model under transactions.model: give the challenger another name")
        return challengers

    @property
    def challenge(self) -> Challenge | None:
        """What a shard must know of the challengers, if there are any."""
        if not self.challengers:
            return None
        models = {name: one.model for name, one in self.challengers.items()}
        return Challenge(challengers=models, promotion=self.promotion, decision=self.decision, limits=self.limits)

    @field_validator("policy")
    @classmethod
    def _has_no_budget(cls, policy: Policy) -> Policy:
        if policy.budget != BudgetLimits():
            raise ValueError("an alert budget is for telemetry: here each alert is a decision; see review_at")
        return policy

    @model_validator(mode="after")
    def _waits_for_labels(self) -> Self:
        if self.forget_after is not None and self.forget_after <= self.labels.wait_seconds:
            raise ValueError(
                f"forget_after: {self.forget_after:g} s is not longer than labels.wait_seconds,"
                f" {self.labels.wait_seconds:g} s: labels would come for accounts that are forgotten"
            )
        return self


def _declared(features: tuple[FeatureSettings, ...]) -> DeclaredFeatures:
    return DeclaredFeatures([one.declared() for one in features])
