"""The demo's settings: how its worker differs from one that is started by hand. All of them are here."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from pathlib import Path

PARTITIONS = 1
"""The demo has one worker. Of few labels, one fraud model that sees all payments makes more than several."""

CHECKPOINT_SECONDS = 2.0
"""Seldom enough to cost nothing, often enough to be seen in the metrics of a minute."""


def worker_environment(
    environment: Mapping[str, str], brokers: str, folder: Path, port: int, topic_prefix: str
) -> dict[str, str]:
    """Return the environment variables of the demo's worker.

    Those of the service are left out, so that the demo shows the defaults whatever else is configured here; how to
    reach Kafka stays if ``KAFKA_BOOTSTRAP`` names one.

    Parameters
    ----------
    environment
        Variables of this process.
    brokers
        Kafka's address.
    folder
        Where the worker may write.
    port
        Where it answers over HTTP.
    topic_prefix
        Put before every topic and group.

    Examples
    --------
    >>> found = worker_environment({"TOCSIN_TELEMETRY__SAMPLE": "1"}, "localhost:9092", Path("/tmp/d"), 8080, "")
    >>> "TOCSIN_TELEMETRY__SAMPLE" in found, found["KAFKA_BOOTSTRAP"]
    (False, 'localhost:9092')

    """
    reaching = ("TOCSIN_KAFKA__",) if environment.get("KAFKA_BOOTSTRAP") else ()
    kept = {
        name: value
        for name, value in environment.items()
        if not name.startswith("TOCSIN_") or (reaching and name.startswith(reaching))
    }
    kept.pop("TOCSIN_KAFKA__BOOTSTRAP_SERVERS", None)
    return kept | {
        "KAFKA_BOOTSTRAP": brokers,
        "TOCSIN_KAFKA__TOPIC_PREFIX": topic_prefix,
        "TOCSIN_TOPICS__PARTITIONS": str(PARTITIONS),
        "TOCSIN_STATE__DIRECTORY": str(folder / "state"),
        "TOCSIN_STATE__CHECKPOINT_SECONDS": str(CHECKPOINT_SECONDS),
        "TOCSIN_HTTP__HOST": "127.0.0.1",
        "TOCSIN_HTTP__PORT": str(port),
    }


def private_prefix(configured: str) -> str:
    """Return a prefix that sets the demo's topics on somebody's Kafka apart from all others."""
    return f"{configured}demo-{secrets.token_hex(3)}-"
