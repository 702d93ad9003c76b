"""Watches the output topics as any subscriber would, and keeps count."""

from __future__ import annotations

import contextlib
import json
import threading
import time
import urllib.request
from collections import Counter, defaultdict, deque
from datetime import datetime
from typing import Any

from kafka import KafkaConsumer, TopicPartition
from prometheus_client.parser import text_string_to_metric_families

from streams.publication import DUE
from streams.settings import KafkaSettings

OUTPUTS = ("alerts", "decisions", "dead-letters")
STREAMS = ("telemetry", "transactions")
NEWEST = 3


class Observer:
    """An independent client of a running service: subscribes to its outputs and scrapes its metrics.

    What was in the topics before it is made does not count.

    Parameters
    ----------
    kafka
        How to reach Kafka, and the topics' prefix.
    metrics_url
        Where the worker's metrics are.

    """

    def __init__(self, kafka: KafkaSettings, metrics_url: str) -> None:
        self.alerts: dict[str, dict[str, Any]] = {}
        self.newest: dict[str, deque[dict[str, Any]]] = {stream: deque(maxlen=NEWEST) for stream in STREAMS}
        self.decisions: dict[str, str] = {}
        self.dead_letters: Counter[str] = Counter()
        self.latencies: list[float] = []
        self.scraped_at = self.last_seen = time.monotonic()
        self._metrics: dict[str, float] = {}
        self._metrics_url = metrics_url
        self._topics = {kafka.topic(name): name for name in OUTPUTS}
        self._consumer = KafkaConsumer(**kafka.client_options(), enable_auto_commit=False)
        self._assign()
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._read, name="observer", daemon=True),
            threading.Thread(target=self._scrape, name="scraper", daemon=True),
        ]

    def start(self) -> None:
        """Begin to watch."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Stop watching; what was seen stays."""
        self._stop.set()
        for thread in self._threads:
            thread.join(timeout=10)
        self._consumer.close()

    def settled(self, since: float, quiet: float = 1.0) -> bool:
        """Say whether the service has nothing left to do of what was produced before ``since`` (monotonic)."""
        return (
            self.scraped_at - since >= quiet
            and self.metric("tocsin_consumer_lag") == 0
            and time.monotonic() - self.last_seen >= quiet
        )

    def metric(self, name: str) -> float:
        """Return a metric of the worker, summed over its labels; 0 if it is not there."""
        return self._metrics.get(name, 0.0)

    def _assign(self) -> None:
        partitions = [
            TopicPartition(topic, partition)
            for topic in self._topics
            for partition in self._consumer.partitions_for_topic(topic) or ()
        ]
        self._consumer.assign(partitions)
        for partition, end in self._consumer.end_offsets(partitions).items():
            self._consumer.seek(partition, end)

    def _read(self) -> None:
        while not self._stop.is_set():
            for records in self._consumer.poll(timeout_ms=200).values():
                for record in records:
                    self.take(self._topics[record.topic], record.value, dict(record.headers or ()))

    def take(self, topic: str, value: bytes | None, headers: dict[str, bytes]) -> None:
        """Take in a record of an output topic."""
        self.last_seen = time.monotonic()
        if value is None:
            return
        content = json.loads(value)
        if topic == "alerts":
            self._take_alert(content, headers)
        elif topic == "decisions":
            self.decisions[content["transaction_id"]] = content["decision"]
        else:
            self.dead_letters[content["reason"]] += 1

    def _take_alert(self, alert: dict[str, Any], headers: dict[str, bytes]) -> None:
        if alert["fired_at"] is None:
            return
        known = alert["alert_id"] in self.alerts
        self.alerts[alert["alert_id"]] = alert
        if known:
            return
        self.newest[alert["stream"]].appendleft(alert)
        # What falls due as time passes is not caused by the arrival of an event.
        if DUE not in headers and "ce_time" in headers:
            produced = datetime.fromisoformat(headers["ce_time"].decode())
            self.latencies.append(time.time() - produced.timestamp())

    def _scrape(self) -> None:
        while not self._stop.wait(1.0):
            begun = time.monotonic()
            with contextlib.suppress(OSError, ValueError):
                with urllib.request.urlopen(self._metrics_url, timeout=5) as answer:  # noqa: S310  our worker
                    text = answer.read().decode()
                totals: dict[str, float] = defaultdict(float)
                for family in text_string_to_metric_families(text):
                    for sample in family.samples:
                        totals[sample.name] += sample.value
                self._metrics, self.scraped_at = dict(totals), begun
