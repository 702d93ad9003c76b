"""Watches the output topics as any subscriber would, and keeps count."""

from __future__ import annotations

import contextlib
import json
import threading
import time
import urllib.request
from collections import Counter, deque
from collections.abc import Callable
from typing import Any

from kafka import KafkaConsumer, TopicPartition
from prometheus_client.parser import text_string_to_metric_families

OUTPUTS = ("alerts", "decisions", "dead-letters")


class Observer:
    """An independent client of a running service: subscribes to its outputs and scrapes its metrics.

    Parameters
    ----------
    connection
        Settings of kafka-python's consumer.
    prefix
        The topics' prefix.
    produced_at
        Gives when the record at a position ("topic/partition/offset") was produced, epoch seconds.
    metrics_url
        Where the worker's metrics are, if they are reachable.

    """

    def __init__(
        self,
        connection: dict[str, Any],
        prefix: str,
        produced_at: Callable[[str], float | None],
        metrics_url: str | None = None,
    ) -> None:
        self._connection, self._prefix = connection, prefix
        self._produced_at, self._metrics_url = produced_at, metrics_url
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="observer", daemon=True)
        self.alerts: dict[str, dict[str, Any]] = {}
        self.newest: deque[dict[str, Any]] = deque(maxlen=8)
        self.decisions: dict[str, str] = {}
        self.dead_letters: Counter[str] = Counter()
        self.latencies: list[float] = []
        self.metrics: dict[str, float] = {}
        self.last_seen = time.monotonic()
        self._timed: set[str] = set()

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def stop(self) -> None:
        """Stop watching; what was seen stays."""
        self._stop.set()
        self._thread.join(timeout=10)

    def quiet_for(self) -> float:
        """Seconds since the last output came."""
        return time.monotonic() - self.last_seen

    def metric(self, name: str) -> float:
        """Return a metric of the worker, summed over its labels; 0 if it is not there."""
        return self.metrics.get(name, 0.0)

    def _run(self) -> None:
        consumer = KafkaConsumer(**self._connection, auto_offset_reset="earliest", enable_auto_commit=False)
        topics = {self._prefix + name: name for name in OUTPUTS}
        consumer.assign(
            [
                TopicPartition(topic, partition)
                for topic in topics
                for partition in consumer.partitions_for_topic(topic) or ()
            ]
        )
        scraped = 0.0
        with contextlib.closing(consumer):
            while not self._stop.is_set():
                for records in consumer.poll(timeout_ms=200).values():
                    for record in records:
                        self._take(topics[record.topic], record)
                if self._metrics_url and time.monotonic() - scraped > 1.0:
                    scraped = time.monotonic()
                    self._scrape(self._metrics_url)

    def _take(self, topic: str, record: Any) -> None:
        self.last_seen = time.monotonic()
        if record.value is None:
            return
        value = json.loads(record.value)
        if topic == "alerts":
            self._take_alert(value, dict(record.headers or ()))
        elif topic == "decisions":
            self.decisions[value["transaction_id"]] = value["decision"]
        else:
            self.dead_letters[value["reason"]] += 1

    def _take_alert(self, alert: dict[str, Any], headers: dict[str, bytes]) -> None:
        name = alert["alert_id"]
        firing_now = alert["state"] == "firing" and name not in self._timed
        if alert["fired_at"] is not None:
            self.alerts[name] = alert
        if firing_now:
            self._timed.add(name)
            self.newest.appendleft(alert)
            produced = self._produced_at(headers.get("tocsin-position", b"").decode())
            if produced is not None:
                self.latencies.append(time.time() - produced)

    def _scrape(self, url: str) -> None:
        with contextlib.suppress(OSError, ValueError):
            with urllib.request.urlopen(url, timeout=2) as answer:  # noqa: S310  our own worker's address
                text = answer.read().decode()
            totals: Counter[str] = Counter()
            for family in text_string_to_metric_families(text):
                for sample in family.samples:
                    totals[sample.name] += sample.value
            self.metrics = dict(totals)
