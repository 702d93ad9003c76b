"""Topics that a worker needs, on a real Kafka."""

from __future__ import annotations

import contextlib
import time

import pytest
from kafka import KafkaAdminClient

from tests.contract.conftest import Service


@pytest.mark.slow
def test_a_topic_that_is_missing_stops_the_start_and_says_what_to_do(service: Service) -> None:
    """An older cluster may lack one that a newer version writes to."""
    with contextlib.closing(KafkaAdminClient(bootstrap_servers=service.brokers)) as admin:
        admin.delete_topics([f"{service.prefix}models"])
        deadline = time.monotonic() + 30
        while f"{service.prefix}models" in admin.list_topics() and time.monotonic() < deadline:
            time.sleep(0.1)
    worker = service.start_worker()
    assert worker.process.wait(60) != 0
    said = f"topic {service.prefix}models does not exist: create it with `tocsin topics create`"
    assert said in worker.log.read_text()
    service.create_topics()
    worker.restart()
    worker.wait_until_ready()
