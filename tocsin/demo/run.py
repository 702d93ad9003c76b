"""Runs the demo: a broker, the topics, one worker, the producers, and a view of it all."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

from rich.console import Console
from rich.live import Live

from streams.settings import KafkaSettings
from streams.topics import TopicSettings, create_topics
from tocsin.broker.private import private_kafka
from tocsin.config import Configuration
from tocsin.demo.observer import Observer
from tocsin.demo.producer import DemoProducer
from tocsin.demo.settings import PARTITIONS
from tocsin.demo.summary import summarise
from tocsin.demo.view import View
from tocsin.demo.worker import running_worker

SETTLE_SECONDS = 30.0
"""Longest wait for the last outputs once everything has been produced."""


def run_demo(
    configuration: Configuration,
    duration: float,
    console: Console,
    report: Callable[[dict[str, Any]], None],
    *,
    keep: bool = False,
) -> None:
    """Run the whole service on real and simulated events, and say how it did.

    Parameters
    ----------
    configuration
        How to reach the Kafka of ``KAFKA_BOOTSTRAP``, if that is set; otherwise an embedded one is started and
        removed afterwards.
    duration
        Seconds over which events are produced.
    console
        Where the live view goes.
    report
        Takes the summary.
    keep
        Whether to go on running, until interrupted, once everything has been produced.

    Raises
    ------
    tocsin.demo.worker.DemoError
        If the worker does not start.
    tocsin.broker.BrokerError
        If the embedded broker cannot be started.
    streams.topics.TopicError
        If the topics cannot be created.

    """
    with interruptible(), contextlib.ExitStack() as stack:
        with console.status("starting Apache Kafka"):
            kafka = stack.enter_context(private_kafka(configuration.kafka, "demo"))
        create_topics(kafka, TopicSettings(partitions=PARTITIONS))
        with console.status("starting the worker"):
            url = stack.enter_context(running_worker(kafka))
        observer = Observer(kafka, f"{url}/metrics")
        stack.callback(observer.stop)
        with console.status("preparing the events"):
            producer = DemoProducer(kafka, duration)
        stack.callback(producer.stop)
        started = time.monotonic()
        observer.start()
        producer.start()
        try:
            with Live(View(producer, observer), console=console, auto_refresh=False) as live:
                _watch(producer, observer, live)
        except KeyboardInterrupt:
            keep = False
        report(summarise(producer.truth, observer, producer.sent, time.monotonic() - started))
        if keep:
            _keep(console, kafka, url)


def produce_demo(configuration: Configuration, duration: float) -> int:
    """Produce the demo's events to a service that runs elsewhere, and return how many.

    What is replayed gets names of its own each time: its events are as old as the time before, so the service would
    refuse them from sources that it knows.

    Parameters
    ----------
    configuration
        How to reach its Kafka, and its topics.
    duration
        Seconds over which they are produced.

    """
    kafka = configuration.kafka
    with interruptible():
        create_topics(kafka, configuration.topics)
        producer = DemoProducer(kafka, duration, suffix=f"-{datetime.now(UTC):%H%M%S}")
        producer.start()
        try:
            with contextlib.suppress(KeyboardInterrupt):
                while not producer.finished():
                    time.sleep(0.25)
        finally:
            producer.stop()
    return producer.sent


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Turn the first signal that asks to end into KeyboardInterrupt; further ones do not disturb the cleaning up."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    names = [name for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
    before = {number: signal.getsignal(number) for number in (getattr(signal, name) for name in names)}

    def interrupt(number: int, frame: object) -> None:
        for one in before:
            signal.signal(one, signal.SIG_IGN)
        raise KeyboardInterrupt

    for number in before:
        signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _watch(producer: DemoProducer, observer: Observer, live: Live) -> None:
    """Show the view until everything is produced and the service has nothing left to do."""
    while not producer.finished():
        time.sleep(0.25)
        live.refresh()
    finished = time.monotonic()
    while time.monotonic() - finished < SETTLE_SECONDS and not observer.settled(finished):
        time.sleep(0.25)
        live.refresh()


def _keep(console: Console, kafka: KafkaSettings, url: str) -> None:
    prefix = f"  export TOCSIN_KAFKA__TOPIC_PREFIX={kafka.topic_prefix}\n" if kafka.topic_prefix else ""
    console.print(
        f"\nKept running; Ctrl-C ends it. From another terminal:\n"
        f"  export KAFKA_BOOTSTRAP={kafka.bootstrap_servers}\n{prefix}"
        f"  tocsin produce telemetry my-readings.csv\n"
        f"  tocsin tail alerts\n"
        f"  curl {url}/metrics",
        highlight=False,
        soft_wrap=True,
    )
    with contextlib.suppress(KeyboardInterrupt):
        while True:
            time.sleep(3600)
