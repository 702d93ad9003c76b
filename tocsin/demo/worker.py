"""The demo's worker: `tocsin worker` as a child process."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from streams.settings import KafkaSettings
from tocsin.demo.settings import worker_environment

START_SECONDS = 60.0
STOP_SECONDS = 20.0


class DemoError(RuntimeError):
    """The demo cannot go on; the message says why and what to do."""


@contextlib.contextmanager
def running_worker(kafka: KafkaSettings, folder: Path) -> Iterator[str]:
    """Start a worker, give the address of its web server once it is ready, and stop it at the end.

    Parameters
    ----------
    kafka
        How to reach Kafka, and the topics' prefix.
    folder
        Where the worker's state and log go.

    Raises
    ------
    DemoError
        If it does not get ready.

    """
    port, log = _free_port(), folder / "worker.log"
    with log.open("wb") as out:
        # A session of its own: Ctrl-C reaches the demo alone, which then stops the worker in order.
        worker = subprocess.Popen(
            [sys.executable, "-m", "tocsin", "worker"],
            cwd=folder,  # without the tocsin.yaml of the folder that the demo is started in
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            env=worker_environment(os.environ, kafka, folder, port),
            start_new_session=True,
        )
    try:
        url = f"http://127.0.0.1:{port}"
        _wait_until_ready(worker, url, log)
        yield url
    finally:
        worker.terminate()
        try:
            worker.wait(timeout=STOP_SECONDS)
        except subprocess.TimeoutExpired:
            worker.kill()
            worker.wait()


def _wait_until_ready(worker: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and worker.poll() is None:
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{url}/readyz", timeout=1):  # noqa: S310
            return
        time.sleep(0.1)
    lines = log.read_text(errors="replace").split("\n")
    said = next((line.strip() for line in reversed(lines) if line.strip()), "nothing")
    raise DemoError(f"the worker did not get ready; the last it said: {said[:500]}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
