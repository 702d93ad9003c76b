"""How alerts become incidents: what belongs together, from how many on, and what is known of causes."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from alerts.advice import Runbook
from alerts.diagnosis import DiagnosisSettings
from alerts.topology import TopologySettings


class IncidentSettings(BaseModel):
    """When alerts are an incident, and what it says."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    topology: TopologySettings = Field(default_factory=TopologySettings, description="What depends on what.")
    diagnosis: DiagnosisSettings = Field(default_factory=DiagnosisSettings, description="What speaks for a cause.")
    group_by: tuple[str, ...] = Field(
        (), description="Attributes of sources: alerts that agree in all of them belong together. `stream` is one too."
    )
    window: float = Field(300.0, gt=0, description="Seconds between alerts that may still belong together.")
    min_alerts: int = Field(1, ge=1, description="Alerts from which on they are an incident.")
    min_sources: int = Field(1, ge=1, description="Sources that must have raised them.")
    settle: float = Field(10.0, ge=0, description="Seconds from the first alert until it is said, if it is not over.")
    publish_every: float = Field(
        10.0,
        gt=0,
        description="Least seconds between two values of an incident whose state has not changed; twice as long each"
        " time, up to 32 times.",
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
