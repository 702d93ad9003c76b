"""Runs a worker: from its settings to its exit code."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import structlog
from aiokafka.errors import KafkaError

from streams.changelog import TopicError, prepare_cluster
from streams.engine import INPUTS, OUTPUTS, Engine, ProcessorFactory
from streams.health import HealthServer
from streams.lease import LeaseLostError
from streams.logs import configure_logging
from streams.settings import EngineSettings, KafkaSettings, StateSettings
from streams.state import StateError

log = structlog.get_logger(__name__)

STOP_SECONDS = 30.0
SWITCH_SECONDS = 0.001
"""How long the thread that reads from Kafka may have to wait for the one that scores; Python's default is 5 ms."""


def run_worker(
    settings: EngineSettings,
    make_processor: ProcessorFactory,
    inputs: Sequence[str] = INPUTS,
    outputs: Sequence[str] = OUTPUTS,
) -> int:
    """Work until told to stop by SIGTERM or SIGINT, and return the exit code.

    Parameters
    ----------
    settings
        The engine's settings.
    make_processor
        Makes the core of each partition, from the states it had at the last checkpoint.
    inputs
        Input topics, most urgent first.
    outputs
        Topics that the processors put out to.

    Returns
    -------
    int
        0 after a clean stop, 1 after a failure.

    """
    configure_logging(settings.log)
    sys.setswitchinterval(SWITCH_SECONDS)
    with asyncio.Runner() as runner:
        return runner.run(_run(settings, make_processor, inputs, outputs))


async def _run(
    settings: EngineSettings, make_processor: ProcessorFactory, inputs: Sequence[str], outputs: Sequence[str]
) -> int:
    stop = _stop_signal()
    try:
        return await _work(settings, make_processor, inputs, outputs, stop)
    except (TopicError, StateError, KafkaError, OSError) as error:
        log.error("worker_failed", error=_told(error, settings.kafka))  # noqa: TRY400 - one line says it all
        return 1


async def _work(
    settings: EngineSettings,
    make_processor: ProcessorFactory,
    inputs: Sequence[str],
    outputs: Sequence[str],
    stop: asyncio.Future[None],
) -> int:
    cluster = await prepare_cluster(settings.kafka, inputs, outputs)
    with _own_directory(settings.state, cluster.id) as directory:
        engine = Engine(settings, make_processor, cluster, directory, outputs)
        health = HealthServer(settings.http, engine.unhealthy, engine.unready, engine.refresh_metrics)
        async with health:
            log.info("worker_started", group=settings.kafka.group_id, inputs=list(inputs), state=str(directory))
            working = asyncio.create_task(engine.run())
            await asyncio.wait({working, stop}, return_when=asyncio.FIRST_COMPLETED)
            failure = working.exception() if working.done() else None
            working.cancel()
            return await _stop(engine, failure)


async def _stop(engine: Engine, failure: BaseException | None) -> int:
    if failure is not None:
        expected = isinstance(failure, (StateError, TopicError, LeaseLostError))
        log.error("worker_failed", error=str(failure), exc_info=None if expected else failure)
    try:
        await asyncio.wait_for(engine.stop(cleanly=failure is None), STOP_SECONDS)
    except Exception as error:
        log.error("worker_stop_failed", error=repr(error))  # noqa: TRY400
        failure = failure or error
    log.info("worker_stopped", clean=failure is None)
    return 0 if failure is None else 1


def _told(error: Exception, kafka: KafkaSettings) -> str:
    if isinstance(error, KafkaError):
        return f"no Kafka broker at {kafka.bootstrap_servers} does what it should ({error}): check KAFKA_BOOTSTRAP"
    return " ".join(str(error).split())


def _stop_signal() -> asyncio.Future[None]:
    loop = asyncio.get_running_loop()
    stop: asyncio.Future[None] = loop.create_future()

    def on_signal(*_: object) -> None:
        if not stop.done():
            log.info("worker_stopping")
            stop.set_result(None)

    for number in (signal.SIGTERM, signal.SIGINT):
        try:
            loop.add_signal_handler(number, on_signal)
        except NotImplementedError:
            signal.signal(number, lambda *_: loop.call_soon_threadsafe(on_signal))
    return stop


@contextlib.contextmanager
def _own_directory(settings: StateSettings, cluster: str) -> Iterator[Path]:
    """Give this process a folder that no other uses: workers on one host share the configured one."""
    if not settings.keep:
        with tempfile.TemporaryDirectory(prefix="tocsin-state-") as temporary:
            yield Path(temporary)
        return
    number = 0
    while True:
        directory = settings.directory / cluster / f"worker-{number}"
        directory.mkdir(parents=True, exist_ok=True)
        with (directory / "lock").open("wb") as lock:
            if _locked(lock.fileno()):
                yield directory
                return
        number += 1


def _locked(descriptor: int) -> bool:
    """Take a lock that ends with the process."""
    try:
        if os.name == "nt":
            import msvcrt  # noqa: PLC0415 - exists on Windows only

            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined,unused-ignore]
        else:
            import fcntl  # noqa: PLC0415 - does not exist on Windows

            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
