"""The service with the real Prometheus and Alertmanager beside it, configured as `deploy/` configures them."""

from __future__ import annotations

import contextlib
import json
import random
import re
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import yaml

from tests.contract.conftest import REPOSITORY, Service, free_port
from tests.contract.notified import Notifying
from tests.debian import program
from tocsin.demo.cards import CardSimulator

DEPLOY = REPOSITORY / "deploy"
START = 1_767_225_600.0  # 2026-01-01T00:00:00Z
SLICES = 6

Message = tuple[str, str, bytes | dict[str, Any]]
"""Topic, key and value."""


class Server:
    """A program with an HTTP interface, on a free port."""

    def __init__(self, name: str, port: int, folder: Path, *options: str) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self._log = folder / f"{name}.log"
        command = [program(name), f"--web.listen-address=127.0.0.1:{port}", *options]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)

    def get(self, path: str, **parameters: str) -> Any:
        with urllib.request.urlopen(f"{self.url}{path}?{urllib.parse.urlencode(parameters)}", timeout=5) as answer:
            return json.loads(answer.read())

    def wait_until_ready(self) -> None:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and self._process.poll() is None:
            with contextlib.suppress(OSError), urllib.request.urlopen(f"{self.url}/-/ready", timeout=1):
                return
            time.sleep(0.1)
        raise AssertionError(self._log.read_text()[-2000:])

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()


class Prometheus(Server):
    """A Prometheus that can be asked."""

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Return the series of an instant query."""
        found: list[dict[str, Any]] = self.get("/api/v1/query", query=expression)["data"]["result"]
        return found

    def wait_for(self, expression: str, seconds: float = 60) -> list[dict[str, Any]]:
        """Return the series of an instant query once there are some."""
        return until(lambda: self.query(expression), expression, seconds)


def until(found: Callable[[], list[Any]], what: str, seconds: float = 60) -> list[Any]:
    """Return what is found once something is."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if result := found():
            return result
        time.sleep(0.25)
    raise AssertionError(f"not within {seconds} s: {what}")


class Monitored:
    """Two workers with traffic, a process that tells somebody of their alerts, and what watches over them."""

    def __init__(self, service: Service) -> None:
        self.service = service
        service.environment |= {
            "TOCSIN_TOPICS__PARTITIONS": "2",
            "TOCSIN_TELEMETRY__MIN_SILENCE": "2",
            "TOCSIN_TELEMETRY__FORECASTS__VALUES": "all",
            "TOCSIN_TELEMETRY__FORECASTS__PUBLISH_EVERY": "5",
            "TOCSIN_STATE__CHECKPOINT_SECONDS": "1",
            "TOCSIN_TRANSACTIONS__DECISION__REVIEW_AT": "0.1",
            "TOCSIN_TRANSACTIONS__DECISION__DECLINE_AT": "0.4",
            "TOCSIN_TRANSACTIONS__DECISION__DECLINE_AFTER_FRAUDS": "2",
        }
        service.create_topics()
        self.workers = [service.start_worker() for _ in range(2)]
        self.notifying = Notifying(service)
        receivers = [{"name": "ops", "webhook": [self.notifying.webhook()]}]
        route = {"receiver": "ops", "group_by": ["source"], "group_wait": 0.5, "group_interval": 1}
        self.notifying.configure({"tell": "both", "route": route, "receivers": receivers})
        self._servers: list[Server] = []

    def start(self) -> None:
        """Start Alertmanager and Prometheus, and wait until both workers and notify are seen at work."""
        self.notifying.start()
        folder, port = self.service.folder, free_port()
        alerting = DEPLOY / "alertmanager/alertmanager.yml"
        options = f"--config.file={alerting}", f"--storage.path={folder}/alertmanager", "--cluster.listen-address="
        self.alertmanager = Server("alertmanager", port, folder, *options)
        self._servers.append(self.alertmanager)
        config = self._configuration(port)
        self.prometheus = Prometheus(
            "prometheus", free_port(), folder, f"--config.file={config}", f"--storage.tsdb.path={folder}/tsdb"
        )
        self._servers.append(self.prometheus)
        for server in self._servers:
            server.wait_until_ready()
        for worker in self.workers:
            worker.wait_until_ready()
        self.prometheus.wait_for('sum(tocsin_ready{job="tocsin"}) == 2 and sum(tocsin_partitions) == 4')
        self.prometheus.wait_for("tocsin_notify_active == 1")

    def stop(self) -> None:
        for server in self._servers:
            server.stop()
        self.notifying.stop()
        self.service.stop_workers()

    def send_traffic(self) -> list[Message]:
        """Send events that move every metric, spread over some scrapes; return them."""
        sent: list[Message] = []
        for messages in zip(sliced(telemetry()), sliced(payments()), sliced(broken()), strict=True):
            sent += [message for part in messages for message in part]
            for topic in ("telemetry", "labels", "transactions"):
                self.service.produce(topic, [(k, v) for part in messages for t, k, v in part if t == topic])
            time.sleep(1.2)
        events = sum(topic != "labels" for topic, _, _ in sent)
        self.prometheus.wait_for(f'sum(tocsin_events_total{{outcome!~"label_.+"}}) >= {events}')
        self.prometheus.wait_for('sum(tocsin_alerts_total{kind="silence", state="firing"}) > 0')
        self.prometheus.wait_for("sum(tocsin_deliveries_total) > 0 and sum(tocsin_delivery_queue) == 0")
        self.prometheus.wait_for("sum(tocsin_consumer_lag) == 0 and max(tocsin_checkpoint_age_seconds) == 0")
        return sent

    def _configuration(self, alertmanager: int) -> Path:
        """Write Prometheus's configuration with other addresses and shorter times; return where it is."""
        config = yaml.safe_load((DEPLOY / "prometheus/prometheus.yml").read_text())
        config["global"] |= {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}
        config["alerting"]["alertmanagers"] = [{"static_configs": [{"targets": [f"127.0.0.1:{alertmanager}"]}]}]
        ports = {"tocsin": [worker.port for worker in self.workers], "tocsin-notify": self.notifying.ports}
        config["scrape_configs"] = [job for job in config["scrape_configs"] if job["job_name"] in ports]
        for job in config["scrape_configs"]:
            del job["dns_sd_configs"]
            job["static_configs"] = [{"targets": [f"127.0.0.1:{port}" for port in ports[job["job_name"]]]}]
        rules = (DEPLOY / "prometheus/rules.yml").read_text()
        (self.service.folder / "rules.yml").write_text(re.sub(r"\bfor: \w+", "for: 1s", rules))
        path = self.service.folder / "prometheus.yml"
        path.write_text(yaml.safe_dump(config))
        return path


def sliced(messages: list[Message]) -> Iterator[list[Message]]:
    """Cut into SLICES parts of about the same size."""
    left, size = iter(messages), -(-len(messages) // SLICES)
    return (list(islice(left, size)) for _ in range(SLICES))


def telemetry() -> list[Message]:
    """Eight sources, ten readings a second: one with spikes, one with a level that shifts, and then all are silent."""
    chance = random.Random(3)
    messages: list[Message] = []
    for step in range(900):
        for number in range(8):
            flow = 12 + chance.gauss(0, 0.1)
            if number == 1 and step in (500, 650, 800):
                flow += 9
            if number == 2 and 550 <= step < 700:
                flow += 3
            source = f"pump-{number}"
            event: dict[str, Any] = {"source": source, "timestamp": START + step / 10, "values": {"flow": flow}}
            messages.append(("telemetry", source, event))
    return messages


def payments() -> list[Message]:
    """Four weeks of card payments with many frauds, and what is known of them five days later."""
    simulator = CardSimulator(seed=5, days=28, customers=25, terminals=40, fraud_rate=40.0, label_delay=5.0)
    return [(topic, key, json.dumps(value).encode()) for topic, key, _, value in simulator.messages()]


def broken() -> list[Message]:
    """Events that cannot be taken, for some reasons."""
    values: tuple[bytes | dict[str, Any], ...] = (
        b"hello",
        {"source": "pump-1", "timestamp": START},
        {"source": "pump-1", "timestamp": "soon", "values": {"flow": 1.0}},
        {"source": "pump-1", "timestamp": START * 2, "values": {"flow": 1.0}},
    )
    return [("telemetry", "pump-1", value) for value in values * 6]
