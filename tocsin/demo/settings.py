"""The demo's settings: how its worker differs from one that is started by hand. All of them are here."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydantic import SecretStr

from streams.settings import KafkaSettings

PARTITIONS = 1
"""The demo has one worker. Of few labels, one fraud model that sees all payments makes more than several."""

CHECKPOINT_SECONDS = 2.0
"""Seldom enough to cost nothing, often enough to be seen in the metrics of a minute."""


def worker_environment(environment: Mapping[str, str], kafka: KafkaSettings, port: int) -> dict[str, str]:
    """Return the environment variables of the demo's worker.

    Of Tocsin's settings only those of Kafka are passed on, so that the demo shows the defaults whatever else is
    configured here.

    Parameters
    ----------
    environment
        Variables of this process.
    kafka
        How to reach Kafka, and the topics' prefix.
    port
        Where it answers over HTTP.

    Examples
    --------
    >>> kafka = KafkaSettings(topic_prefix="demo-")
    >>> found = worker_environment({"TOCSIN_TELEMETRY__SAMPLE": "1"}, kafka, 8080)
    >>> "TOCSIN_TELEMETRY__SAMPLE" in found, found["TOCSIN_KAFKA__TOPIC_PREFIX"]
    (False, 'demo-')

    """
    others = {name: value for name, value in environment.items() if not name.startswith(("TOCSIN_", "KAFKA_"))}
    changed = ((name, getattr(kafka, name)) for name in kafka.model_dump(exclude_defaults=True))
    reaching = {f"TOCSIN_KAFKA__{name.upper()}": _text(value) for name, value in changed if value is not None}
    return (
        others
        | reaching
        | {
            "TOCSIN_TOPICS__PARTITIONS": str(PARTITIONS),
            "TOCSIN_STATE__DIRECTORY": "state",  # below the folder that it runs in
            "TOCSIN_STATE__CHECKPOINT_SECONDS": str(CHECKPOINT_SECONDS),
            "TOCSIN_HTTP__HOST": "127.0.0.1",
            "TOCSIN_HTTP__PORT": str(port),
        }
    )


def _text(value: object) -> str:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, Path):
        return str(value.absolute())  # the worker runs in a folder of its own
    return str(value)
