"""Feedback on a real Kafka: people's labels change what is raised next, and are told so."""

from __future__ import annotations

import json
import random
import time
from typing import Any

from tests.contract.conftest import Service


def test_a_label_holds_back_what_looks_alike_until_the_opposite_label_takes_it_back(service: Service) -> None:
    chance = random.Random(2)
    sent: list[dict[str, Any]] = []

    def send(*values: float) -> dict[str, Any]:
        """Send events as of now, and return the score of the last."""
        first = len(sent)
        sent.extend(
            {
                "source": "pump-7",
                "timestamp": time.time() + i / 1000,
                "values": {"x": value},
                "event_id": f"e{first + i}",
            }
            for i, value in enumerate(values)
        )
        service.produce("telemetry", [("pump-7", event) for event in sent[first:]])
        scores = [json.loads(record.value) for record in service.read("scores", at_least=len(sent), quiet=0.2)]
        return next(score for score in scores if score["event_id"] == sent[-1]["event_id"])

    def usual(count: int) -> list[float]:
        return [20 + chance.gauss(0, 1) for _ in range(count)]

    def say(about: str, truth: str) -> None:
        time.sleep(0.05)  # an event of the same millisecond would not be later
        service.tocsin("label", about, truth, "--by", "ann")

    past = time.time() - 2000
    sent += [
        {"source": "pump-7", "timestamp": past + i, "values": {"x": value}, "event_id": f"e{i}"}
        for i, value in enumerate(usual(1000))
    ]
    service.produce("telemetry", [("pump-7", event) for event in sent])
    worker = service.start_worker()
    worker.wait_until_ready()

    assert send(60.0)["alert"] == 1
    (alert,) = [alert for alert in service.final_alerts().values() if alert["state"] == "firing"][:1]
    for alert_id in service.final_alerts():
        say(alert_id, "--false")
    send(*usual(30))
    assert service.final_alerts()[alert["alert_id"]]["state"] == "retracted"

    before = set(service.final_alerts())
    held = send(60.0)
    assert held["alert"] == 0
    assert held["feedback"][0]["summary"].startswith("held: feedback of ann, ")
    assert set(service.final_alerts()) == before

    worker.stop()
    worker.restart()
    worker.wait_until_ready()
    for alert_id in before:
        say(alert_id, "--true")
    send(*usual(30))
    assert send(60.0)["alert"] == 1
    assert set(service.final_alerts()) > before
