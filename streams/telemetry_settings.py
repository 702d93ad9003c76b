"""How telemetry is scored, and when it alerts."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from alerts.policy import Policy
from detectors.registry import DetectorSettings
from streams.forecast_settings import ForecastSettings
from streams.late_events import LateSettings
from streams.peers import PeerSettings
from streams.schemas import EventLimits
from streams.settings import Settings


class TelemetrySettings(Settings):
    """How telemetry is scored and when it alerts."""

    detector: DetectorSettings = Field(default_factory=DetectorSettings, description="Which detector, and how.")
    policy: Policy = Field(default_factory=Policy, description="When a score is worth an alert.")
    limits: EventLimits = Field(default_factory=EventLimits, description="What an event may be.")
    scores: Literal["all", "anomalous", "sample"] = Field("anomalous", description="Which scores are published.")
    anomalous_p: float = Field(0.01, gt=0, le=1, description="p-value at or below which a score counts as anomalous.")
    sample: float = Field(0.01, gt=0, le=1, description="Share of scores published with `scores: sample`.")
    peers: PeerSettings = Field(default_factory=PeerSettings, description="How new sources begin.")
    late: LateSettings = Field(default_factory=LateSettings, description="What is done with events that come late.")
    forecasts: ForecastSettings = Field(
        default_factory=ForecastSettings, description="What is foretold, and when it is warned of."
    )
    min_silence: float = Field(
        10.0, ge=0, description="Seconds without an event that never count as silence, however busy the source."
    )
    forget_after: float | None = Field(
        30 * 86_400.0,
        ge=86_400,
        description="Seconds without an event after which a source is forgotten: its state is deleted, its alerts end"
        " as expired, and it begins anew if it sends again. `null` keeps all sources for good.",
    )
