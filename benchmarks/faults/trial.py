"""One run of the real service under faults: topics of its own, workers, a producer, and what came of it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.errors import KafkaError

from benchmarks.faults.events import Portion
from benchmarks.faults.outputs import INPUTS, Comparison, compare, published, undisturbed
from benchmarks.faults.worker import Worker
from streams.changelog import changelog_topic
from streams.state import MARKER_KEY, Marker
from tocsin.broker import EmbeddedKafka
from tocsin.config import load_configuration

SESSION_SECONDS = 6
CHECKPOINT_SECONDS = 2


class TrialError(RuntimeError):
    """A trial did not come to its end; the message says where it stands."""


class Trial:
    """The service on topics of its own.

    Parameters
    ----------
    kafka
        The cluster.
    folder
        For state and logs.
    portions
        What to send.
    nodes
        How many brokers there are; topics have as many replicas.
    settings
        Further environment variables of the workers.

    """

    def __init__(
        self,
        kafka: EmbeddedKafka,
        folder: Path,
        portions: Sequence[Portion],
        nodes: int = 1,
        settings: dict[str, str] | None = None,
    ) -> None:
        self.kafka, self.folder, self.portions = kafka, folder, portions
        self.prefix = f"trial-{uuid.uuid4().hex[:8]}-"
        self.state = folder / "state"
        self.workers: list[Worker] = []
        self.notes: list[str] = []
        self.records = sum(len(p.labels) + len(p.events) for p in portions)
        self.produced = threading.Event()
        self._failed: list[BaseException] = []
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("TOCSIN_")} | {
            "KAFKA_BOOTSTRAP": kafka.bootstrap_servers,
            "TOCSIN_KAFKA__TOPIC_PREFIX": self.prefix,
            "TOCSIN_KAFKA__SESSION_SECONDS": str(SESSION_SECONDS),
            "TOCSIN_TOPICS__REPLICATION_FACTOR": str(nodes),
            "TOCSIN_TELEMETRY__SCORES": "all",
            # Recorded times lie months back; whether a source is silent now is another question than this one.
            "TOCSIN_TELEMETRY__MIN_SILENCE": "1e9",
            "TOCSIN_STATE__CHECKPOINT_SECONDS": str(CHECKPOINT_SECONDS),
            "TOCSIN_STATE__DIRECTORY": str(self.state),
            "TOCSIN_HTTP__PORT": "0",
            "TOCSIN_HTTP__HOST": "127.0.0.1",
            **(settings or {}),
        }
        subprocess.run(
            [sys.executable, "-m", "tocsin", "topics", "create"],
            env=self.environment,
            check=True,
            stdout=subprocess.DEVNULL,
        )
        self._admin: KafkaAdminClient | None = None
        self._consumer: KafkaConsumer | None = None

    def start(self, before: Sequence[str] = (), **settings: str) -> Worker:
        """Start a worker, behind another command if one is given."""
        log = self.folder / f"worker-{len(self.workers)}.log"
        worker = Worker(self.environment | settings, log, before)
        self.workers.append(worker)
        return worker

    def tend(self) -> None:
        """Do what a service manager does: start a worker anew if none runs."""
        if not any(worker.alive for worker in self.workers):
            self.note_failure(self.workers[-1])
            self.start()

    def note_failure(self, worker: Worker) -> None:
        """Remember why a worker gave up."""
        if failed := worker.events("worker_failed"):
            self.notes.append(failed[-1]["error"])

    def produce(self, per_second: float | None = None) -> None:
        """Begin to send all events, each portion's labels before its events."""
        threading.Thread(target=self._produce, args=(per_second,), daemon=True).start()

    def _produce(self, per_second: float | None) -> None:
        try:
            producer = KafkaProducer(
                bootstrap_servers=self.kafka.bootstrap_servers,
                linger_ms=20,
                enable_idempotence=True,
                delivery_timeout_ms=300_000,
                max_block_ms=300_000,
            )
            began, sent = time.monotonic(), 0
            for labels, events in self.portions:
                for messages in (labels, events):
                    for message in messages:
                        producer.send(self.prefix + message.topic, key=message.key, value=message.value)
                    producer.flush()
                    sent += len(messages)
                if per_second:
                    time.sleep(max(0.0, sent / per_second - (time.monotonic() - began)))
            producer.close()
        except BaseException as error:
            self._failed.append(error)
            raise
        finally:
            self.produced.set()

    def committed(self) -> int:
        """Return how many input records checkpoints cover, as the group's offsets say."""
        try:
            return sum(self._offsets().values())
        except (KafkaError, OSError):
            return 0

    def _offsets(self) -> dict[tuple[str, int], int]:
        self._admin = self._admin or KafkaAdminClient(bootstrap_servers=self.kafka.bootstrap_servers)
        found = self._admin.list_group_offsets(self.prefix + "tocsin")[self.prefix + "tocsin"]
        return {(tp.topic, tp.partition): max(meta.offset, 0) for tp, meta in found.items()}

    def wait_for_share(self, share: float, seconds: float = 300, *, tend: bool = False) -> None:
        """Wait until checkpoints cover a share of all events."""
        wanted = share * sum(len(p.events) for p in self.portions)
        self._wait(lambda: self.committed() >= wanted, f"{share:.0%} of the events", seconds, tend=tend)

    def wait_for_end_or_done(self, worker: Worker) -> None:
        """Wait until a worker has ended, or checkpoints cover all events."""
        self._wait(lambda: not worker.alive or self._is_done(), "the end of the worker", 400, tend=False)

    def _is_done(self) -> bool:
        if not self.produced.is_set():
            return False
        return self.committed() >= sum(self.ends([self.prefix + topic for topic in INPUTS]).values())

    def wait_until_done(self, seconds: float = 400) -> None:
        """Wait until all events are covered by a checkpoint; a worker that gave up is started anew."""
        self._wait(self.produced.is_set, "the producer", seconds, tend=True)
        if self._failed:
            raise TrialError(f"the producer failed: {self._failed[0]!r}")
        self._wait(self._is_done, "the end of the events", seconds, tend=True)

    def ends(self, topics: Sequence[str]) -> dict[TopicPartition, int]:
        """Return the ends of topics' partitions."""
        self._consumer = self._consumer or KafkaConsumer(bootstrap_servers=self.kafka.bootstrap_servers)
        partitions = self._consumer.partitions_for_topic
        tps = [TopicPartition(name, p) for name in topics for p in sorted(partitions(name) or ())]
        ends: dict[TopicPartition, int] = self._consumer.end_offsets(tps)
        return ends

    @property
    def changelogs(self) -> list[str]:
        """Topics that hold the workers' state."""
        kafka = load_configuration(None, environment=self.environment).kafka
        return [changelog_topic(kafka, topic) for topic in INPUTS]

    def unfinished_checkpoints(self) -> int:
        """Count the partitions whose last checkpoint has no marker, or whose marker's offset is not committed."""
        ends = self.ends(self.changelogs)
        committed = self._offsets()
        unfinished = 0
        for tp, end in ends.items():
            if end and self._consumer is not None:
                self._consumer.assign([tp])
                self._consumer.seek(tp, end - 1)
                last = next(iter(self._consumer.poll(timeout_ms=2000).get(tp, [])), None)
                if last is not None and last.key == MARKER_KEY:
                    topic = self.prefix + INPUTS[self.changelogs.index(tp.topic)]
                    covered = msgspec.msgpack.decode(last.value, type=Marker).covered
                    unfinished += committed.get((topic, tp.partition), 0) < covered
                else:
                    unfinished += last is not None
        return unfinished

    def stop(self) -> bool:
        """End all workers in order, and say whether each did so."""
        running = [worker for worker in self.workers if worker.alive]
        for worker in running:
            worker.wait_until_ready()  # one that has only just been started does not listen yet
        codes = [worker.end(signal.SIGTERM) for worker in running]
        return not any(codes)

    def compare(self) -> Comparison:
        """Compare what was published with what should have been."""
        configuration = load_configuration(None, environment=self.environment)
        brokers = self.kafka.bootstrap_servers
        return compare(published(brokers, self.prefix), undisturbed(brokers, self.prefix, configuration))

    def close(self) -> None:
        """Kill what still runs."""
        for worker in self.workers:
            with contextlib.suppress(ProcessLookupError):
                worker.send(signal.SIGCONT)
            worker.end()
        for client in (self._admin, self._consumer):
            if client is not None:
                client.close()

    def _wait(self, done: Callable[[], bool], what: str, seconds: float, *, tend: bool) -> None:
        deadline = time.monotonic() + seconds
        while not done():
            if time.monotonic() > deadline:
                said = self.workers[-1].log.read_text(errors="replace")[-2000:]
                raise TrialError(f"{what}: not reached within {seconds:.0f} s; the last worker said:\n{said}")
            if tend:
                self.tend()
            time.sleep(0.1)
