"""How a cluster lies in its folder: addresses, each node's configuration and its files."""

from __future__ import annotations

import base64
import json
import os
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tocsin.broker.distribution import BrokerError

CLUSTER_FILE = "cluster.json"

LOGGING = """\
rootLogger.level = warn
rootLogger.appenderRef.console.ref = console
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d %p %c: %m%n
"""


@dataclass(frozen=True, slots=True)
class Layout:
    """A cluster's folder.

    Parameters
    ----------
    folder
        Holds a folder for each node.
    cluster_id
        As Kafka wants it.
    ports
        Of each node, for clients and for controllers.

    """

    folder: Path
    cluster_id: str
    ports: tuple[tuple[int, int], ...]

    @property
    def nodes(self) -> range:
        """Numbers of the nodes."""
        return range(1, len(self.ports) + 1)

    def home(self, node: int) -> Path:
        """Return the folder of a node."""
        return self.folder / f"node-{node}"

    def properties(self, node: int) -> Path:
        """Return the configuration file of a node."""
        return self.home(node) / "server.properties"

    def log(self, node: int) -> Path:
        """Return the file of all that a node says."""
        return self.home(node) / "kafka.log"

    def logging(self, node: int) -> Path:
        """Return the file that says what a node logs."""
        return self.home(node) / "log4j2.properties"

    def formatted(self, node: int) -> bool:
        """Say whether a node has been prepared by an earlier start."""
        return (self.home(node) / "data" / "meta.properties").exists()

    def address(self, node: int) -> str:
        """Return where clients reach a node."""
        return f"127.0.0.1:{self.ports[node - 1][0]}"


def lay_out(folder: Path, nodes: int) -> Layout:
    """Write each node's configuration; a kept folder keeps its nodes, cluster id and ports.

    Raises
    ------
    BrokerError
        If the folder cannot be written to, or a kept folder's port is taken.

    """
    kept = folder / CLUSTER_FILE
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if kept.exists():
            known = json.loads(kept.read_text())
            layout = Layout(folder, known["cluster_id"], tuple((a, b) for a, b in known["ports"]))
            _check_free(layout)
        else:
            ports = _free_ports(2 * nodes)
            layout = Layout(folder, _new_id(), tuple(zip(ports[::2], ports[1::2], strict=True)))
            kept.write_text(json.dumps({"cluster_id": layout.cluster_id, "ports": layout.ports}))
        for node in layout.nodes:
            layout.home(node).mkdir(exist_ok=True)
            settings = _settings(layout, node)
            layout.properties(node).write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
            layout.logging(node).write_text(LOGGING)
    except OSError as error:
        raise BrokerError(f"{error.filename} cannot be used for Kafka's data: {error.strerror}") from error
    return layout


def _settings(layout: Layout, node: int) -> dict[str, Any]:
    port, controller = layout.ports[node - 1]
    replicas = min(len(layout.ports), 3)
    return {
        "process.roles": "broker,controller",
        "node.id": node,
        "controller.quorum.voters": ",".join(f"{i}@127.0.0.1:{ports[1]}" for i, ports in enumerate(layout.ports, 1)),
        "listeners": f"PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{port}",
        "controller.listener.names": "CONTROLLER",
        "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
        "log.dirs": (layout.home(node) / "data").as_posix(),
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
        # A killed node may come back only once its session is over.
        "broker.session.timeout.ms": 4000,
        "broker.heartbeat.interval.ms": 500,
        "num.network.threads": 2,
        "num.io.threads": 2,
        "log.cleaner.dedupe.buffer.size": 2 * 1024 * 1024,
        "message.max.bytes": 4 * 1024 * 1024,
    }


def _new_id() -> str:
    """Return a random cluster id, 16 bytes in URL-safe base64; a leading dash would look like an option."""
    return base64.urlsafe_b64encode(os.urandom(16)).decode().rstrip("=").replace("-", "x")


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


def _check_free(layout: Layout) -> None:
    for node in layout.nodes:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", layout.ports[node - 1][0])) == 0:
                raise BrokerError(
                    f"something listens at {layout.address(node)}, the address of the Kafka kept in {layout.folder}:"
                    " end it, or delete the folder"
                )
