"""Alerts in the real Alertmanager: they fire, are grouped, inhibited, silenced and resolved, whoever is restarted."""

from __future__ import annotations

import json
import signal
import time
import urllib.request
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from alerts.alert import Severity
from tests.contract.monitored import Server, until
from tests.contract.notified import Hook, Notifying
from tests.contract.service import Service, free_port
from tocsin.broker import EmbeddedKafka

CONFIG = {
    "route": {
        "receiver": "hook",
        "group_by": ["source"],
        "group_wait": "100ms",
        "group_interval": "500ms",
        "repeat_interval": "1h",
    },
    "inhibit_rules": [
        {"source_matchers": ["kind=silence"], "target_matchers": ["kind!=silence"], "equal": ["source"]},
    ],
}


class Alertmanager:
    """Debian's Alertmanager, which tells a hook, and a notifier that tells it."""

    def __init__(self, service: Service) -> None:
        self.notifying, self.hook = Notifying(service), Hook()
        self._folder, self._port = service.folder, free_port()
        hooks = [{"name": "hook", "webhook_configs": [{"url": self.hook.url}]}]
        (self._folder / "alertmanager.yml").write_text(yaml.safe_dump({**CONFIG, "receivers": hooks}))
        self.start()
        sink = {"url": self.server.url, "resend_interval": 1, "resolve_timeout": 10}
        route = {"receiver": "am", "group_wait": 0, "group_interval": 0.2}
        link = "http://grafana/d?var-source={{ alert.source | urlencode }}"
        receivers = [{"name": "am", "alertmanager": [sink]}]
        self.notifying.configure({"route": route, "receivers": receivers, "templates": {"link": link}})
        self.notifying.start()
        self.notifying.wait_until_active()

    def start(self) -> None:
        self.server = Server(
            "alertmanager", self._port, self._folder,
            f"--config.file={self._folder}/alertmanager.yml", f"--storage.path={self._folder}/data",
            "--cluster.listen-address=",
        )  # fmt: skip
        self.server.wait_until_ready()

    def alerts(self, *filters: str) -> list[dict[str, Any]]:
        query = "&".join(f"filter={urllib.request.quote(one)}" for one in filters)  # type: ignore[attr-defined]
        with urllib.request.urlopen(f"{self.server.url}/api/v2/alerts?{query}", timeout=5) as answer:
            found: list[dict[str, Any]] = json.loads(answer.read())
        return found

    def one(self, name: str, state: str = "active", seconds: float = 20) -> dict[str, Any]:
        def found() -> list[dict[str, Any]]:
            return [one for one in self.alerts(f"alert_id={name}") if one["status"]["state"] == state]

        (alert,) = until(found, f"{name} {state}", seconds)
        return dict(alert)

    def silence(self, name: str) -> str:
        now = datetime.now(UTC)
        matcher = {"name": "alert_id", "value": name, "isRegex": False, "isEqual": True}
        said = {
            "matchers": [matcher], "startsAt": now.isoformat(), "endsAt": (now + timedelta(hours=1)).isoformat(),
            "createdBy": "ann", "comment": "works",
        }  # fmt: skip
        request = urllib.request.Request(
            f"{self.server.url}/api/v2/silences", json.dumps(said).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=5) as answer:
            return str(json.loads(answer.read())["silenceID"])

    def stop(self) -> None:
        self.notifying.stop()
        self.server.stop()
        self.hook.stop()


@pytest.fixture(scope="module")
def alertmanager(kafka: EmbeddedKafka, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Alertmanager]:
    folder: Path = tmp_path_factory.mktemp("alertmanager")
    service = Service(kafka.bootstrap_servers, f"test-{uuid.uuid4().hex[:8]}-", folder)
    service.create_topics()
    running = Alertmanager(service)
    yield running
    running.stop()


def test_an_alert_fires_with_what_is_known_of_it_and_is_resolved(alertmanager: Alertmanager) -> None:
    alertmanager.notifying.fire("f1", source="pump 7", severity=Severity.CRITICAL)
    shown = alertmanager.one("f1")
    assert shown["labels"] == {
        "alertname": "TocsinSpike", "alert_id": "f1", "stream": "telemetry", "source": "pump 7", "kind": "spike",
        "severity": "critical",
    }  # fmt: skip
    assert shown["annotations"]["summary"] == "f1 is odd"
    assert shown["generatorURL"] == "http://grafana/d?var-source=pump%207"
    alertmanager.notifying.resolve("f1", source="pump 7", severity=Severity.CRITICAL)
    until(lambda: [one for one in alertmanager.hook.told if one["status"] == "resolved"], "the end")
    assert alertmanager.alerts("alert_id=f1") == []


def test_alerts_are_grouped_as_alertmanager_is_told_to(alertmanager: Alertmanager) -> None:
    alertmanager.notifying.fire("g1", "g2", source="fan-1")
    alertmanager.one("g1")
    alertmanager.one("g2")
    (group,) = [one for one in alertmanager.server.get("/api/v2/alerts/groups") if one["labels"] == {"source": "fan-1"}]
    assert sorted(one["labels"]["alert_id"] for one in group["alerts"]) == ["g1", "g2"]


def test_an_alert_is_inhibited_and_one_is_silenced_by_alertmanager(alertmanager: Alertmanager) -> None:
    silence = alertmanager.silence("i3")
    alertmanager.notifying.fire("i1", source="belt-1", kind="silence")
    alertmanager.notifying.fire("i2", source="belt-1")
    alertmanager.notifying.fire("i3", source="belt-2")
    alertmanager.one("i1")
    assert alertmanager.one("i2", "suppressed")["status"]["inhibitedBy"]
    assert alertmanager.one("i3", "suppressed")["status"]["silencedBy"] == [silence]


def test_an_alert_that_grows_more_severe_is_one_alert_still(alertmanager: Alertmanager) -> None:
    alertmanager.notifying.fire("s1", severity=Severity.WARNING)
    alertmanager.one("s1")
    alertmanager.notifying.fire("s1", version=2, severity=Severity.CRITICAL)

    def severities() -> list[str]:
        return [one["labels"]["severity"] for one in alertmanager.alerts("alert_id=s1")]

    until(lambda: [1] * (severities() == ["critical"]), "critical alone")
    time.sleep(1.5)  # it is told again in between
    assert severities() == ["critical"]


def test_what_fires_is_there_again_after_a_restart_of_alertmanager(alertmanager: Alertmanager) -> None:
    alertmanager.notifying.fire("r1")
    alertmanager.one("r1")
    alertmanager.server.stop()
    alertmanager.notifying.fire("r2")
    alertmanager.start()
    assert alertmanager.one("r1")["startsAt"]
    assert alertmanager.one("r2")["startsAt"]


def test_what_ends_while_the_notifier_is_dead_is_resolved_when_another_begins(alertmanager: Alertmanager) -> None:
    alertmanager.notifying.fire("d1", "d2")
    alertmanager.one("d1")
    alertmanager.one("d2")
    process = alertmanager.notifying.processes[-1]
    process.send_signal(signal.SIGKILL)
    process.wait()
    alertmanager.notifying.resolve("d1")
    alertmanager.notifying.start()
    alertmanager.notifying.wait_until_active()
    until(lambda: [1] * (not alertmanager.alerts("alert_id=d1")), "the end of d1")
    time.sleep(0.1)
    assert alertmanager.one("d2")["status"]["state"] == "active"
