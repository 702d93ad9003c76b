"""Produces the demo's events, each at its time, and remembers when."""

from __future__ import annotations

import heapq
import threading
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

from kafka import KafkaProducer

from tocsin.demo import scenes
from tocsin.demo.truth import Truth


class DemoProducer:
    """Interleaves the scenes over ``duration`` seconds and makes a short load on this machine.

    Parameters
    ----------
    connection
        Settings of kafka-python's producer.
    prefix
        The topics' prefix.
    duration
        Seconds over which everything is produced.

    """

    def __init__(self, connection: dict[str, Any], prefix: str, duration: float) -> None:
        self.duration, self.truth = duration, Truth()
        self.produced: dict[str, float] = {}
        self.sent = 0
        self._prefix, self._stop = prefix, threading.Event()
        self._kafka = KafkaProducer(**connection, linger_ms=5, acks="all")
        self._threads = [
            threading.Thread(target=self._replay, name="replay", daemon=True),
            threading.Thread(target=self._sample_host, name="host", daemon=True),
            threading.Thread(target=self._make_load, name="load", daemon=True),
        ]

    def start(self) -> None:
        """Begin to produce."""
        self._started = time.monotonic()
        for thread in self._threads:
            thread.start()

    def finished(self) -> bool:
        """Say whether everything has been produced."""
        return not any(thread.is_alive() for thread in self._threads)

    def stop(self) -> None:
        """Stop producing and wait until what was sent is acknowledged."""
        self._stop.set()
        for thread in self._threads:
            thread.join(timeout=5)
        self._kafka.flush()
        self._kafka.close()

    def produced_at(self, position: str) -> float | None:
        """When the record at a position was produced, epoch seconds."""
        return self.produced.get(position)

    def _scenes(self) -> Iterable[Iterator[scenes.Message]]:
        # Replays end a little before the whole, so that their last alerts are seen.
        span = self.duration * 0.9
        return (
            scenes.water(span, self.truth),
            scenes.shuttle(span, self.truth),
            scenes.cards(span, self.truth),
            scenes.broken(span),
        )

    def _replay(self) -> None:
        for message in heapq.merge(*self._scenes(), key=lambda message: message.at):
            if self._stop.wait(max(0.0, self._started + message.at - time.monotonic())):
                return
            self._send(message)

    def _sample_host(self) -> None:
        sampler, source = scenes.HostSampler(), scenes.HOST_SOURCE
        while not self._stop.wait(1.0) and time.monotonic() < self._started + self.duration:
            at = time.monotonic() - self._started
            self._send(scenes.telemetry(at, source, datetime.now(UTC), sampler.read()))

    def _make_load(self) -> None:
        if self._stop.wait(self.duration * 0.7):
            return
        begun = time.time()
        end = time.monotonic() + min(8.0, self.duration * 0.12)
        with scenes.processor_load():
            while time.monotonic() < end and not self._stop.wait(0.1):
                pass
        self.truth.segments.append(scenes.load_segment(begun, time.time()))

    def _send(self, message: scenes.Message) -> None:
        now = time.time()
        future = self._kafka.send(
            self._prefix + message.topic,
            key=message.key.encode(),
            value=message.value,
            timestamp_ms=int(now * 1000),
        )
        self.sent += 1
        topic = message.topic

        def acknowledged(metadata: Any) -> None:
            self.produced[f"{topic}/{metadata.partition}/{metadata.offset}"] = now

        future.add_callback(acknowledged)
