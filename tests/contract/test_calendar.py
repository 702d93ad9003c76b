"""The calendar on a real Kafka: what it holds back, what is announced meanwhile, and the same after a kill."""

from __future__ import annotations

import json
import random
import signal
import time
from typing import Any

from tests.contract.conftest import Service

USUAL, ODD = 200, 60.0


def test_a_window_and_a_planned_change_mute_a_running_worker_and_one_that_was_killed(service: Service) -> None:
    chance = random.Random(4)
    began = {name: round(time.time()) - 3000.0 for name in ("pump-7", "fan-1")}

    def send(source: str, usual: int, *odd: float) -> None:
        values = [20 + chance.gauss(0, 1) for _ in range(usual)] + list(odd)
        events = [{"source": source, "timestamp": began[source] + i, "values": {"x": x}} for i, x in enumerate(values)]
        began[source] += len(values)
        service.produce("telemetry", [(source, event) for event in events])

    def scores(source: str) -> list[dict[str, Any]]:
        found = [json.loads(record.value) for record in service.read("scores", quiet=2)]
        return [one for one in found if one["source"] == source and one.get("held")]

    start = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(began["pump-7"] + USUAL))
    file = service.folder / "stops.yaml"
    file.write_text(
        f"policies: [{{name: stops, source: 'pump-*', calendar: [{{name: stop, start: '{start}', duration: 60, "
        "freeze: true}]}]"
    )
    worker = service.start_worker()
    worker.wait_until_ready()
    service.tocsin("policy", "apply", str(file), "--author", "ann")
    service.tocsin(
        *("calendar", "plan", "fan-*", "--start", repr(began["fan-1"] + USUAL), "--lasts", "60", "--id", "d42")
    )
    time.sleep(2.1)  # they count for what is produced two seconds later
    send("pump-7", USUAL, *[ODD] * 30)
    send("fan-1", USUAL, *[ODD] * 30)
    service.read("scores", at_least=2 * (USUAL + 30))
    assert service.read("alerts") == []
    assert {(one["held"], *one["windows"]) for one in scores("pump-7")} == {("calendar", "stops/stop")}
    assert {(one["held"], *one["windows"]) for one in scores("fan-1")} == {("calendar", "change d42/maintenance")}
    worker.stop(signal.SIGKILL)
    send("pump-7", 0, *[ODD] * 40)  # goes on beyond the window's end
    send("fan-1", 60)
    worker.restart()
    worker.wait_until_ready()
    service.read("scores", at_least=2 * (USUAL + 30) + 100)
    told = list(service.final_alerts().values())
    assert {(alert["source"], alert["state"]) for alert in told} == {("pump-7", "firing")}
    assert min(alert["started_at"] for alert in told)[:19] + "Z" == start
    positions = [dict(record.headers)["tocsin-position"] for record in service.read("scores")]
    assert len(positions) == len(set(positions)) == 2 * (USUAL + 30) + 100
