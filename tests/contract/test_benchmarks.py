"""`tocsin bench throughput` and `latency` on a real Kafka: that they run, say what they promise, and clean up."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaAdminClient

from tocsin.bench.contestants import CONTESTANTS
from tocsin.broker import EmbeddedKafka
from tocsin.cli import run


@pytest.fixture
def bootstrap(kafka: EmbeddedKafka, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    monkeypatch.setenv("KAFKA_BOOTSTRAP", kafka.bootstrap_servers)
    monkeypatch.chdir(tmp_path)
    return kafka.bootstrap_servers


def last_line(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    return json.loads(capsys.readouterr().out.splitlines()[-1])


def topics_of_benchmarks(servers: str) -> list[str]:
    admin = KafkaAdminClient(bootstrap_servers=servers)
    found = [name for name in admin.list_topics() if name.startswith("bench-")]
    admin.close()
    return found


@pytest.mark.slow
def test_throughput_compares_all_contestants_on_one_topic(
    bootstrap: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plot = tmp_path / "throughput.svg"
    assert run(["bench", "throughput", "--short", "--plot", str(plot), "--json"]) == 0
    found = last_line(capsys)
    assert list(found["events_per_second"]) == [contestant.name for contestant in CONTESTANTS]
    assert set(found["ratios"]) == {"same_model_vs_confluent", "same_model_vs_faust", "default_vs_confluent"}
    assert all(ratio > 0 for ratio in found["ratios"].values())
    assert "Quix Streams" in plot.read_text()
    assert topics_of_benchmarks(bootstrap) == []


@pytest.mark.slow
def test_latency_is_measured_at_three_loads_and_beside_saturation(
    bootstrap: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plot = tmp_path / "latency.svg"
    assert run(["bench", "latency", "--short", "--plot", str(plot), "--json"]) == 0
    found = last_line(capsys)
    assert list(found["alerts"]) == ["25%", "50%", "75%"]
    for latency in (*found["alerts"].values(), found["decisions_while_telemetry_saturates"]):
        assert latency["samples"] > 0
        assert 0 <= latency["p50"] <= latency["p99"]
    assert found["decisions_while_telemetry_saturates"]["samples"] == 100
    assert "ms from event to alert" in plot.read_text()
    assert topics_of_benchmarks(bootstrap) == []


@pytest.mark.parametrize(("command", "missing"), [("throughput", "quixstreams"), ("latency", "confluent_kafka")])
def test_what_is_missing_is_said_in_one_line(
    command: str, missing: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    there = importlib.util.find_spec
    monkeypatch.setattr("tocsin.bench.contestants.find_spec", lambda name: None if name == missing else there(name))
    assert run(["bench", command, "--short"]) == 1
    assert capsys.readouterr().err == f"tocsin: {missing} cannot be imported: pip install 'tocsin[bench]'\n"
