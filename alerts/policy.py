"""When a score is worth an alert: thresholds, gates and severities, in one place for every detector."""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from alerts.alert import Severity
from detectors.score import Score, SignalScore

Gate = Literal["enabled", "direction", "min_deviation", "min_relative_deviation"]
"""A setting because of which a signal counts as normal, however improbable it is."""


class Gates(BaseModel):
    """What an anomaly must be besides improbable; a signal that does not pass counts as normal."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    direction: Literal["both", "above", "below"] = Field(
        "both", description="Only deviations above, or below, what was expected"
    )
    min_deviation: float = Field(0.0, ge=0, description="Smallest deviation from the expected value that matters")
    min_relative_deviation: float = Field(
        0.0, ge=0, description="The same as a share of the expected value: 0.2 is 20 %"
    )

    def stop(self, score: Score, signal: SignalScore) -> Gate | None:
        """Return the gate that a signal does not pass, ``None`` if it is worth an alert.

        Examples
        --------
        >>> from detectors.score import ValueExplanation
        >>> score = Score(0.0001, 0.9, values={"x": ValueExplanation(12.0, 10.0, 9.0, 11.0, 1.0)})
        >>> Gates(min_relative_deviation=0.1).stop(score, SignalScore("spike", 0.0001, "x", 1))
        >>> Gates(min_relative_deviation=0.5).stop(score, SignalScore("spike", 0.0001, "x", 1))
        'min_relative_deviation'

        """
        if (self.direction == "above" and signal.direction < 0) or (self.direction == "below" and signal.direction > 0):
            return "direction"
        if not (self.min_deviation or self.min_relative_deviation) or signal.name is None:
            return None
        explained = score.values.get(signal.name)
        if explained is None or explained.expected is None:
            return None
        deviation = abs(explained.value - explained.expected)
        if not deviation >= self.min_deviation:
            return "min_deviation"
        relative = self.min_relative_deviation * abs(explained.expected)
        return None if deviation >= relative else "min_relative_deviation"


class Thresholds(BaseModel):
    """When an alert of one kind begins, fires, grows severe and ends."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    enabled: bool = Field(True, description="Whether this kind raises alerts at all")
    fire_p: float = Field(1e-4, gt=0, lt=1, description="p-value at or below which an alert begins")
    clear_p: float = Field(0.02, gt=0, le=1, description="p-value above which an event counts as normal again")
    fire_after: float = Field(0.0, ge=0, description="Seconds the condition must last before the alert fires")
    resolve_after: float = Field(0.0, ge=0, description="Seconds of normal events after which it resolves")
    resolve_after_events: int = Field(5, ge=1, description="Normal events in a row after which it resolves")
    warning_p: float = Field(1e-5, gt=0, lt=1, description="p-value at or below which severity is warning")
    critical_p: float = Field(1e-6, gt=0, lt=1, description="p-value at or below which severity is critical")
    least_severity: Severity = Field(Severity.INFO, description="Severity that every alert has at least")
    most_severity: Severity = Field(Severity.CRITICAL, description="Severity that no alert exceeds")
    flap_after: int | None = Field(
        None, ge=2, le=100, description="Alerts within `flap_window` from which on one counts as flapping"
    )
    flap_window: float = Field(
        3600.0, gt=0, description="Seconds for `flap_after`; one that flaps ends only after as long a calm"
    )
    remind_every: float | None = Field(
        None, gt=0, description="Seconds after which a firing alert is said again, unless it is acknowledged"
    )
    escalate_after: tuple[float, ...] = Field(
        (), max_length=10, description="Seconds of firing without acknowledgement after which it reaches level 1, 2, …"
    )
    gates: Gates = Field(default_factory=Gates, description="What an anomaly must be besides improbable")

    @model_validator(mode="after")
    def _in_order(self) -> Thresholds:
        if self.clear_p < self.fire_p:
            raise ValueError(f"clear_p ({self.clear_p}) must not be below fire_p ({self.fire_p})")
        if self.least_severity.rank > self.most_severity.rank:
            raise ValueError(
                f"least_severity ({self.least_severity}) must not exceed most_severity ({self.most_severity})"
            )
        if any(second <= first for first, second in pairwise((0.0, *self.escalate_after))):
            raise ValueError("escalate_after must rise: each level comes later than the one before")
        return self

    def stop(self, score: Score, signal: SignalScore) -> Gate | None:
        """Return what keeps a signal of this kind from raising an alert, ``None`` if only its p-value can."""
        return self.gates.stop(score, signal) if self.enabled else "enabled"

    def severity(self, p_value: float) -> Severity:
        """Return the severity of a p-value.

        Examples
        --------
        >>> Thresholds().severity(3e-6).value
        'warning'

        """
        if p_value <= self.critical_p:
            return self.bounded(Severity.CRITICAL)
        return self.bounded(Severity.WARNING if p_value <= self.warning_p else Severity.INFO)

    def bounded(self, severity: Severity) -> Severity:
        """Return a severity, or the nearest that there may be.

        Examples
        --------
        >>> Thresholds(most_severity="warning").bounded(Severity.CRITICAL).value
        'warning'

        """
        if severity.rank > self.most_severity.rank:
            return self.most_severity
        return self.least_severity if severity.rank < self.least_severity.rank else severity


class BudgetLimits(BaseModel):
    """How many alerts may begin in any 24 hours of event time; the rest are held back, the most improbable last.

    ``silence`` is not counted: it has no p-value.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    per_source_a_day: float | None = Field(
        None, gt=0, le=1000, description="Alerts of one source, of telemetry only; 0.5 is one in two days"
    )
    per_stream_a_day: float | None = Field(
        None,
        gt=0,
        le=10_000,
        description="Alerts of all sources together, of telemetry only; partitions share it equally",
    )


class Policy(BaseModel):
    """Thresholds for all kinds, and for some of them others.

    Examples
    --------
    >>> policy = Policy(kinds={"level": Thresholds(fire_p=1e-6)})
    >>> policy.of("level").fire_p, policy.of("spike").fire_p
    (1e-06, 0.0001)

    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    default: Thresholds = Field(default_factory=Thresholds, description="Thresholds of every kind not named in `kinds`")
    kinds: dict[str, Thresholds] = Field(default_factory=dict, description="Thresholds of single kinds")
    budget: BudgetLimits = Field(default_factory=BudgetLimits, description="How many alerts may begin")

    def of(self, kind: str) -> Thresholds:
        """Return the thresholds of a kind."""
        return self.kinds.get(kind, self.default)

    @property
    def highest_fire_p(self) -> float:
        """Largest p-value at which any kind begins an alert."""
        return max(t.fire_p for t in (self.default, *self.kinds.values()))
