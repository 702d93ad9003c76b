"""A real worker on an embedded Kafka, and a fleet of sources whose events it scores: what is measured as a whole."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from streams.settings import KafkaSettings
from streams.topics import TopicSettings, create_topics
from tocsin.broker import EmbeddedKafka
from tocsin.broker.children import Children
from tocsin.demo.settings import worker_environment
from tocsin.demo.worker import free_port
from tocsin.plotting import plot_into

WORKER = 1
START_SECONDS = 600.0
IDLE_SECONDS = 900.0
INTERVAL = 60.0
START = 1_767_225_600.0

Measured = TypeVar("Measured")


class FleetError(RuntimeError):
    """The worker did not do what was to be measured; the message says what it did."""


class Fleet:
    """A worker process, and what is asked of it.

    Parameters
    ----------
    kafka
        How to reach Kafka, with the prefix of its topics.
    environment
        Settings of the worker besides, as environment variables.

    """

    def __init__(self, kafka: KafkaSettings, environment: dict[str, str]) -> None:
        self.kafka = kafka
        self.port = free_port()
        # Recordings end, and so would every source fall silent.
        more = {"TOCSIN_TELEMETRY__MIN_SILENCE": "1e9", **environment}
        self._children = Children(worker_environment(os.environ, kafka, self.port) | more)
        self.folder = self._children.make_folder()
        self._sent = 0

    def start(self) -> float:
        """Start the worker, and return the seconds until it is ready."""
        began = time.perf_counter()
        command = [sys.executable, "-m", "tocsin", "worker"]
        self._children.start(WORKER, command, self.folder / "worker.log", self.folder)
        while time.perf_counter() - began < START_SECONDS:
            with contextlib.suppress(OSError):
                self._get("readyz")
                return time.perf_counter() - began
            if WORKER not in self._children.running():
                break
            time.sleep(0.02)
        raise FleetError(f"the worker did not get ready; {self._last_words()}")

    def kill(self, *, forget: bool = False) -> None:
        """Kill the worker with SIGKILL; ``forget`` also removes its local store."""
        self._children.kill(WORKER)
        if forget:
            shutil.rmtree(self.folder / "state", ignore_errors=True)

    def close(self) -> None:
        """End the worker and remove what it has stored."""
        self._children.close()

    def send(self, sources: int, rounds: int, first: int = 0) -> int:
        """Let each source send an event in each round, and return how many that were."""
        from kafka import KafkaProducer  # noqa: PLC0415 - start-up time

        chance = random.Random(first)  # noqa: S311  nothing secret
        producer = KafkaProducer(bootstrap_servers=self.kafka.servers, linger_ms=50, batch_size=262_144, acks=1)
        topic = self.kafka.topic("telemetry")
        for number in range(first, first + rounds):
            at = START + INTERVAL * number
            for source in range(sources):
                value = chance.gauss(source % 100, 1.0)
                event = b'{"source":"s%d","timestamp":%d,"values":{"x":%.3f}}' % (source, at, value)
                producer.send(topic, key=b"s%d" % source, value=event)
        producer.flush()
        producer.close()
        self._sent += sources * rounds
        return sources * rounds

    def wait_until_stored(self) -> None:
        """Wait until all events are scored and a checkpoint covers them, as long as it goes on."""
        before, moved_at = -1.0, time.monotonic()
        while time.monotonic() < moved_at + IDLE_SECONDS:
            found = self.metrics()
            done = sum(found[name] for name in found if name.startswith('tocsin_events_total{outcome="scored"'))
            if done != before:
                before, moved_at = done, time.monotonic()
            if done >= self._sent and found["tocsin_checkpoint_age_seconds"] == 0:
                return
            if WORKER not in self._children.running():
                break
            time.sleep(0.2)
        raise FleetError(f"{done:.0f} of {self._sent} events were scored and stored; {self._last_words()}")

    def metrics(self) -> dict[str, float]:
        """Return the worker's metrics by name and labels."""
        lines = self._get("metrics").splitlines()
        return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if line[:1] != "#")}

    def said(self, event: str) -> list[str]:
        """Return the lines of the worker's log with an event."""
        lines = (self.folder / "worker.log").read_text(errors="replace").splitlines()
        return [line for line in lines if f'"{event}"' in line]

    def _get(self, path: str) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/{path}", timeout=30) as answer:
            body: bytes = answer.read()
            return body.decode()

    def _last_words(self) -> str:
        lines = (self.folder / "worker.log").read_text(errors="replace").splitlines()
        return f"the last it said: {' '.join(lines[-3:])[-800:]}"


@contextlib.contextmanager
def fleet(broker: EmbeddedKafka, name: str, partitions: int, **environment: str) -> Iterator[Fleet]:
    """Make topics of a name's own and a worker for them, which is not yet started.

    Parameters
    ----------
    broker
        A running Kafka.
    name
        Sets the topics apart from others.
    partitions
        How many each has.
    environment
        Settings of the worker besides, as environment variables.

    """
    kafka = KafkaSettings(bootstrap_servers=broker.bootstrap_servers, topic_prefix=f"{name}-")
    create_topics(kafka, TopicSettings(partitions=partitions))
    more = {"TOCSIN_TOPICS__PARTITIONS": str(partitions), "TOCSIN_STATE__CHECKPOINT_SECONDS": "5", **environment}
    made = Fleet(kafka, more)
    try:
        yield made
    finally:
        made.close()


def for_each(
    name: str,
    numbers: Sequence[int],
    partitions: int,
    measure: Callable[[Fleet, int], Measured],
    progress: Callable[[int, int], None] | None = None,
    **environment: str,
) -> list[Measured]:
    """Measure with each number of sources, with a Kafka and a worker of its own.

    Parameters
    ----------
    name
        Sets the topics apart from others.
    numbers
        Of sources.
    partitions
        How many each topic has.
    measure
        Is given the worker, which is not yet started, and the number.
    progress
        Called with the numbers done and in all.
    environment
        Settings of the worker besides, as environment variables.

    """
    measured = []
    for done, sources in enumerate(numbers, 1):
        with EmbeddedKafka() as broker, fleet(broker, f"{name}{sources}", partitions, **environment) as worker:
            measured.append(measure(worker, sources))
        if progress is not None:
            progress(done, len(numbers))
    return measured


def plot_over_sources(file: Path, sources: Sequence[int], lines: Mapping[str, Sequence[float]], label: str) -> None:
    """Draw what was measured over the number of sources."""
    with plot_into(file, 1, (7.0, 3.0)) as (_, (panel,)):
        for name, values in lines.items():
            panel.plot(sources, values, marker="o", label=name)
        panel.set(xscale="log", xlabel="sources", ylabel=label, ylim=(0, None))
        panel.legend(frameon=False)


def folder_bytes(folder: Path) -> int:
    """Return how many bytes the files below a folder have."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
