"""An Apache Kafka of one or more nodes, started, stopped and removed by this process."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType

from tocsin.broker.archive import shared_classes
from tocsin.broker.children import Children, ChildrenError
from tocsin.broker.distribution import BrokerError, jars, java
from tocsin.broker.nodes import Layout, lay_out

START_SECONDS = 60
SMALL_AND_QUICK = ("-Xmx512m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")


class EmbeddedKafka:
    """Apache Kafka in KRaft mode on free loopback ports, as child processes.

    Nothing is left when the block ends, and nothing when this process is interrupted, crashes or is killed: a
    supervisor notices and cleans up. Programs that should use a Kafka that runs elsewhere read ``KAFKA_BOOTSTRAP``
    before they make one of these.

    Parameters
    ----------
    folder
        Where the data are kept, for the next start too. ``None`` takes a temporary folder that goes away at the end.
    nodes
        How many brokers; each is a controller too. A kept folder keeps the number of its first start.
    java_options
        Further options for Java. With any, it starts without the archive of classes, which fits one set of options.

    Raises
    ------
    BrokerError
        On entering, if Kafka cannot be fetched or started.

    Examples
    --------
    >>> with EmbeddedKafka() as kafka:
    ...     print(kafka.bootstrap_servers.split(":")[0])
    127.0.0.1

    """

    def __init__(self, folder: Path | str | None = None, nodes: int = 1, java_options: Sequence[str] = ()) -> None:
        self._kept = None if folder is None else Path(folder)
        self._size = nodes
        self._java_options = list(java_options)
        self._children: Children | None = None
        self._layout = Layout(Path(), "", ())
        self._java: list[str] = []

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
        return ",".join(self._layout.address(node) for node in self._layout.nodes)

    def start(self) -> None:
        """Start all nodes and wait until they answer."""
        if self._children is not None:
            return
        self._java = self._java_command()
        self._children = children = Children()
        try:
            self._layout = lay_out(self._kept.absolute() if self._kept else children.make_folder(), self._size)
            self._format(children)
            for node in self._layout.nodes:
                self._launch(node)
            self._wait_until_ready(self._layout.nodes)
        except ChildrenError as error:
            self.stop()
            raise BrokerError(f"Apache Kafka cannot be started: {_last_line(str(error))}") from error
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop all nodes and remove what is not to be kept."""
        if self._children is not None:
            children, self._children = self._children, None
            children.close()

    def stop_node(self, node: int = 1) -> None:
        """Stop a node in order; it can be started again with its data and port."""
        self._started().stop(node)

    def kill_node(self, node: int = 1) -> None:
        """Kill a node at once; it can be started again with its data and port."""
        self._started().kill(node)

    def start_node(self, node: int = 1) -> None:
        """Start a node that was stopped or killed, and wait until it and those that run answer."""
        self._launch(node)
        self._wait_until_ready(self._started().running())

    def pause_node(self, node: int = 1) -> None:
        """Let a node hang: it takes connections and answers nothing. Not on Windows."""
        self._started().pause(node)

    def resume_node(self, node: int = 1) -> None:
        """Let a node that hangs go on, and wait until it and those that run answer."""
        self._started().resume(node)
        self._wait_until_ready(self._started().running())

    def _java_command(self) -> list[str]:
        command = [str(java()), *SMALL_AND_QUICK, "-cp", os.pathsep.join(str(jar) for jar in jars())]
        options = self._java_options or shared_classes(command, _run_once)
        return [command[0], *options, *command[1:]]

    def _started(self) -> Children:
        if self._children is None:
            raise BrokerError("this Kafka is not running: start it first")
        return self._children

    def _format(self, children: Children) -> None:
        fresh = [node for node in self._layout.nodes if not self._layout.formatted(node)]
        command = ["kafka.tools.StorageTool", "format", "--cluster-id", self._layout.cluster_id, "--config"]
        children.run([[*self._java, *command, str(self._layout.properties(node))] for node in fresh])

    def _launch(self, node: int) -> None:
        logging = f"-Dlog4j2.configurationFile={self._layout.logging(node).as_uri()}"
        command = [self._java[0], logging, *self._java[1:], "kafka.Kafka", str(self._layout.properties(node))]
        self._started().start(node, command, self._layout.log(node))

    def _wait_until_ready(self, nodes: Iterable[int]) -> None:
        wanted = set(nodes)
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            ended = wanted.difference(self._started().running())
            if ended:
                log = self._layout.log(min(ended)).read_text(errors="replace")
                raise BrokerError(f"Apache Kafka did not start: {_last_line(log)}")
            if all(wanted <= _known_to(self._layout.address(node)) for node in wanted):
                return
            time.sleep(0.05)
        raise BrokerError(f"Apache Kafka did not answer within {START_SECONDS} s; its log is in {self._layout.folder}")


def _run_once(java_option: str) -> None:
    with EmbeddedKafka(java_options=[java_option]) as kafka:
        kafka.stop_node(1)


def _known_to(address: str) -> set[int]:
    """Return the nodes that a broker knows, none if it does not answer."""
    from kafka.admin import KafkaAdminClient  # noqa: PLC0415  start-up time
    from kafka.errors import KafkaError  # noqa: PLC0415

    host, _, port = address.rpartition(":")
    if not _listens(host, int(port)):
        return set()
    with contextlib.suppress(KafkaError, OSError):
        client = KafkaAdminClient(bootstrap_servers=address)
        try:
            return {
                int(broker.get("broker_id", broker.get("node_id"))) for broker in client.describe_cluster()["brokers"]
            }
        finally:
            client.close()
    return set()


def _listens(host: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((host, port)) == 0


def _last_line(log: str) -> str:
    lines = [line for line in log.splitlines() if line.strip() and not line.startswith(("\t", " ", "WARNING"))]
    errors = [line for line in lines if "ERROR" in line or "FATAL" in line or "Exception" in line]
    return (errors or lines or ["it said nothing"])[-1]
