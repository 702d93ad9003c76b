"""Policies and commands on a real Kafka: taken while a worker runs, and the same after it was killed."""

from __future__ import annotations

import random
import signal
import time

from tests.contract.conftest import Service


def test_an_applied_policy_governs_a_running_worker_and_one_that_was_killed(service: Service) -> None:
    chance = random.Random(3)

    def send(count: int, last: float | None = None) -> None:
        values = [20 + chance.gauss(0, 1) for _ in range(count)] + ([] if last is None else [last])
        now = time.time()
        events = [
            {"source": "pump-7", "timestamp": now + i / 1000, "values": {"x": value}} for i, value in enumerate(values)
        ]
        service.produce("telemetry", [("pump-7", event) for event in events])

    def apply(text: str) -> None:
        file = service.folder / "policies.yaml"
        file.write_text(text)
        service.tocsin("policy", "apply", str(file), "--author", "ann")
        time.sleep(2.1)  # it counts for what is produced two seconds later

    def ranges() -> list[tuple[str, str, str | None]]:
        found = service.final_alerts().values()
        told = [alert for alert in found if alert["kind"] == "range"]
        return [
            (alert["state"], f"{alert['policies'][0]['name']}@{alert['policies'][0]['version']}", alert["owner"])
            for alert in sorted(told, key=lambda alert: str(alert["updated_at"]))
        ]

    worker = service.start_worker()
    worker.wait_until_ready()
    send(10)
    apply("policies: [{name: pumps, source: 'pump-*', values: {x: {max: 25}}, owner: plant}]")
    send(5, last=26.0)
    service.read("alerts", at_least=1)
    assert ranges() == [("firing", "pumps@1", "plant")]
    (alert_id,) = (key for key, alert in service.final_alerts().items() if alert["kind"] == "range")
    service.tocsin("alerts", "ack", alert_id, "--by", "ann")
    service.read("alerts", at_least=2, quiet=3)  # no event comes any more
    assert ranges() == [("acknowledged", "pumps@1", "plant")]
    worker.stop(signal.SIGKILL)
    apply("policies: [{name: pumps, source: 'pump-*', values: {x: {max: 30}}, owner: other}]")
    send(6, last=31.0)
    worker.restart()
    worker.wait_until_ready()
    service.read("alerts", at_least=4)
    assert ranges() == [("resolved", "pumps@2", "other"), ("firing", "pumps@2", "other")]
    assert service.final_alerts()[alert_id]["acknowledged_by"] == "ann"
