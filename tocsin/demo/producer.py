"""Produces the demo's events, each at its time."""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

from kafka import KafkaProducer

from streams.settings import KafkaSettings
from tocsin.demo import scenes
from tocsin.demo.machine import HOST_SOURCE, HostSampler, Load
from tocsin.demo.truth import Segment, Truth

LOAD_AT = 0.7
"""Share of the duration after which the demo puts a load on this machine."""


class DemoProducer:
    """Interleaves the scenes over ``duration`` seconds and makes a short load on this machine.

    Parameters
    ----------
    kafka
        How to reach Kafka, and the topics' prefix.
    duration
        Seconds over which everything is produced.
    suffix
        Put after the names of what is replayed, so that a service that has seen it before does not know it.

    """

    def __init__(self, kafka: KafkaSettings, duration: float, suffix: str = "") -> None:
        self.duration, self.truth = duration, Truth()
        self.sent = 0
        self._topic, self._suffix = kafka.topic, suffix
        self._stop, self._started = threading.Event(), 0.0
        self._counting = threading.Lock()
        self._kafka = KafkaProducer(**kafka.client_options(), linger_ms=5, acks="all")
        # What comes first is made now, and so all that is made only once: it is no part of the load to be seen.
        self._messages = heapq.merge(*self._scenes(), key=lambda message: message.at)
        self._first = next(self._messages)
        self._replayer = threading.Thread(target=self._replay, name="replay", daemon=True)
        self._host = threading.Thread(target=self._watch_host, name="host", daemon=True)

    def start(self) -> None:
        """Begin to produce."""
        self._started = time.monotonic()
        self._replayer.start()
        self._host.start()

    def finished(self) -> bool:
        """Say whether everything has been produced. This machine is watched on until ``stop``."""
        return not self._replayer.is_alive() and self._elapsed() >= self.duration

    def stop(self) -> None:
        """Stop producing and wait until what was sent is acknowledged."""
        self._stop.set()
        for thread in (self._replayer, self._host):
            thread.join(timeout=10)
        self._kafka.flush()
        self._kafka.close()

    def _elapsed(self) -> float:
        return time.monotonic() - self._started

    def _scenes(self) -> Iterable[Iterator[scenes.Message]]:
        # Replays end a little before the whole, so that their last alerts are seen.
        span, truth, suffix = self.duration - min(3.0, 0.1 * self.duration), self.truth, self._suffix
        return (
            scenes.water(span, truth, suffix=suffix),
            scenes.shuttle(span, truth, suffix=suffix),
            scenes.cards(span, truth, suffix=suffix),
            scenes.broken(span, truth),
        )

    def _replay(self) -> None:
        for message in itertools.chain([self._first], self._messages):
            if self._stop.wait(max(0.0, message.at - self._elapsed())):
                return
            self._send(message)

    def _watch_host(self) -> None:
        sampler, load, begun, loaded = HostSampler(), None, 0.0, False
        try:
            while not self._stop.wait(1.0):
                self._send(scenes.telemetry(self._elapsed(), HOST_SOURCE, datetime.now(UTC), sampler.read()))
                if not loaded and self._elapsed() >= LOAD_AT * self.duration:
                    load, begun, loaded = Load(min(8.0, 0.12 * self.duration)), time.time(), True
                elif load is not None:
                    self._mark_load(begun)
                    load = None if load.over() else load
        finally:
            if load is not None:
                load.stop()

    def _mark_load(self, begun: float) -> None:
        # Nobody knows what else happens on this machine, so an alert beside the mark need not be false.
        segment = Segment(begun, time.time(), "the load that the demo makes itself")
        self.truth.mark(HOST_SOURCE, [segment], slack=5.0, complete=False)

    def _send(self, message: scenes.Message) -> None:
        self._kafka.send(self._topic(message.topic), key=message.key.encode(), value=message.value)
        with self._counting:
            self.sent += 1
