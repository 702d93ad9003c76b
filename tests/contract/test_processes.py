"""`tocsin worker --processes N` on a real Kafka: several workers on one host, watched over."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import psutil
import pytest

from tests.contract.service import Service, free_port

START = 1_767_225_600.0  # 2026-01-01T00:00:00Z


class Processes:
    """`tocsin worker --processes 2` and what it has logged."""

    def __init__(self, service: Service) -> None:
        self.port = two_free_ports()
        self.log = service.folder / "processes.log"
        environment = service.environment | {
            "TOCSIN_HTTP__PORT": str(self.port),
            "TOCSIN_HTTP__HOST": "127.0.0.1",
            "TOCSIN_STATE__DIRECTORY": str(service.folder / "state"),
        }
        with self.log.open("wb") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tocsin", "worker", "--processes", "2"], env=environment, stderr=out
            )
        self.wait_for(lambda: len(self.assignments()) == 2, "both have partitions")

    def events(self, name: str) -> list[dict[str, object]]:
        lines = (line for line in self.log.read_text().splitlines() if line.startswith("{"))
        return [event for event in map(json.loads, lines) if event["event"] == name]

    def assignments(self) -> list[object]:
        """Shares of the partitions, by the last two assignments, if together they are all and none is empty."""
        shares = [event["partitions"] for event in self.events("partitions_assigned")][-2:]
        together = sorted(name for share in shares if isinstance(share, list) for name in share)
        return shares if all(shares) and len(together) == len(set(together)) == 8 else []

    def workers(self) -> list[psutil.Process]:
        return [psutil.Process(int(str(event["pid"]))) for event in self.events("process_started")]

    def wait_for(self, done: object, what: str, seconds: float = 90) -> None:
        assert callable(done)
        deadline = time.monotonic() + seconds
        while not done():
            assert time.monotonic() < deadline, f"{what}: {self.log.read_text()[-3000:]}"
            assert self.process.poll() is None, self.log.read_text()[-3000:]
            time.sleep(0.1)

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(timeout=60)


def two_free_ports() -> int:
    while True:
        port = free_port()
        with socket.socket() as next_one:
            if next_one.connect_ex(("127.0.0.1", port + 1)) != 0:
                return port


@pytest.fixture
def processes(service: Service) -> Iterator[Processes]:
    running = Processes(service)
    yield running
    running.stop()


def send(service: Service, first: int, count: int) -> None:
    service.produce(
        "telemetry",
        [
            (f"s{i % 40}", {"source": f"s{i % 40}", "timestamp": START + i, "values": {"x": i % 7}})
            for i in range(first, first + count)
        ],
    )


def test_a_worker_that_dies_is_started_again_and_nothing_is_lost(service: Service, processes: Processes) -> None:
    send(service, 0, 2000)
    service.read("scores", at_least=2000)
    processes.workers()[0].kill()
    send(service, 2000, 2000)
    processes.wait_for(lambda: len(processes.events("process_started")) == 3, "a third process")
    scores = [json.loads(record.value) for record in service.read("scores", at_least=4000)]
    assert len({(score["source"], score["timestamp"]) for score in scores}) == len(scores) == 4000
    (ended,) = processes.events("process_ended")
    assert (ended["process"], ended["exit_code"], ended["again_in_seconds"]) == (0, -signal.SIGKILL, 1.0)


def test_each_worker_answers_on_a_port_and_keeps_state_of_its_own(service: Service, processes: Processes) -> None:
    import urllib.request

    for port in (processes.port, processes.port + 1):
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5) as answer:
            assert answer.status == 200
    states = {str(event["state"]) for event in processes.events("worker_started")}
    assert len(states) == 2


def test_sigterm_stops_all_in_order(processes: Processes) -> None:
    workers = processes.workers()
    processes.process.send_signal(signal.SIGTERM)
    assert processes.process.wait(timeout=60) == 0
    assert [event["clean"] for event in processes.events("worker_stopped")] == [True, True]
    assert not any(worker.is_running() for worker in workers)


def test_workers_end_in_order_when_what_watches_over_them_is_killed(processes: Processes) -> None:
    workers = processes.workers()
    processes.process.kill()
    _, alive = psutil.wait_procs(workers, timeout=40)
    assert alive == []
    assert [event["clean"] for event in processes.events("worker_stopped")] == [True, True]
