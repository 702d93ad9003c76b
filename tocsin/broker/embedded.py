"""An Apache Kafka of one or more nodes, started, stopped and removed by this process."""

from __future__ import annotations

import base64
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any

from tocsin.broker import supervisor
from tocsin.broker.distribution import KAFKA_VERSION, BrokerError, cache, jars, java

START_SECONDS = 60
CLUSTER_FILE = "cluster.json"


class EmbeddedKafka:
    """Apache Kafka in KRaft mode on free loopback ports, as child processes.

    Nothing is left when the block ends, and nothing when this process is interrupted, crashes or is killed: a
    supervisor notices and cleans up. Programs that should use a Kafka that runs elsewhere read ``KAFKA_BOOTSTRAP`` before
    they make one of these.

    Parameters
    ----------
    folder
        Where the data are kept, for the next start too. ``None`` takes a temporary folder that goes away at the end.
    nodes
        How many brokers; each is a controller too.

    Raises
    ------
    BrokerError
        On entering, if Kafka cannot be fetched or started.

    Examples
    --------
    >>> with EmbeddedKafka() as kafka:  # doctest: +SKIP
    ...     print(kafka.bootstrap_servers)
    127.0.0.1:35001

    """

    def __init__(self, folder: Path | str | None = None, nodes: int = 1) -> None:
        self._kept = Path(folder) if folder is not None else None
        self._size = nodes
        self._supervisor: subprocess.Popen[str] | None = None
        self._folder = Path()
        self._ports: list[tuple[int, int]] = []
        self._cluster_id = ""
        self._command: list[str] = []

    def __enter__(self) -> EmbeddedKafka:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def bootstrap_servers(self) -> str:
        """Addresses of all nodes, comma-separated."""
        return ",".join(f"127.0.0.1:{port}" for port, _ in self._ports)

    def start(self) -> None:
        """Start all nodes and wait until they answer."""
        if self._supervisor is not None:
            return
        classpath = os.pathsep.join(str(jar) for jar in jars())
        self._command = [str(java()), "-Xmx512m", "-XX:TieredStopAtLevel=1", "-XX:+AutoCreateSharedArchive", "-XX:+UseSerialGC", "-cp", classpath]
        self._folder = self._kept or Path(tempfile.mkdtemp(prefix="tocsin-kafka-"))
        self._folder.mkdir(parents=True, exist_ok=True)
        self._supervisor = subprocess.Popen(
            [sys.executable, "-I", str(Path(supervisor.__file__))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        try:
            if self._kept is None:
                self._ask(do="remove", folder=str(self._folder))
            self._lay_out()
            for node in range(1, self._size + 1):
                self._launch(node)
            self._wait_until_ready()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop all nodes and remove what is not to be kept."""
        if self._supervisor is None:
            return
        running, self._supervisor = self._supervisor, None
        running.communicate()

    def stop_node(self, node: int = 1) -> None:
        """Stop a node in order; it can be started again with its data and port."""
        self._ask(do="stop", node=node)

    def kill_node(self, node: int = 1) -> None:
        """Kill a node at once; it can be started again with its data and port."""
        self._ask(do="kill", node=node)

    def start_node(self, node: int = 1) -> None:
        """Start a node that was stopped or killed, and wait until all answer."""
        self._launch(node)
        self._wait_until_ready()

    def _ask(self, **request: Any) -> dict[str, Any]:
        process = self._supervisor
        if process is None or process.stdin is None or process.stdout is None:
            raise BrokerError("this Kafka is not running: start it first")
        process.stdin.write(json.dumps(request) + "\n")
        process.stdin.flush()
        answer: dict[str, Any] = json.loads(process.stdout.readline() or "{}")
        return answer

    def _lay_out(self) -> None:
        """Write each node's configuration; ports and cluster id stay those of the first start in a kept folder."""
        kept = self._folder / CLUSTER_FILE
        if kept.exists():
            known = json.loads(kept.read_text())
            self._cluster_id, self._ports = known["cluster_id"], [(a, b) for a, b in known["ports"]]
            self._size = len(self._ports)
        else:
            self._cluster_id = base64.urlsafe_b64encode(os.urandom(16)).decode().rstrip("=").replace("-", "x")
            ports = _free_ports(2 * self._size)
            self._ports = list(zip(ports[::2], ports[1::2], strict=True))
            kept.write_text(json.dumps({"cluster_id": self._cluster_id, "ports": self._ports}))
        for node in range(1, self._size + 1):
            home = self._home(node)
            home.mkdir(exist_ok=True)
            (home / "server.properties").write_text(self._properties(node))
            (home / "log4j2.properties").write_text(LOGGING)

    def _launch(self, node: int) -> None:
        home = self._home(node)
        logging = f"-Dlog4j2.configurationFile={home}/log4j2.properties"
        java_command = [self._command[0], logging, _shared_classes(), *self._command[1:]]
        if not (home / "data" / "meta.properties").exists():
            formatting = subprocess.run(
                [*java_command, "kafka.tools.StorageTool", "format", "-t", self._cluster_id]
                + ["-c", str(home / "server.properties")],
                capture_output=True,
                text=True,
                check=False,
            )
            if formatting.returncode:
                raise BrokerError(f"Kafka's storage cannot be prepared: {_last_line(formatting.stderr)}")
        self._ask(
            do="start",
            node=node,
            command=[*java_command, "kafka.Kafka", str(home / "server.properties")],
            log=str(home / "kafka.log"),
        )

    def _wait_until_ready(self) -> None:
        from kafka.admin import KafkaAdminClient  # noqa: PLC0415
        from kafka.errors import KafkaError  # noqa: PLC0415

        deadline = time.monotonic() + START_SECONDS
        running = [node for node in range(1, self._size + 1) if self._exit_code(node) is None]
        while time.monotonic() < deadline:
            for node in running:
                if self._exit_code(node) is not None:
                    log = (self._home(node) / "kafka.log").read_text(errors="replace")
                    raise BrokerError(f"Apache Kafka did not start: {_last_line(log)}")
            if all(_listens(self._ports[node - 1][0]) for node in running):
                try:
                    client = KafkaAdminClient(bootstrap_servers=self.bootstrap_servers.split(","))
                    brokers = client.describe_cluster()["brokers"]
                    client.close()
                    if len(brokers) >= len(running):
                        return
                except (KafkaError, OSError):
                    pass
            time.sleep(0.05)
        raise BrokerError(f"Apache Kafka did not answer within {START_SECONDS} s; its log is in {self._folder}")

    def _exit_code(self, node: int) -> int | None:
        code: int | None = self._ask(**{"do": "exit code", "node": node}).get("exit_code")
        return code

    def _home(self, node: int) -> Path:
        return self._folder / f"node-{node}"

    def _properties(self, node: int) -> str:
        port, controller = self._ports[node - 1]
        voters = ",".join(f"{i}@127.0.0.1:{ports[1]}" for i, ports in enumerate(self._ports, 1))
        replicas = min(self._size, 3)
        settings = {
            "process.roles": "broker,controller",
            "node.id": node,
            "controller.quorum.voters": voters,
            "listeners": f"PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}",
            "advertised.listeners": f"PLAINTEXT://127.0.0.1:{port}",
            "controller.listener.names": "CONTROLLER",
            "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
            "log.dirs": self._home(node) / "data",
            "auto.create.topics.enable": "false",
            "offsets.topic.num.partitions": 4,
            "offsets.topic.replication.factor": replicas,
            "transaction.state.log.num.partitions": 2,
            "transaction.state.log.replication.factor": replicas,
            "transaction.state.log.min.isr": 1,
            "share.coordinator.state.topic.replication.factor": replicas,
            "share.coordinator.state.topic.min.isr": 1,
            "default.replication.factor": replicas,
            "min.insync.replicas": 1,
            "group.initial.rebalance.delay.ms": 0,
            "num.network.threads": 2,
            "num.io.threads": 2,
            "log.cleaner.dedupe.buffer.size": 2 * 1024 * 1024,
            "message.max.bytes": 4 * 1024 * 1024,
        }
        return "".join(f"{name}={value}\n" for name, value in settings.items())


LOGGING = """\
rootLogger.level = warn
rootLogger.appenderRef.console.ref = console
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d %p %c: %m%n
"""


def _shared_classes() -> str:
    """Return the option that keeps Java's loaded classes from one start to the next: it halves the time to start."""
    return f"-XX:SharedArchiveFile={cache()}/kafka-{KAFKA_VERSION}.jsa"


def _free_ports(count: int) -> list[int]:
    """Return free loopback ports; all are held until the last is found, so that they differ."""
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]
    finally:
        for probe in probes:
            probe.close()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _last_line(log: str) -> str:
    lines = [line for line in log.splitlines() if line.strip() and not line.startswith(("\t", " "))]
    errors = [line for line in lines if "ERROR" in line or "FATAL" in line or "Exception" in line]
    return (errors or lines or ["it said nothing"])[-1]
