"""The main job end to end, as a user sees it: events in on Kafka, alerts out."""

from __future__ import annotations

import contextlib
import csv
import json
import math
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.contract.conftest import REPOSITORY, Service

START = 1_767_225_600.0  # 2026-01-01T00:00:00Z


@pytest.fixture(scope="module")
def pumps(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six pumps, one reading a second, three of them with a fault: a spike, a new level, a stuck sensor."""
    chance, path = random.Random(11), tmp_path_factory.mktemp("pumps") / "pumps.csv"
    with path.open("w", newline="") as file:
        out = csv.writer(file)
        out.writerow(["timestamp", "source", "temperature", "flow"])
        for second in range(1500):
            for pump in range(6):
                temperature = 70 + 2 * math.sin(second / 40) + chance.gauss(0, 0.5)
                flow = 12 + chance.gauss(0, 0.1)
                if pump == 1 and second == 900:
                    temperature += 40
                if pump == 2 and second >= 1000:
                    flow += 5
                if pump == 3 and 1000 <= second < 1300:
                    temperature, flow = 70.5, 12.0
                out.writerow([START + second, f"pump-{pump}", f"{temperature:.3f}", f"{flow:.3f}"])
    return path


def live_alerts(service: Service, events: Path, workers: int) -> dict[str, Any]:
    running = [service.start_worker() for _ in range(workers)]
    for worker in running:
        worker.wait_until_ready()
    service.tocsin("produce", "telemetry", str(events))
    rows = sum(1 for _ in events.open()) - 1
    assert len(service.read("scores", at_least=rows)) == rows
    alerts = service.final_alerts()
    service.stop_workers()
    return alerts


def backtest_alerts(service: Service, events: Path, folder: Path) -> dict[str, Any]:
    service.tocsin(
        "backtest",
        "telemetry",
        str(events),
        "-o",
        str(folder / "out.csv"),
        "--alerts",
        str(folder / "alerts.jsonl"),
    )
    changes = [json.loads(line) for line in (folder / "alerts.jsonl").read_text().splitlines()]
    return {alert["alert_id"]: alert for alert in changes}


@pytest.mark.parametrize("workers", [1, 2])
def test_a_live_run_gives_the_alerts_of_the_backtest(
    service: Service, pumps: Path, tmp_path: Path, workers: int
) -> None:
    offline = backtest_alerts(service, pumps, tmp_path)
    live = live_alerts(service, pumps, workers)
    assert {"pump-1", "pump-2", "pump-3"} <= {alert["source"] for alert in offline.values()}
    assert live == offline


def test_live_scores_equal_the_backtest_on_real_data(service: Service, tmp_path: Path, data: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("realKnownCause/nyc_taxi.csv", "realTweets/Twitter_volume_AAPL.csv"):
        (folder / Path(name).name).write_bytes((data / "nab/data" / name).read_bytes())
    service.tocsin("backtest", "telemetry", str(folder), "-o", str(tmp_path / "out"))
    service.start_worker().wait_until_ready()
    service.tocsin("produce", "telemetry", str(folder))
    rows = {path.stem: list(csv.DictReader(path.open())) for path in (tmp_path / "out").glob("*.csv")}
    scores: dict[str, list[dict[str, Any]]] = {source: [] for source in rows}
    for record in service.read("scores", at_least=sum(map(len, rows.values())), seconds=120):
        score = json.loads(record.value)
        scores[score["source"]].append(score)
    for source, offline in rows.items():
        live = scores[source]
        assert [(s["anomaly_score"], s["p_value"], s["alert_score"], s["alert"]) for s in live] == [
            (float(r["anomaly_score"]), float(r["p_value"]), float(r["alert_score"]), int(r["alert"])) for r in offline
        ]


def test_sigterm_finishes_the_batch_and_a_restart_goes_on_where_it_ended(service: Service, pumps: Path) -> None:
    worker = service.start_worker()
    worker.wait_until_ready()
    half = service.folder / "half.csv"
    rest = service.folder / "rest.csv"
    header, *lines = pumps.read_text().splitlines()
    half.write_text("\n".join([header, *lines[:4000]]) + "\n")
    rest.write_text("\n".join([header, *lines[4000:]]) + "\n")
    service.tocsin("produce", "telemetry", str(half))
    assert worker.stop(signal.SIGTERM) == 0
    service.tocsin("produce", "telemetry", str(rest))
    worker.restart()
    worker.wait_until_ready()
    records = service.read("scores", at_least=len(lines))
    seen = [(score["source"], score["timestamp"]) for score in (json.loads(record.value) for record in records)]
    assert len(seen) == len(set(seen)) == len(lines)


@pytest.mark.parametrize("budget", ["null", "4"])
def test_kill_9_neither_loses_nor_repeats_an_alert(service: Service, pumps: Path, tmp_path: Path, budget: str) -> None:
    service.environment["TOCSIN_TELEMETRY__POLICY__BUDGET__PER_STREAM_A_DAY"] = budget
    offline = backtest_alerts(service, pumps, tmp_path)
    worker = service.start_worker()
    worker.wait_until_ready()
    lines = sum(1 for _ in pumps.open()) - 1
    sending = subprocess.Popen(
        [sys.executable, "-m", "tocsin", "produce", "telemetry", str(pumps), "--rate", "2000"],
        env=service.environment,
        stdout=subprocess.DEVNULL,
    )
    chance = random.Random(3)
    for _ in range(3):
        with contextlib.suppress(subprocess.TimeoutExpired):
            sending.wait(timeout=chance.uniform(0.5, 2.0))
        worker.stop(signal.SIGKILL)
        worker.restart()
        worker.wait_until_ready()
    assert sending.wait(timeout=60) == 0
    scores = service.read("scores", at_least=lines)
    assert len(scores) == lines
    changes = [json.loads(record.value) for record in service.read("alerts")]
    versions = [(alert["alert_id"], alert["version"]) for alert in changes]
    assert len(versions) == len(set(versions))
    assert {alert["alert_id"]: alert for alert in changes} == offline
    assert budget == "null" or any("held" in json.loads(score.value) for score in scores)


def test_kcat_produces_and_subscribes(service: Service) -> None:
    service.start_worker().wait_until_ready()
    events = [
        {"source": "k", "timestamp": START + i, "values": {"x": 1000.0 if i == 400 else (i * 7919) % 13 / 10}}
        for i in range(401)
    ]
    lines = "\n".join("k|" + json.dumps(event) for event in events)
    subprocess.run(
        ["kcat", "-b", service.brokers, "-t", f"{service.prefix}telemetry", "-P", "-K", "|"],
        input=lines.encode(),
        check=True,
        timeout=30,
    )
    service.read("scores", at_least=len(events))
    out = subprocess.run(
        ["kcat", "-b", service.brokers, "-t", f"{service.prefix}alerts", "-C", "-e", "-q", "-f", "%h\t%s\n"],
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    ).stdout
    headers, value = out.splitlines()[0].split("\t", 1)
    assert "ce_specversion=1.0" in headers
    assert json.loads(value)["source"] == "k"


def test_health_readiness_and_metrics_are_served(service: Service) -> None:
    worker = service.start_worker()
    worker.wait_until_ready()
    assert worker.get("/healthz")
    service.produce("telemetry", [("s", {"source": "s", "timestamp": START, "values": {"x": 1}}), ("s", b"{")])
    service.read("dead-letters", at_least=1)
    metrics = worker.get("/metrics")
    assert 'tocsin_dead_letters_total{reason="not_json"} 1.0' in metrics
    assert "tocsin_events_total{" in metrics


@pytest.mark.timeout(240)
def test_the_demo_prints_a_plausible_summary() -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "tocsin", "demo", "--duration", "30", "--json"],
        cwd=REPOSITORY,
        check=False,
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert shown.returncode == 0, shown.stderr[-2000:]
    summary = json.loads(shown.stdout.splitlines()[-1])
    assert summary["events_in"] > 5000
    assert summary["alerts"] == sum(summary["alerts_by_kind"].values()) > 0
    assert summary["known_anomalies"]["found"] >= 1
    assert summary["frauds"]["found"] >= 1
    assert summary["alerts_by_kind"].get("fraud", 0) >= 1
    assert summary["dead_letters"] == 21
    assert 0 < summary["event_to_alert_seconds"]["p50"] <= summary["event_to_alert_seconds"]["p99"]


def test_a_killed_demo_leaves_nothing(tmp_path: Path) -> None:
    demo = subprocess.Popen(
        [sys.executable, "-m", "tocsin", "demo", "--duration", "60", "--json"],
        env=os.environ | {"TMPDIR": str(tmp_path)},
        stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob("*/worker.log")) and time.monotonic() < deadline:
        time.sleep(0.1)
    children = psutil.Process(demo.pid).children(recursive=True)
    assert any("worker" in child.cmdline() for child in children)
    demo.kill()
    demo.wait()
    _, alive = psutil.wait_procs(children, timeout=30)
    assert alive == []
    assert list(tmp_path.glob("tocsin-*")) == []
