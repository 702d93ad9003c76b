"""The demo's worker: `tocsin worker` as a child process."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path

from streams.settings import KafkaSettings
from tocsin.broker.children import Children
from tocsin.demo.settings import worker_environment

START_SECONDS = 60.0
WORKER = 1


class DemoError(RuntimeError):
    """The demo cannot go on; the message says why and what to do."""


@contextlib.contextmanager
def running_worker(kafka: KafkaSettings, settings: Mapping[str, str] | None = None) -> Iterator[str]:
    """Start a worker, give the address of its web server once it is ready, and stop it at the end.

    Parameters
    ----------
    kafka
        How to reach Kafka, and the topics' prefix.
    settings
        Environment variables that take the place of the demo's settings.

    Raises
    ------
    DemoError
        If it does not get ready.

    """
    port = free_port()
    with contextlib.closing(Children(worker_environment(os.environ, kafka, port) | dict(settings or {}))) as children:
        folder = children.make_folder()
        log = folder / "worker.log"
        # In its own folder, without the tocsin.yaml of the one that the demo is started in.
        children.start(WORKER, [sys.executable, "-m", "tocsin", "worker"], log, folder)
        try:
            url = f"http://127.0.0.1:{port}"
            _wait_until_ready(children, url, log)
            yield url
        finally:
            children.stop(WORKER)


def _wait_until_ready(children: Children, url: str, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and children.running():
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{url}/readyz", timeout=1):  # noqa: S310
            return
        time.sleep(0.1)
    lines = log.read_text(errors="replace").split("\n")
    said = next((line.strip() for line in reversed(lines) if line.strip()), "nothing")
    raise DemoError(f"the worker did not get ready; the last it said: {said[:500]}")


def free_port() -> int:
    """Return a port of this host that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
