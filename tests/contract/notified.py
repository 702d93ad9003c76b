"""`tocsin notify` on a real Kafka, and somebody with an HTTP server who is told."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import yaml

from tests.alerts.told import alert
from tests.contract.service import Service, free_port

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


class Hook:
    """Takes webhooks: each request's headers and body. ``answers`` are the next statuses; then all is well."""

    def __init__(self) -> None:
        self.requests: list[tuple[dict[str, str], bytes]] = []
        self.answers: list[int] = []
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status = hook.answers.pop(0) if hook.answers else 200
                hook.requests.append((dict(self.headers), body))
                self.send_response(status)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def told(self) -> list[dict[str, Any]]:
        return [json.loads(body) for _, body in self.requests]

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class Notifying:
    """The service's topics, a configuration, and processes that notify."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.hook = Hook()
        self.processes: list[subprocess.Popen[bytes]] = []
        self.ports: list[int] = []

    def configure(self, notify: dict[str, Any], **sections: Any) -> None:
        path = self.service.folder / "tocsin.yaml"
        (self.service.folder / "secret").write_text(SECRET)
        path.write_text(yaml.safe_dump({"notify": notify, "kafka": {"session_seconds": 6}, **sections}))
        self.service.environment["TOCSIN_CONFIG"] = str(path)

    def webhook(self, **said: Any) -> dict[str, Any]:
        return {"url": self.hook.url, "secret_file": "secret", **said}

    def start(self) -> subprocess.Popen[bytes]:
        port = free_port()
        environment = self.service.environment | {"TOCSIN_HTTP__PORT": str(port), "TOCSIN_HTTP__HOST": "127.0.0.1"}
        with self.log.open("ab") as out:
            process = subprocess.Popen([sys.executable, "-m", "tocsin", "notify"], env=environment, stderr=out)
        self.processes.append(process)
        self.ports.append(port)
        return process

    @property
    def log(self) -> Path:
        return self.service.folder / "notify.log"

    def get(self, path: str, number: int = -1) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.ports[number]}{path}", timeout=5) as answer:
            return answer.read().decode()

    def wait_until_active(self, number: int = -1, seconds: float = 40) -> None:
        def active() -> bool:
            with contextlib.suppress(OSError):
                return self.get("/readyz", number) == "ok\n" and "tocsin_notify_active 1.0" in self.get(
                    "/metrics", number
                )
            return False

        self.until(active, "an active notifier", seconds)

    def until(self, done: Any, what: str, seconds: float = 40) -> Any:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if found := done():
                return found
            time.sleep(0.05)
        raise AssertionError(f"not within {seconds} s: {what}\n{self.log.read_text()[-3000:]}")

    def send(self, *alerts: Any) -> None:
        messages = [(one.alert_id, json.loads(one.encode())) for one in alerts]
        self.service.produce("alerts", messages)

    def fire(self, *names: str, version: int = 1, **said: Any) -> None:
        self.send(*(alert(name, "firing", version, started_at=time.time(), **said) for name in names))

    def resolve(self, *names: str, version: int = 2, **said: Any) -> None:
        self.send(*(alert(name, "resolved", version, started_at=time.time() - 1, **said) for name in names))

    def notifications(self) -> dict[str, dict[str, Any]]:
        """The present value of each notification."""
        return {record.key.decode(): json.loads(record.value) for record in self.service.read("notifications")}

    def stop(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                process.terminate()
        for process in self.processes:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(20)
            if process.poll() is None:
                process.kill()
        self.hook.stop()
