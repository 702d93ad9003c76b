"""The clients of the how-to do what the page says, on a real Kafka."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from tests.contract.service import REPOSITORY, Service
from tests.debian import program
from tests.test_docs import blocks
from tocsin.broker.distribution import jars, java

PAGE = REPOSITORY / "docs" / "how-to" / "clients.md"


def run(service: Service, *command: str) -> str:
    environment = os.environ | {"KAFKA_BOOTSTRAP": service.brokers, "PREFIX": service.prefix}
    done = subprocess.run(
        command, env=environment, cwd=service.folder, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def alerting(service: Service) -> None:
    """A policy, and a reading that is outside of its valid range."""
    file = service.folder / "policies.yaml"
    file.write_text("policies: [{name: fans, source: 'fan-*', values: {speed: {max: 800}}}]")
    service.tocsin("policy", "apply", str(file), "--author", "ann")
    time.sleep(2.1)  # it counts for what is produced two seconds later
    service.produce("telemetry", [("fan-1", {"source": "fan-1", "timestamp": time.time(), "values": {"speed": 900}})])


def test_the_client_in_python_sends_a_reading_and_prints_alerts(service: Service) -> None:
    alerting(service)
    service.start_worker().wait_until_ready()
    service.read("alerts", at_least=1)
    (code,) = blocks(PAGE, "python")
    told = run(service, sys.executable, "-c", code, "1")
    assert "fan-1" in told
    assert b'"pump-7"' in b"".join(record.value for record in service.read("telemetry"))


def test_the_client_in_java_compiles_and_sends_a_reading(service: Service, tmp_path: Path) -> None:
    (code,) = blocks(PAGE, "java")
    (tmp_path / "TocsinClient.java").write_text(code)
    class_path = os.pathsep.join(str(path) for path in jars())
    javac = program("javac")
    subprocess.run([javac, "--release", "17", "-cp", class_path, "TocsinClient.java"], cwd=tmp_path, check=True)
    environment = os.environ | {"KAFKA_BOOTSTRAP": service.brokers, "PREFIX": service.prefix}
    running = subprocess.Popen(
        [str(java()), "-cp", os.pathsep.join((str(tmp_path), class_path)), "TocsinClient"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        service.produce("alerts", [("a1", b'{"alert_id": "a1"}')])
        assert running.stdout is not None
        assert running.stdout.readline().strip() == 'a1 {"alert_id": "a1"}'
        (sent,) = service.read("telemetry", at_least=1)
        assert sent.key == b"pump-7"
    finally:
        running.kill()
        running.wait()


def test_kcat_sends_a_reading_and_reads_it(service: Service) -> None:
    program("kcat")
    (script,) = blocks(PAGE, "bash")
    told = run(service, shutil.which("bash") or "bash", "-euc", script)
    assert told.startswith('pump-7 {"source": "pump-7"')
