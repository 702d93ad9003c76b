"""One worker process under trial, and what it has logged."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any


class Worker:
    """One `tocsin worker` process and what it has logged."""

    def __init__(self, environment: dict[str, str], log: Path, before: Sequence[str] = ()) -> None:
        self.log = log
        with log.open("ab") as out:
            self.process = subprocess.Popen(
                [*before, sys.executable, "-m", "tocsin", "worker"],
                env=environment,
                stdout=out,
                stderr=subprocess.STDOUT,
            )

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self.process.poll() is None

    def events(self, name: str) -> list[dict[str, Any]]:
        """Return what it has logged under a name."""
        return [event for event in self._logged() if event["event"] == name]

    def wait_for(self, name: str, count: int = 1, seconds: float = 90) -> None:
        """Wait until it has logged an event so many times, or has ended."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and self.alive and len(self.events(name)) < count:
            time.sleep(0.02)

    def ready(self) -> bool:
        """Say whether it has partitions and works."""
        states = [e["event"] for e in self._logged() if e["event"] in ("partitions_assigned", "partitions_revoked")]
        return self.alive and states[-1:] == ["partitions_assigned"]

    def wait_until_ready(self, seconds: float = 90) -> None:
        """Wait until it has partitions, or has ended."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and self.alive and not self.ready():
            time.sleep(0.02)

    def send(self, number: int) -> None:
        """Send a signal."""
        self.process.send_signal(number)

    def pauses(self) -> list[float]:
        """Return for how many seconds each rebalance kept it from its work."""
        pauses, since = [], None
        for event in self._logged():
            at = datetime.fromisoformat(event["timestamp"]).timestamp() if "timestamp" in event else 0.0
            if event["event"] == "partitions_revoked" and event["partitions"]:
                since = at
            elif event["event"] == "partitions_assigned" and since is not None:
                pauses.append(at - since)
                since = None
        return pauses

    def end(self, number: int = signal.SIGKILL, seconds: float = 60) -> int:
        """End it and return its exit code."""
        if self.alive:
            self.send(number)
        return self.process.wait(timeout=seconds)

    def _logged(self) -> list[dict[str, Any]]:
        found = []
        for line in self.log.read_text(errors="replace").splitlines():
            with contextlib.suppress(ValueError):
                found.append(json.loads(line))
        return [event for event in found if isinstance(event, dict) and "event" in event]
