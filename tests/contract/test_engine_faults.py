"""The engine on a real Kafka: whatever happens to its workers, every event counts once and is said once."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import NewTopic

from tocsin.broker import EmbeddedKafka

TALLY = Path(__file__).parents[1] / "streams" / "tally.py"
PARTITIONS = 4


class Bench:
    """Topics of their own, worker processes, and what went in and came out."""

    def __init__(self, servers: str, folder: Path, replicas: int = 1) -> None:
        self.servers = servers
        self.folder = folder
        self.prefix = f"engine-{uuid.uuid4().hex[:8]}-"
        self.workers: list[subprocess.Popen[bytes]] = []
        self.sent: dict[tuple[str, int], list[tuple[bytes | None, bytes | None]]] = defaultdict(list)
        self._producer = KafkaProducer(
            bootstrap_servers=servers, linger_ms=10, max_request_size=4_000_000, enable_idempotence=True
        )
        admin = KafkaAdminClient(bootstrap_servers=servers)
        names = ("telemetry", "transactions", "alerts", "dead-letters")
        large = {"max.message.bytes": "4000000"}
        admin.create_topics(
            [NewTopic(self.prefix + name, PARTITIONS, replicas, topic_configs=large) for name in names]
            + [NewTopic(self.prefix + "labels", 2, replicas)]
        )
        admin.close()

    def start(self, directory: str = "state", session_seconds: float = 6, **state: Any) -> subprocess.Popen[bytes]:
        """Start a worker process."""
        settings = {
            "kafka": {
                "bootstrap_servers": self.servers,
                "topic_prefix": self.prefix,
                "session_seconds": session_seconds,
            },
            "state": {"directory": str(self.folder / directory), "checkpoint_seconds": 0.5} | state,
            "http": {"host": "127.0.0.1", "port": 0},
        }
        log = (self.folder / f"worker-{len(self.workers)}.log").open("wb")
        worker = subprocess.Popen([sys.executable, str(TALLY), json.dumps(settings)], stderr=log)
        self.workers.append(worker)
        return worker

    def log(self, worker: subprocess.Popen[bytes]) -> list[dict[str, Any]]:
        """Return what a worker has logged."""
        text = (self.folder / f"worker-{self.workers.index(worker)}.log").read_text()
        return [json.loads(line) for line in text.splitlines() if line.startswith("{")]

    def wait_for_event(self, worker: subprocess.Popen[bytes], event: str, count: int = 1) -> dict[str, Any]:
        """Wait until a worker has logged an event."""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            found = [line for line in self.log(worker) if line["event"] == event]
            if len(found) >= count:
                return found[-1]
            assert worker.poll() is None or event == "worker_stopped", self.log(worker)[-5:]
            time.sleep(0.05)
        raise AssertionError(f"no {event}: {self.log(worker)[-10:]}")

    def send(self, topic: str, key: bytes | None, value: bytes | None, partition: int) -> None:
        """Produce a record and remember it."""
        self.sent[topic, partition].append((key, value))
        self._producer.send(self.prefix + topic, key=key, value=value, partition=partition)

    def flush(self) -> None:
        """Wait until Kafka has all records."""
        self._producer.flush()

    def send_numbers(self, count: int, per_second: float | None = None, seed: int = 7) -> None:
        """Produce numbers for 200 keys, with some that are none in between."""
        rng = random.Random(seed)
        began = time.monotonic()
        for i in range(count):
            partition = rng.randrange(PARTITIONS)
            topic = "transactions" if i % 10 == 0 else "telemetry"
            broken = i % 499 == 0
            value = rng.choice([b"", None, b"\xff\x00", b"x" * 100]) if broken else b"%d" % rng.randrange(1000)
            self.send(topic, b"%s-%d-%d" % (topic.encode(), partition, rng.randrange(50)), value, partition)
            if i % 1000 == 0:
                self._producer.send(self.prefix + "labels", key=b"l", value=b"%d" % i)
                if per_second:
                    time.sleep(max(0.0, i / per_second - (time.monotonic() - began)))
        self.flush()

    def read(self, topic: str) -> dict[int, list[Any]]:
        """Read an output topic whole."""
        consumer = KafkaConsumer(bootstrap_servers=self.servers, group_id=None, max_partition_fetch_bytes=8_000_000)
        tps = [TopicPartition(self.prefix + topic, number) for number in range(PARTITIONS)]
        consumer.assign(tps)
        consumer.seek_to_beginning()
        found: dict[int, list[Any]] = {tp.partition: [] for tp in tps}
        for tp, end in consumer.end_offsets(tps).items():
            while consumer.position(tp) < end:
                for records in consumer.poll(timeout_ms=500).values():
                    for record in records:
                        found[record.partition].append(record)
        consumer.close()
        return found

    def wait_until_done(self, seconds: float = 90) -> None:
        """Wait until as many outputs are there as events went in, then a moment for any that are too many."""
        wanted = sum(len(records) for records in self.sent.values())
        consumer = KafkaConsumer(bootstrap_servers=self.servers, group_id=None)
        tps = [TopicPartition(self.prefix + t, n) for t in ("alerts", "dead-letters") for n in range(PARTITIONS)]
        deadline = time.monotonic() + seconds
        there = 0
        while there < wanted and time.monotonic() < deadline:
            time.sleep(0.1)
            there = sum(consumer.end_offsets(tps).values())
        consumer.close()
        assert there >= wanted, f"{there} outputs of {wanted}; {[self.log(w)[-3:] for w in self.workers]}"
        time.sleep(1.5)

    def wait_for_outputs(self, topic: str, count: int) -> None:
        """Wait until an output topic holds so many records."""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if sum(map(len, self.read(topic).values())) >= count:
                return
            time.sleep(0.2)
        raise AssertionError(f"fewer than {count} on {topic}; {[self.log(w)[-3:] for w in self.workers]}")

    def send_labels(self, count: int) -> None:
        """Produce labels, and wait until Kafka has them."""
        for i in range(count):
            self._producer.send(self.prefix + "labels", key=b"l", value=b"%d" % i)
        self.flush()

    def restart_if_it_gave_up(self, worker: subprocess.Popen[bytes]) -> None:
        """Do what a service manager does."""
        if worker.poll() is not None:
            self.start()

    def committed(self) -> dict[tuple[str, int], int]:
        """Return the group's committed offsets."""
        admin = KafkaAdminClient(bootstrap_servers=self.servers)
        found = admin.list_group_offsets(self.prefix + "tocsin")[self.prefix + "tocsin"]
        admin.close()
        return {(tp.topic.removeprefix(self.prefix), tp.partition): meta.offset for tp, meta in found.items()}

    def check_outputs(self) -> None:
        """Compare what came out with what an uninterrupted run puts out: the same, each once, in order."""
        expected: dict[int, dict[bytes, list[tuple[int, int]]]] = defaultdict(lambda: defaultdict(list))
        dead: set[tuple[str, int, int]] = set()
        for (topic, partition), records in self.sent.items():
            for offset, (key, value) in enumerate(records):
                try:
                    number = int(value or b"")
                except ValueError:
                    dead.add((topic, partition, offset))
                    continue
                assert key is not None
                sums = expected[partition][key]
                count, total = sums[-1] if sums else (0, 0)
                sums.append((count + 1, total + number))
        for partition, found in self.read("alerts").items():
            said: dict[bytes, list[tuple[int, int]]] = defaultdict(list)
            for record in found:
                content = json.loads(record.value)
                said[record.key].append((content["count"], content["total"]))
            assert said == expected[partition]
        positions = [position_of(record) for found in self.read("dead-letters").values() for record in found]
        assert len(positions) == len(set(positions))
        assert set(positions) == dead

    def stop(self) -> None:
        """Kill what still runs."""
        for worker in self.workers:
            worker.kill()
            worker.wait()
        self._producer.close()


def position_of(record: Any) -> tuple[str, int, int]:
    topic, partition, offset = dict(record.headers)["tocsin-position"].decode().split("/")
    return topic, int(partition), int(offset)


@pytest.fixture
def bench(kafka: EmbeddedKafka, tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(kafka.bootstrap_servers, tmp_path)
    yield bench
    bench.stop()


@pytest.fixture
def cluster_bench(kafka_cluster: EmbeddedKafka, tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(kafka_cluster.bootstrap_servers, tmp_path, replicas=3)
    yield bench
    bench.stop()


def in_background(task: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=task)
    thread.start()
    return thread


@pytest.mark.slow
def test_workers_killed_at_any_moment_neither_lose_nor_repeat_an_output(bench: Bench) -> None:
    rng = random.Random(time.time_ns())
    producing = in_background(lambda: bench.send_numbers(120_000, per_second=5_000))
    worker = bench.start()
    for _ in range(4):
        bench.wait_for_event(worker, "partitions_assigned")
        time.sleep(rng.uniform(0.05, 3))
        worker.kill()
        worker.wait()
        worker = bench.start()
    producing.join()
    bench.wait_until_done()
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(15) == 0
    bench.check_outputs()
    assert bench.committed() == {where: len(records) for where, records in bench.sent.items()}


@pytest.mark.slow
def test_workers_that_join_and_leave_neither_lose_nor_repeat_an_output(bench: Bench) -> None:
    producing = in_background(lambda: bench.send_numbers(120_000, per_second=6_000))
    first = bench.start()
    bench.wait_for_event(first, "partitions_assigned")
    second = bench.start()
    bench.wait_for_event(second, "partitions_assigned")
    time.sleep(2)
    second.send_signal(signal.SIGTERM)
    assert second.wait(15) == 0
    third = bench.start()
    bench.wait_for_event(third, "partitions_assigned")
    time.sleep(2)
    first.kill()
    producing.join()
    bench.wait_until_done()
    bench.check_outputs()


def test_a_checkpoint_is_due_after_so_many_records_too(bench: Bench) -> None:
    worker = bench.start(checkpoint_seconds=1000, checkpoint_records=1000)
    bench.wait_for_event(worker, "partitions_assigned")
    bench.send_numbers(20_000)
    bench.wait_until_done()
    assert bench.committed()


def test_a_worker_told_to_stop_makes_all_durable_and_leaves_at_once(bench: Bench) -> None:
    longer_than_the_test_waits = 200
    worker = bench.start(checkpoint_seconds=1000, session_seconds=longer_than_the_test_waits)
    bench.wait_for_event(worker, "partitions_assigned")
    bench.send_numbers(20_000)
    bench.wait_until_done()
    assert not bench.committed()
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(15) == 0
    assert bench.committed() == {where: len(records) for where, records in bench.sent.items()}
    bench.wait_for_event(bench.start(), "partitions_assigned")


def test_state_comes_back_from_the_changelog_alone(bench: Bench) -> None:
    worker = bench.start("here")
    bench.wait_for_event(worker, "partitions_assigned")
    bench.send_numbers(10_000)
    bench.wait_until_done()
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(10) == 0
    bench.start("elsewhere")
    bench.send_numbers(10_000, seed=8)
    bench.wait_until_done()
    bench.check_outputs()


@pytest.mark.slow
def test_the_loss_of_a_broker_neither_loses_nor_repeats_an_output(
    cluster_bench: Bench, kafka_cluster: EmbeddedKafka
) -> None:
    producing = in_background(lambda: cluster_bench.send_numbers(60_000, per_second=3_000))
    worker = cluster_bench.start()
    cluster_bench.wait_for_event(worker, "partitions_assigned")
    for node in (1, 2):
        time.sleep(2)
        kafka_cluster.kill_node(node)
        time.sleep(2)
        kafka_cluster.start_node(node)
    producing.join()
    cluster_bench.restart_if_it_gave_up(worker)
    cluster_bench.wait_until_done()
    cluster_bench.check_outputs()


def test_silence_is_told_once_though_the_worker_is_killed_after_telling(bench: Bench) -> None:
    worker = bench.start(checkpoint_seconds=1000)
    bench.wait_for_event(worker, "partitions_assigned")
    bench.send("telemetry", b"mortal", b"1", 0)
    bench.flush()
    bench.wait_for_outputs("alerts", 2)
    worker.kill()
    worker.wait()
    successor = bench.start()
    bench.wait_for_event(successor, "partitions_assigned")
    time.sleep(5)
    said = [json.loads(record.value)["what"] for record in bench.read("alerts")[0]]
    assert said == ["sum", "silent"]


def test_labels_reach_every_partition_before_the_events_that_come_after_them(bench: Bench) -> None:
    worker = bench.start()
    bench.wait_for_event(worker, "partitions_assigned")
    bench.send_labels(10)
    for partition in range(PARTITIONS):
        bench.send("transactions", b"account-%d" % partition, b"1", partition)
    bench.flush()
    bench.wait_until_done()
    said = [json.loads(record.value)["labels"] for found in bench.read("alerts").values() for record in found]
    assert said == [10] * PARTITIONS


def test_a_worker_without_a_broker_says_so_in_one_line(tmp_path: Path) -> None:
    settings = {"kafka": {"bootstrap_servers": "127.0.0.1:9"}, "state": {"directory": str(tmp_path)}}
    ended = subprocess.run(
        [sys.executable, str(TALLY), json.dumps(settings)], capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == 1
    said = json.loads(ended.stderr.splitlines()[-1])
    assert said["event"] == "worker_failed"
    assert said["error"].startswith("no Kafka broker at 127.0.0.1:9 ")
    assert "Traceback" not in ended.stderr
