"""Runs the demo: a broker, the topics, one worker, the producers, and a view of it all."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.live import Live

from streams.topics import create_topics
from tocsin.broker import EmbeddedKafka
from tocsin.config import Configuration
from tocsin.demo.observer import Observer
from tocsin.demo.producer import DemoProducer
from tocsin.demo.summary import summarise
from tocsin.demo.view import View


class DemoError(RuntimeError):
    """The demo cannot go on; the message says why and what to do."""


def run_demo(configuration: Configuration, duration: float, console: Console, *, keep: bool = False) -> dict[str, Any]:
    """Run the whole service on real and simulated events, and say how it did.

    Parameters
    ----------
    configuration
        If it names brokers, they are used; otherwise an embedded Kafka is started and removed afterwards.
    duration
        Seconds over which events are produced.
    console
        Where the live view goes.
    keep
        Whether to go on running, until interrupted, once everything has been produced.

    Raises
    ------
    DemoError
        If the worker does not start.
    tocsin.broker.BrokerError
        If the embedded broker cannot be started.

    """
    with contextlib.ExitStack() as stack:
        brokers = os.environ.get("KAFKA_BOOTSTRAP")
        if not brokers:
            with console.status("starting Apache Kafka"):
                brokers = stack.enter_context(EmbeddedKafka()).bootstrap_servers
        kafka = configuration.kafka.model_copy(update={"bootstrap_servers": brokers})
        configuration = configuration.model_copy(update={"kafka": kafka})
        connection = kafka.client_options()
        create_topics(configuration.kafka, configuration.topics)
        with console.status("starting the worker"):
            url = stack.enter_context(_worker(brokers))
        producer = DemoProducer(connection, configuration.kafka.topic_prefix, duration)
        observer = Observer(
            connection, configuration.kafka.topic_prefix, producer.produced_at, metrics_url=f"{url}/metrics"
        )
        started = time.monotonic()
        observer.start()
        producer.start()
        stack.callback(observer.stop)
        with contextlib.suppress(KeyboardInterrupt), Live(View(producer, observer), console=console) as live:
            _watch(producer, observer, live)
        seconds = time.monotonic() - started
        producer.stop()
        if keep:
            _keep(console, brokers, url)
        return summarise(producer, observer, seconds)


def produce_demo(configuration: Configuration, brokers: str, duration: float) -> int:
    """Produce the demo's events to a service that runs elsewhere, and return how many.

    Parameters
    ----------
    configuration
        Its topics' prefix and the credentials.
    brokers
        Where its Kafka is.
    duration
        Seconds over which they are produced.

    """
    kafka = configuration.kafka.model_copy(update={"bootstrap_servers": brokers})
    producer = DemoProducer(kafka.client_options(), kafka.topic_prefix, duration)
    producer.start()
    with contextlib.suppress(KeyboardInterrupt):
        while not producer.finished():
            time.sleep(0.25)
    producer.stop()
    return producer.sent


def _watch(producer: DemoProducer, observer: Observer, live: Live) -> None:
    """Show the view until everything is produced and its outputs have been quiet for a moment."""
    while not producer.finished():
        time.sleep(0.25)
        live.refresh()
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and (
        observer.quiet_for() < 1.5 or observer.metric("tocsin_consumer_lag") > 0
    ):
        time.sleep(0.25)
        live.refresh()


def _keep(console: Console, brokers: str, url: str) -> None:
    console.print(
        f"Kept running; Ctrl-C ends it. From another terminal:\n"
        f"  export KAFKA_BOOTSTRAP={brokers}\n"
        f"  tocsin produce telemetry my-events.jsonl\n"
        f"  tocsin tail alerts\n"
        f"  curl {url}/metrics"
    )
    with contextlib.suppress(KeyboardInterrupt):
        signal.pause()


@contextlib.contextmanager
def _worker(brokers: str) -> Iterator[str]:
    """Start one worker process and give the address of its web server once it is ready."""
    with tempfile.TemporaryDirectory(prefix="tocsin-demo-") as folder:
        port, log = _free_port(), Path(folder) / "worker.log"
        environment = os.environ | {
            "KAFKA_BOOTSTRAP": brokers,
            "TOCSIN_STATE__DIRECTORY": f"{folder}/state",
            "TOCSIN_HTTP__PORT": str(port),
            "TOCSIN_HTTP__HOST": "127.0.0.1",
        }
        with log.open("wb") as out:
            # Its own session: Ctrl-C reaches the demo alone, which then stops the worker in order.
            worker = subprocess.Popen(
                [sys.executable, "-m", "tocsin", "worker"],
                stdout=out,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,
            )
        try:
            url = f"http://127.0.0.1:{port}"
            _wait_until_ready(worker, url, log)
            yield url
        finally:
            worker.terminate()
            try:
                worker.wait(timeout=15)
            except subprocess.TimeoutExpired:
                worker.kill()
                worker.wait()


def _wait_until_ready(worker: subprocess.Popen[bytes], url: str, log: Path, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if worker.poll() is not None:
            break
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{url}/readyz", timeout=1):  # noqa: S310
            return
        time.sleep(0.1)
    lines = log.read_text(errors="replace").splitlines()
    raise DemoError(f"the worker did not get ready; its last words: {lines[-1] if lines else 'none'}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
