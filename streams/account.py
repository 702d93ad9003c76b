"""What became of an event of telemetry, and why."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from alerts.alert import Time
from alerts.why import Finding

Outcome = Literal[
    "alert",
    "pending",
    "held",
    "normal",
    "duplicate",
    "dead_letter",
    "not_processed",
    "no_event",
    "unknown_source",
]


class Versions(BaseModel):
    """Who decided: the program, the detector with the format of its state, and the policies that governed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tocsin: str
    detector: str
    detector_format: int
    policies: tuple[str, ...] = ()


class Account(BaseModel):
    """What became of an event, and why."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str
    at: Time = Field(description="Event time; if there is no event, the time that was asked for")
    event_id: str | None = None
    position: str | None = Field(None, description="Topic, partition and offset of the event")
    outcome: Outcome
    reason: str = Field(description="What decided: `alert`, `below_threshold`, `min_deviation`, `warm_up`, …")
    because: str = Field(description="The same in words")
    change: str | None = Field(None, description="What to change, should that not be wanted")
    p_value: float | None = None
    anomaly_score: float | None = None
    warm_up: float | None = Field(None, description="How far the detector had got with learning what is normal")
    missing: tuple[str, ...] = Field((), description="What was still to come before scores are fully usable")
    findings: tuple[Finding, ...] = Field((), description="Each kind of signal that spoke, and what became of it")
    feedback: tuple[str, ...] = Field((), description="What people's labels did")
    versions: Versions | None = None
    evidence: Literal["trace", "score", "replay", "dead_letter", "none"] = Field(
        description="`trace`: the stored decision was made again; `score`: as published; `replay`: scored again from"
        " the events that Kafka still holds, since usual events are not published"
    )
    exact: bool | None = Field(
        None,
        description="Whether what was made again is what was recorded; of a replay, whether it began at the first"
        " event that there was, and the source had no peers to begin from",
    )
