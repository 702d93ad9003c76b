"""Standby replicas: a worker that takes over has the states of the other already, or reads them from the changelog."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.contract.service import Service, Worker
from tocsin.broker import EmbeddedKafka

START = 1_767_225_600.0
SOURCES, ROUNDS = 100, 20


def said(worker: Worker, event: str) -> list[dict[str, Any]]:
    lines = (line for line in worker.log.read_text().splitlines() if line.startswith("{"))
    return [one for one in map(json.loads, lines) if one["event"] == event]


def wait_for(done: Callable[[], bool], what: str, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)


def all_is_stored(worker: Worker) -> bool:
    return "tocsin_checkpoint_age_seconds 0.0" in worker.get("/metrics")


def read_when_taking_over(service: Service) -> int:
    """Let one of two workers die, and return how many records of changelogs the other has to read."""
    service.create_topics()
    stays, dies = service.start_worker(), service.start_worker()
    for worker in (stays, dies):
        worker.wait_until_ready()
        wait_for(lambda: any(len(one["partitions"]) == 2 for one in said(stays, "partitions_assigned")), "both share")
    sources = [f"pump-{number}" for number in range(SOURCES)]
    events = [
        (s, {"source": s, "timestamp": START + 10 * i, "values": {"x": i % 7}}) for i in range(ROUNDS) for s in sources
    ]
    service.produce("telemetry", events)
    assert len(service.read("scores", at_least=len(events))) == len(events)
    wait_for(lambda: all(map(all_is_stored, (stays, dies))), "a checkpoint covers all")
    time.sleep(2)  # the copy follows
    before = len(said(stays, "changelogs_read"))
    dies.stop(signal.SIGKILL)
    wait_for(lambda: len(said(stays, "changelogs_read")) > before, "the other takes over")
    return sum(one["offsets"] for one in said(stays, "changelogs_read")[before:])


@pytest.mark.slow
@pytest.mark.parametrize(("replicas", "least", "most"), [(0, SOURCES // 4, 10_000), (1, 0, 5)])
def test_a_standby_takes_over_without_reading_the_changelog(
    kafka: EmbeddedKafka, tmp_path: Path, replicas: int, least: int, most: int
) -> None:
    service = Service(kafka.bootstrap_servers, f"{tmp_path.name}-", tmp_path)
    service.environment |= {
        "TOCSIN_TOPICS__PARTITIONS": "2",
        "TOCSIN_STATE__CHECKPOINT_SECONDS": "1",
        "TOCSIN_STATE__STANDBY_REPLICAS": str(replicas),
    }
    try:
        assert least <= read_when_taking_over(service) <= most
    finally:
        service.stop_workers()
