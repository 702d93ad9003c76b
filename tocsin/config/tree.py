"""All settings there are, composed of what each package says it can be told."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydantic import Field

from alerts.incident_settings import IncidentSettings
from streams.delivery.settings import NotifySettings
from streams.serving.settings import ServeSettings
from streams.settings import EngineSettings
from streams.telemetry_settings import TelemetrySettings
from streams.topics import TopicSettings
from streams.transaction_settings import TransactionSettings
from tocsin.config.load import load_settings


class Configuration(EngineSettings):
    """Everything that `tocsin.yaml` can say."""

    topics: TopicSettings = Field(TopicSettings(), description="How topics are created.")
    telemetry: TelemetrySettings = Field(TelemetrySettings(), description="How telemetry is scored and alerts.")
    transactions: TransactionSettings = Field(TransactionSettings(), description="How transactions are decided.")
    incidents: IncidentSettings = Field(
        IncidentSettings(), description="Which alerts are one incident, and what is known of causes."
    )
    notify: NotifySettings = Field(NotifySettings(), description="Who is told of alerts, and how.")
    serve: ServeSettings = Field(ServeSettings(), description="How callers that wait for a decision are answered.")


def load_configuration(file: Path | None = None, environment: Mapping[str, str] | None = None) -> Configuration:
    """Load the configuration.

    Parameters
    ----------
    file
        The YAML file; ``None`` takes the one that ``TOCSIN_CONFIG`` names, else ``tocsin.yaml`` if it is
        there, else only the environment and the defaults.
    environment
        Environment variables; ``None`` takes this process's.

    Raises
    ------
    ConfigurationError
        If anything is wrong, with every problem found, its place and what to do.

    Examples
    --------
    >>> load_configuration(environment={"KAFKA_BOOTSTRAP": "broker:9092"}).kafka.bootstrap_servers
    'broker:9092'

    """
    return load_settings(Configuration, file, environment)
