"""A running Tocsin to talk to as its users do: through Kafka and HTTP."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from streams.processor import Record
from streams.topics import create_topics
from tocsin.config import load_configuration

REPOSITORY = Path(__file__).parents[2]


class Worker:
    """One `tocsin worker` process."""

    def __init__(self, environment: dict[str, str], folder: Path, name: str) -> None:
        self.port = free_port()
        self.log = folder / f"{name}.log"
        self._environment = environment | {
            "TOCSIN_HTTP__PORT": str(self.port),
            "TOCSIN_HTTP__HOST": "127.0.0.1",
            "TOCSIN_STATE__DIRECTORY": str(folder / f"state-{name}"),
        }
        self.process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as out:
            return subprocess.Popen(
                [sys.executable, "-m", "tocsin", "worker"],
                env=self._environment,
                stdout=out,
                stderr=subprocess.STDOUT,
            )

    def restart(self) -> None:
        self.process = self._start()

    def get(self, path: str) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
            return answer.read().decode()

    def wait_until_ready(self, seconds: float = 60) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            assert self.process.poll() is None, f"the worker ended:\n{self.log.read_text()[-3000:]}"
            with contextlib.suppress(OSError):
                self.get("/readyz")
                return
            time.sleep(0.1)
        raise AssertionError(f"the worker did not get ready:\n{self.log.read_text()[-3000:]}")

    def stop(self, how: int = signal.SIGTERM) -> int:
        if self.process.poll() is None:
            self.process.send_signal(how)
        return self.process.wait(timeout=30)


class Service:
    """Topics of their own on the shared broker, and any number of workers on them."""

    def __init__(self, brokers: str, prefix: str, folder: Path) -> None:
        self.brokers, self.prefix, self.folder = brokers, prefix, folder
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("TOCSIN_")} | {
            "KAFKA_BOOTSTRAP": brokers,
            "TOCSIN_KAFKA__TOPIC_PREFIX": prefix,
            "TOCSIN_TELEMETRY__SCORES": "all",
            "TOCSIN_KAFKA__SESSION_SECONDS": "6",
            # Recordings end, and so would every source fall silent while a slow test still reads.
            "TOCSIN_TELEMETRY__MIN_SILENCE": "3600",
            # They are of years ago, and what is sent with its own time would be deleted while a slow test still reads.
            "TOCSIN_TOPICS__INPUT_RETENTION_DAYS": "36500",
            "TOCSIN_TOPICS__LABEL_RETENTION_DAYS": "36500",
        }
        self.workers: list[Worker] = []

    def tocsin(self, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "tocsin", *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=options.pop("timeout", 120),
            check=True,
            **options,
        )

    def create_topics(self) -> None:
        """Do what `tocsin topics create` does, without a process of its own."""
        configuration = load_configuration(environment=self.environment)
        create_topics(configuration.kafka, configuration.topics)

    def start_worker(self) -> Worker:
        worker = Worker(self.environment, self.folder, f"worker-{len(self.workers)}")
        self.workers.append(worker)
        return worker

    def stop_workers(self) -> None:
        for worker in self.workers:
            with contextlib.suppress(Exception):
                worker.stop()
            if worker.process.poll() is None:
                worker.process.kill()

    def produce(self, topic: str, messages: Iterable[tuple[str, bytes | dict[str, Any]]]) -> int:
        producer = KafkaProducer(bootstrap_servers=self.brokers, linger_ms=20, acks="all")
        count = 0
        for key, value in messages:
            payload = value if isinstance(value, bytes) else json.dumps(value).encode()
            producer.send(self.prefix + topic, key=key.encode(), value=payload)
            count += 1
        producer.flush()
        producer.close()
        return count

    def send(self, records: Iterable[Record]) -> None:
        """Send records as they are, each with its own time of production; Kafka's partitioner places them."""
        producer = KafkaProducer(bootstrap_servers=self.brokers, linger_ms=20, acks="all")
        for record in records:
            at = round(record.timestamp * 1000)
            producer.send(self.prefix + record.topic, key=record.key, value=record.value, timestamp_ms=at)
        producer.flush()
        producer.close()

    def read(self, topic: str, at_least: int = 0, seconds: float = 60, quiet: float = 1.0) -> list[Any]:
        """Return all records of a topic once there are enough of them and no more come for a moment."""
        consumer = KafkaConsumer(bootstrap_servers=self.brokers, auto_offset_reset="earliest", enable_auto_commit=False)
        name = self.prefix + topic
        consumer.assign([TopicPartition(name, p) for p in sorted(consumer.partitions_for_topic(name) or ())])
        records: list[Any] = []
        last = time.monotonic()
        deadline = last + seconds
        while time.monotonic() < deadline:
            batch = [record for polled in consumer.poll(timeout_ms=200).values() for record in polled]
            records.extend(batch)
            if batch:
                last = time.monotonic()
            elif len(records) >= at_least and time.monotonic() - last >= quiet:
                break
        consumer.close()
        assert len(records) >= at_least, f"{len(records)} of {at_least} records on {topic}; {self._last_words()}"
        return records

    def final_alerts(self) -> dict[str, dict[str, Any]]:
        """What a newcomer who reads the compacted topic knows: the last value of each alert."""
        return {record.key.decode(): json.loads(record.value) for record in self.read("alerts")}

    def _last_words(self) -> str:
        return "\n".join(worker.log.read_text()[-1500:] for worker in self.workers)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
