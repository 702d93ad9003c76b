"""How alerts become incidents: what belongs together, from how many on, and what is known of causes."""

from __future__ import annotations

import re
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from alerts.topology import TopologySettings


class Runbook(BaseModel):
    """Steps for a cause of some kind."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1, description="What the runbook is called")
    steps: tuple[str, ...] = Field(min_length=1, description="What to do, in this order")
    source: str = Field(".*", description="Regular expression for the whole name of the cause")
    kinds: tuple[str, ...] = Field((), description="Kinds of alerts of the cause, any of them; empty for all")
    changes: tuple[str, ...] = Field((), description="Kinds of changes to the cause, any of them; empty needs no change")
    url: str | None = Field(None, description="Where there is more")

    @model_validator(mode="after")
    def _is_written_well(self) -> Self:
        try:
            re.compile(self.source)
        except re.error as error:
            raise ValueError(f"source: {self.source!r} is no regular expression: {error}") from error
        return self


class IncidentSettings(BaseModel):
    """When alerts are an incident, and what it says."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    topology: TopologySettings = Field(default_factory=TopologySettings, description="What depends on what.")
    group_by: tuple[str, ...] = Field(
        (), description="Attributes of sources: alerts that agree in all of them belong together. `stream` is one too."
    )
    window: float = Field(300.0, gt=0, description="Seconds between alerts that may still belong together.")
    min_alerts: int = Field(1, ge=1, description="Alerts from which on they are an incident.")
    min_sources: int = Field(1, ge=1, description="Sources that must have raised them.")
    settle: float = Field(10.0, ge=0, description="Seconds from the first alert until it is said, if it is not over.")
    publish_every: float = Field(
        10.0, gt=0, description="Least seconds between two values of an incident whose state has not changed."
    )
    lateness: float = Field(
        5.0, ge=0, description="Seconds of event time to wait for what other partitions have to say of the same time."
    )
    reopen_within: float = Field(
        1800.0, ge=0, description="Seconds after its end for which an incident is opened again, not another one begun."
    )
    change_window: float = Field(3600.0, gt=0, description="Seconds for which a change is a candidate for a cause.")
    listed_alerts: int = Field(50, ge=1, le=500, description="Most alerts that an incident lists.")
    remembered: int = Field(256, ge=0, le=10_000, description="Past incidents that new ones are compared with.")
    runbooks: tuple[Runbook, ...] = Field((), description="Steps for causes; the first that fit come first.")
