"""A worker with far less memory than its sources want scores as one that has room for all."""

from __future__ import annotations

import csv
import json
import random
import signal
from collections import Counter
from pathlib import Path

from tests.contract.conftest import Service

SOURCES, ROUNDS = 1500, 8
START = 1_767_225_600


def test_with_little_memory_and_a_kill_the_scores_are_those_of_a_run_with_room_for_all(
    service: Service, tmp_path: Path
) -> None:
    chance = random.Random(5)
    rows = [
        (START + 60 * number, f"s{source}", round(chance.gauss(source % 50, 1.0), 3))
        for number in range(ROUNDS)
        for source in chance.sample(range(SOURCES), SOURCES)
    ]
    with (tmp_path / "events.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("timestamp", "source", "x"), *rows])
    service.tocsin("backtest", "telemetry", str(tmp_path / "events.csv"), "-o", str(tmp_path / "out.csv"))
    with (tmp_path / "out.csv").open(newline="") as file:
        wanted = Counter((row["source"], float(row["anomaly_score"])) for row in csv.DictReader(file))

    service.environment |= {"TOCSIN_STATE__MEMORY_MEGABYTES": "8", "TOCSIN_STATE__CACHE_MEGABYTES": "8"}
    worker = service.start_worker()
    worker.wait_until_ready()
    half = len(rows) // 2
    events = [
        (name, json.dumps({"source": name, "timestamp": at, "values": {"x": x}}).encode()) for at, name, x in rows
    ]
    service.produce("telemetry", events[:half])
    service.read("scores", at_least=half // 2)
    worker.stop(signal.SIGKILL)
    worker.restart()
    worker.wait_until_ready()
    service.produce("telemetry", events[half:])
    scores = [json.loads(record.value) for record in service.read("scores", at_least=len(rows))]
    assert Counter((score["source"], score["anomaly_score"]) for score in scores) == wanted

    said = dict(line.rsplit(" ", 1) for line in worker.get("/metrics").splitlines() if line[:1] != "#")
    assert float(said["tocsin_sources_evicted_total"]) > SOURCES
    assert float(said["tocsin_state_memory_bytes"]) < 2 * float(said["tocsin_state_memory_limit_bytes"])
    assert float(said['tocsin_models{detector="auto"}']) < SOURCES
    assert '"sources_evicted"' in worker.log.read_text()
