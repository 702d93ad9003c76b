"""Settings of the engine: the connection to Kafka, micro-batches, checkpoints, local state and HTTP."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator


class Settings(BaseModel):
    """Base of all settings: frozen, and an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class KafkaSettings(Settings):
    """How to reach Kafka, for every client that this project uses.

    Examples
    --------
    >>> KafkaSettings(topic_prefix="plant-").topic("alerts")
    'plant-alerts'

    """

    bootstrap_servers: str = Field("localhost:9092", description="Brokers as `host:port`, comma-separated.")
    topic_prefix: str = Field("", description="Put before every topic and group name.")
    group: str = Field("tocsin", description="Consumer group that the workers form.")
    client_id: str = Field("tocsin", description="Name that brokers log for this client.")
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "PLAIN"
    username: str | None = Field(None, description="SASL user name.")
    password: SecretStr | None = Field(None, description="SASL password.")
    ca_file: Path | None = Field(None, description="Certificates to trust, PEM; default: those of the system.")
    certificate_file: Path | None = Field(None, description="Client certificate, PEM, for mutual TLS.")
    key_file: Path | None = Field(None, description="Private key of the client certificate, PEM.")
    check_hostname: bool = Field(True, description="Whether a broker's certificate must name its host.")
    session_seconds: float = Field(10.0, ge=6, le=300, description="Silence after which a worker is given up.")

    @model_validator(mode="after")
    def _credentials_are_complete(self) -> Self:
        if self.security_protocol.startswith("SASL") and not (self.username and self.password):
            raise ValueError(f"security_protocol {self.security_protocol} needs username and password")
        return self

    @property
    def group_id(self) -> str:
        """Consumer group as Kafka knows it."""
        return self.topic_prefix + self.group

    @property
    def servers(self) -> list[str]:
        """Each of the bootstrap servers."""
        return [server.strip() for server in self.bootstrap_servers.split(",") if server.strip()]

    def topic(self, name: str) -> str:
        """Return a topic's name on the brokers."""
        return self.topic_prefix + name

    def ssl_context(self) -> ssl.SSLContext | None:
        """Return the TLS context, ``None`` without TLS."""
        if not self.security_protocol.endswith("SSL"):
            return None
        context = ssl.create_default_context(cafile=None if self.ca_file is None else str(self.ca_file))
        context.check_hostname = self.check_hostname
        if self.certificate_file is not None:
            context.load_cert_chain(str(self.certificate_file), None if self.key_file is None else str(self.key_file))
        return context

    def client_options(self) -> dict[str, Any]:
        """Return the connection options that aiokafka and kafka-python have in common."""
        options: dict[str, Any] = {
            "bootstrap_servers": self.servers,
            "client_id": self.client_id,
            "security_protocol": self.security_protocol,
            "ssl_context": self.ssl_context(),
        }
        if self.security_protocol.startswith("SASL") and self.password is not None:
            options |= {
                "sasl_mechanism": self.sasl_mechanism,
                "sasl_plain_username": self.username,
                "sasl_plain_password": self.password.get_secret_value(),
            }
        return options


class BatchSettings(Settings):
    """How much is worked on at once: larger is faster, smaller answers sooner."""

    records: int = Field(2000, ge=1, description="Most records in a micro-batch.")
    seconds: float = Field(
        0.005, gt=0, description="Time a micro-batch may take: bounds how long one stream waits for another."
    )


class StateSettings(Settings):
    """Where learned state is kept beside Kafka's changelog topics, and how often it is written."""

    directory: Path = Field(Path("tocsin-state"), description="Folder of the local RocksDB stores.")
    keep: bool = Field(True, description="Keep local state between runs; otherwise each start rebuilds it from Kafka.")
    checkpoint_seconds: float = Field(5.0, gt=0, description="Time between checkpoints.")
    checkpoint_records: int = Field(500_000, ge=1, description="Records after which a checkpoint is due anyway.")
    memory_megabytes: int = Field(
        1450,
        ge=8,
        description="Memory for the states of sources and accounts, of all partitions of a worker; beyond it"
        " some go to RocksDB and come back with their next event.",
    )
    cache_megabytes: int = Field(
        64, ge=8, description="Memory that RocksDB may take for blocks and for what it has not yet written, in all."
    )
    standby_replicas: int = Field(
        0,
        ge=0,
        le=8,
        description="Other workers that keep a copy of each partition's states, to take over without reading its"
        " changelog first. Set the same for all workers.",
    )
    key: SecretStr | None = Field(
        None,
        description="Secret that signs published models, and the states of River's own detectors and forecasters, which"
        " are pickles.",
    )


class HttpSettings(Settings):
    """Where a worker answers `/healthz`, `/readyz` and `/metrics`."""

    host: str = "0.0.0.0"  # noqa: S104 - probes and Prometheus come from other hosts
    port: int = Field(8080, ge=0, le=65535, description="0 takes a free port.")


class LogSettings(Settings):
    """How a worker logs."""

    format: Literal["json", "console"] = "json"
    level: Literal["debug", "info", "warning", "error"] = "info"


class EngineSettings(Settings):
    """All that the engine wants to know."""

    kafka: KafkaSettings = KafkaSettings()
    batch: BatchSettings = BatchSettings()
    state: StateSettings = StateSettings()
    http: HttpSettings = HttpSettings()
    log: LogSettings = LogSettings()
