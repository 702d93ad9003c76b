"""Trained models are published while a worker runs, learn from failures, and are rolled back."""

from __future__ import annotations

import json
import signal
import time
from typing import Any

from tests.contract.conftest import Service
from tests.detectors.machines import COLUMNS, machines


def life(source: str, number: int, *, fails: bool) -> list[tuple[str, dict[str, Any]]]:
    """Return a machine's life as events of the last minutes; all but the failure itself, unless it fails."""
    machine = machines(number + 1, seed=11)[number]
    begin = time.time() - 3600
    events = []
    for cycle, values in zip(machine.times.tolist(), machine.values.tolist(), strict=True):
        readings = {"cycle": cycle, **dict(zip(COLUMNS, values, strict=True))}
        events.append((source, {"source": source, "timestamp": begin + cycle, "values": readings}))
    if fails:
        events[-1][1]["attributes"] = {"failure": "bearing"}
    return events


def test_a_model_is_taken_up_learns_a_failure_and_is_rolled_back_without_a_restart(service: Service) -> None:
    history = service.folder / "failed.csv"
    rows = [
        [machine.unit, time_, *values]
        for machine in machines(20)
        for time_, values in zip(machine.times.tolist(), machine.values.tolist(), strict=True)
    ]
    history.write_text("\n".join(",".join(map(str, row)) for row in [["unit", "cycle", *COLUMNS], *rows]))
    model = service.folder / "pumps.model"
    service.tocsin("train", "rul", "--data", str(history), "-o", str(model))
    worker = service.start_worker()
    worker.wait_until_ready()

    def said(topic: str, at_least: int = 0) -> list[dict[str, Any]]:
        return [json.loads(record.value) for record in service.read(topic, at_least=at_least)]

    def version(source: str) -> int:
        found: int = [one for one in said("forecasts") if one["source"] == source][-1]["machine"]["version"]
        return found

    service.tocsin("models", "publish", str(model), "--source", "pump-*", "--by", "ann")
    time.sleep(2.1)  # it counts for what is produced two seconds later
    service.produce("telemetry", life("pump-1", 0, fails=True))
    (failure,) = said("failures", at_least=1)
    assert (failure["source"], failure["mode"], failure["version"]) == ("pump-1", "bearing", 1)
    (warning,) = [alert for alert in service.final_alerts().values() if alert["kind"] == "early_warning"]
    assert (warning["source"], warning["state"], warning["history"][-1]["note"]) == (
        "pump-1",
        "resolved",
        "it has come",
    )

    assert "pumps version 2 is published" in service.tocsin("models", "learn", "pumps").stdout
    assert "knows all failures" in service.tocsin("models", "learn", "pumps").stdout
    assert "1 failed while the model was in use" in service.tocsin("models", "card", "pumps").stdout
    time.sleep(2.1)
    service.produce("telemetry", life("pump-2", 1, fails=False)[:20])
    service.read("scores", at_least=20)
    assert version("pump-2") == 2

    plan = ["--failure-cost", "50", "--early-cost", "5", "--per-week", "40", "--a-week", "2", "--json"]
    planned = json.loads(service.tocsin("maintenance", "plan", *plan).stdout)
    assert planned["unit"] == "cycle"
    assert "pump-2" in [*planned["later"], *(one["machine"] for one in planned["plan"])]

    damaged = json.loads(service.read("artefacts")[-1].value) | {"version": 3}
    damaged["model"]["name"] = "other"
    service.produce("artefacts", [("pumps@3", damaged)])
    (letter,) = said("dead-letters", at_least=1)
    assert "signature is broken" in letter["detail"]
    worker.stop(signal.SIGKILL)
    worker.restart()
    worker.wait_until_ready()
    service.produce("telemetry", life("pump-3", 2, fails=False)[:20])
    service.read("scores", at_least=20)
    assert version("pump-3") == 2

    assert "version 4 is published" in service.tocsin("models", "rollback", "pumps", "--to", "1").stdout
    time.sleep(2.1)
    service.produce("telemetry", life("pump-4", 3, fails=False)[:20])
    service.read("scores", at_least=20)
    assert version("pump-4") == 4
    told = json.loads(service.tocsin("models", "versions", "--json").stdout)
    units = [one["model"]["metrics"]["trained_on"]["units"] for one in told if one["version"] in (1, 2, 4)]
    assert units == [20, 21, 20]
    assert "withdrawn" in service.tocsin("models", "withdraw", "pumps").stdout
