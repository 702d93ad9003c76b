"""Workers of the engine on topics of their own, and an account of what went in and came out."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import NewTopic

from streams.changelog import changelog_topic
from streams.settings import KafkaSettings
from streams.state import WRITER_KEY

TALLY = Path(__file__).parents[1] / "streams" / "tally.py"
PARTITIONS = 4


class Bench:
    """Topics of their own, worker processes, and what went in and came out."""

    def __init__(self, servers: str, prefix: str, folder: Path, replicas: int = 1) -> None:
        self.servers = servers
        self.folder = folder
        self.prefix = prefix
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

    def start(
        self, directory: str = "state", session_seconds: float = 6, batch_records: int = 2000, **state: Any
    ) -> subprocess.Popen[bytes]:
        """Start a worker process."""
        settings = {
            "kafka": {
                "bootstrap_servers": self.servers,
                "topic_prefix": self.prefix,
                "session_seconds": session_seconds,
            },
            "state": {"directory": str(self.folder / directory), "checkpoint_seconds": 0.5} | state,
            "batch": {"records": batch_records},
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

    def wait_until_committed(self, seconds: float = 60) -> None:
        """Wait until a worker's checkpoints cover all that went in: a successor first takes records that come again."""
        wanted = {where: len(records) for where, records in self.sent.items()}
        deadline = time.monotonic() + seconds
        while self.committed() != wanted:
            assert time.monotonic() < deadline, f"{self.committed()} of {wanted}; {self.log(self.workers[-1])[-5:]}"
            time.sleep(0.2)

    def wait_until_some_are_committed(self, least: int = 1) -> None:
        """Wait until checkpoints cover some of what went in."""
        deadline = time.monotonic() + 60
        while sum(self.committed().values()) < least:
            assert time.monotonic() < deadline, self.log(self.workers[-1])[-5:]
            time.sleep(0.05)

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

    def write_late(self, topic: str) -> None:
        """Write to the changelogs of an input topic, as what a worker had sent does that was given up since."""
        for partition in range(PARTITIONS):
            name = changelog_topic(KafkaSettings(topic_prefix=self.prefix), topic)
            self._producer.send(name, key=WRITER_KEY, value=None, partition=partition)
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
