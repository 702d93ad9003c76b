"""`tocsin` as a user types it, with topics of the test's own on Apache Kafka itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaConsumer, KafkaProducer, TopicPartition

PARTITIONS = 3


class CommandLine:
    """`tocsin` with the test's broker and topics of the test's own."""

    def __init__(self, brokers: str, prefix: str, folder: Path) -> None:
        self.brokers, self.prefix, self.folder = brokers, prefix, folder
        self.environment = {
            "PATH": os.environ["PATH"],
            "KAFKA_BOOTSTRAP": brokers,
            "TOCSIN_KAFKA__TOPIC_PREFIX": prefix,
            "TOCSIN_TOPICS__PARTITIONS": str(PARTITIONS),
        }

    def __call__(self, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "tocsin", *arguments],
            env=self.environment,
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            **options,
        )

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "tocsin", *arguments],
            env=self.environment,
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def send(self, topic: str, *values: Any, key: bytes | None = None) -> None:
        """Produce records, each with a key of its own unless told: compacted topics take none without."""
        producer = KafkaProducer(bootstrap_servers=self.brokers, linger_ms=20)
        sent = []
        for number, value in enumerate(values):
            data = value if isinstance(value, bytes) or value is None else json.dumps(value).encode()
            sent.append(producer.send(self.prefix + topic, key=key or b"%d" % number, value=data))
        for one in sent:
            one.get(timeout=30)
        producer.close()

    def records(self, topic: str) -> list[Any]:
        """Return what the topic holds, each partition in its order."""
        consumer = KafkaConsumer(bootstrap_servers=self.brokers, auto_offset_reset="earliest", group_id=None)
        numbers = sorted(consumer.partitions_for_topic(self.prefix + topic) or ())
        partitions = [TopicPartition(self.prefix + topic, number) for number in numbers]
        consumer.assign(partitions)
        ends = consumer.end_offsets(partitions)
        found: list[Any] = []
        while any(consumer.position(one) < ends[one] for one in partitions):
            found += [record for batch in consumer.poll(timeout_ms=200).values() for record in batch]
        consumer.close()
        return found


@pytest.fixture
def tocsin(kafka: Any, topic_prefix: str, tmp_path: Path) -> CommandLine:
    command = CommandLine(kafka.bootstrap_servers, topic_prefix, tmp_path)
    done = command("topics", "create")
    assert done.returncode == 0, done.stderr
    return command
