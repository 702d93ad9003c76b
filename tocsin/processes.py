"""Several workers on one host: as many processes, each started anew when it dies."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
from multiprocessing import connection
from multiprocessing.context import SpawnProcess

import structlog

from streams.logs import configure_logging
from streams.worker import STOP_SECONDS
from tocsin.config import Configuration

log = structlog.get_logger(__name__)

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
STEADY_SECONDS = 60.0
"""A process that has run for so long counts as well: should it die now, it starts again after the first pause."""


class WorkerProcess:
    """One worker of several: its process, and when it may be started again.

    Parameters
    ----------
    number
        Its number, from 0.
    configuration
        That of the service. It answers over HTTP on the configured port plus its number.

    """

    def __init__(self, number: int, configuration: Configuration) -> None:
        self.number = number
        port = configuration.http.port
        http = configuration.http.model_copy(update={"port": port + number if port else 0})
        self._configuration = configuration.model_copy(update={"http": http})
        self._pause = FIRST_PAUSE
        self._started_at = 0.0
        self.process: SpawnProcess | None = None
        self.due_at = 0.0

    def start(self) -> None:
        """Start the process."""
        self._started_at = time.monotonic()
        self.process = multiprocessing.get_context("spawn").Process(
            target=_work, args=(self._configuration,), name=f"worker-{self.number}"
        )
        self.process.start()
        log.info("process_started", process=self.number, pid=self.process.pid, port=self._configuration.http.port)

    def note_end(self) -> None:
        """If the process has ended, make it due again after a pause, which doubles from time to time."""
        if self.process is None or self.process.exitcode is None:
            return
        code, self.process = self.process.exitcode, None
        now = time.monotonic()
        self._pause = FIRST_PAUSE if now - self._started_at >= STEADY_SECONDS else self._pause
        self.due_at = now + self._pause
        log.error("process_ended", process=self.number, exit_code=code, again_in_seconds=self._pause)
        self._pause = min(2 * self._pause, LONGEST_PAUSE)


def run_processes(configuration: Configuration, count: int) -> int:
    """Keep ``count`` workers running until told to stop, and return the exit code.

    They form one consumer group and share the partitions. Each takes a state directory of its own, and answers on
    a port of its own: the configured one plus its number. One that dies is started again, after one second at first and
    up to a minute when it keeps dying. SIGTERM and SIGINT stop all in order. Should this process be killed, they stop
    by themselves.

    Parameters
    ----------
    configuration
        That of the service.
    count
        How many processes; more than there are partitions find nothing to do.

    Returns
    -------
    int
        0 if all stopped in order, 1 if one did not.

    """
    configure_logging(configuration.log)
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    workers = [WorkerProcess(number, configuration) for number in range(count)]
    while not stopping.is_set():
        for worker in workers:
            worker.note_end()
            if worker.process is None and time.monotonic() >= worker.due_at:
                worker.start()
        connection.wait([worker.process.sentinel for worker in workers if worker.process is not None], timeout=0.2)
    log.info("processes_stopping", processes=count)
    return _stop(workers)


def _stop(workers: list[WorkerProcess]) -> int:
    """Ask all that run to end, wait until they have, and return 0 if all did so in order."""
    running = [worker.process for worker in workers if worker.process is not None]
    for process in running:
        process.terminate()
    deadline = time.monotonic() + STOP_SECONDS + 10
    for process in running:
        process.join(max(deadline - time.monotonic(), 0))
        if process.exitcode is None:
            process.kill()
            process.join()
    codes = [process.exitcode for process in running]
    log.info("processes_stopped", exit_codes=codes)
    # One that had not yet begun ends by the signal itself: it had nothing to finish.
    return 0 if all(code in (0, -signal.SIGTERM) for code in codes) else 1


def _work(configuration: Configuration) -> None:
    from tocsin.wiring import run_worker  # noqa: PLC0415 - the process that watches over the workers needs no Faust

    threading.Thread(target=_end_with_parent, name="watch parent", daemon=True).start()
    sys.exit(run_worker(configuration))


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os.kill(os.getpid(), signal.SIGTERM)
