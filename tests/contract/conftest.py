"""A running Tocsin for the tests to talk to, as its users do: through Kafka and HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.contract.service import REPOSITORY, Service, Worker, free_port

__all__ = ["REPOSITORY", "Service", "Worker", "free_port"]


@pytest.fixture
def service(kafka: Any, topic_prefix: str, tmp_path: Path) -> Iterator[Service]:
    """Topics that are created and no worker yet."""
    running = Service(kafka.bootstrap_servers, topic_prefix, tmp_path)
    running.create_topics()
    yield running
    running.stop_workers()
