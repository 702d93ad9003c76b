"""The whole service for a measurement: `tocsin notify` beside a worker, whom it tells, and what it has published."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import yaml
from kafka import KafkaConsumer, TopicPartition

from tocsin.bench.fleet import Fleet
from tocsin.broker.children import Children
from tocsin.demo.settings import worker_environment
from tocsin.demo.worker import free_port

NOTIFIER = 1
MOST_SECONDS = 1800.0


class Hook:
    """A web server that is told."""

    def __init__(self) -> None:
        self.told: list[dict[str, Any]] = []
        told = self.told

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                told.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Hook:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._server.server_close()


@contextlib.contextmanager
def notifying(worker: Fleet, hook: Hook, incidents: Mapping[str, Any], *, wanted: bool = True) -> Iterator[None]:
    """Run `tocsin notify` beside the worker: of each incident, one message to the hook.

    Parameters
    ----------
    worker
        Whose alerts they are.
    hook
        Who is told.
    incidents
        Settings of incidents.
    wanted
        Whether it runs at all.

    """
    if not wanted:
        yield
        return
    settings = {
        "incidents": dict(incidents),
        "notify": {
            "tell": "incidents",
            "route": {"receiver": "hook", "group_by": ["alert_id"], "group_wait": 1, "group_interval": 5},
            "receivers": [{"name": "hook", "webhook": [{"url": hook.url}]}],
        },
    }
    port = free_port()
    with contextlib.closing(Children(worker_environment(os.environ, worker.kafka, port))) as children:
        folder = children.make_folder()
        (folder / "tocsin.yaml").write_text(yaml.safe_dump(settings))
        log = folder / "notify.log"
        children.start(NOTIFIER, [sys.executable, "-m", "tocsin", "notify"], log, folder)

        def active() -> bool:
            if NOTIFIER not in children.running():
                raise SystemExit(f"tocsin notify ended: {log.read_text()[-800:]}")
            with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
                return b"tocsin_notify_active 1.0" in answer.read()
            return False

        until(active, "tocsin notify is active")
        yield


def values_of(worker: Fleet, topic: str, partitions: int) -> list[bytes]:
    """Return all values of a topic, as far as they are committed."""
    name = worker.kafka.topic(topic)
    with contextlib.closing(
        KafkaConsumer(
            bootstrap_servers=worker.kafka.servers, enable_auto_commit=False, isolation_level="read_committed"
        )
    ) as consumer:
        places = [TopicPartition(name, number) for number in range(partitions)]
        consumer.assign(places)
        consumer.seek_to_beginning()
        found: list[bytes] = []
        ends = consumer.end_offsets(places)
        while any(consumer.position(place) < end for place, end in ends.items()):
            for records in consumer.poll(timeout_ms=500).values():
                found += [record.value for record in records]
        return found


def until(done: Callable[[], bool], what: str, pause: float = 0.2) -> None:
    """Wait until something is so; if that takes too long, end and say what it was."""
    deadline = time.monotonic() + MOST_SECONDS
    while not done():
        if time.monotonic() > deadline:
            raise SystemExit(f"not within {MOST_SECONDS:g} s: {what}")
        time.sleep(pause)
