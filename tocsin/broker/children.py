"""Child processes that end when this process does, however it ends."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tocsin.broker import supervisor


class ChildrenError(RuntimeError):
    """A child process cannot be started; the message is what it said."""


class Children:
    """Numbered child processes and a temporary folder, in the care of a supervisor that outlives a killed parent.

    Parameters
    ----------
    environment
        Environment variables of all of them; ``None`` for those of this process.

    """

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        # In a session of its own, out of reach of the terminal's Ctrl-C.
        self._supervisor = subprocess.Popen(  # noqa: S603  a program of ours
            [sys.executable, "-I", str(Path(supervisor.__file__))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=None if environment is None else dict(environment),
            start_new_session=True,
            creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
        )

    def make_folder(self) -> Path:
        """Make the temporary folder, which goes when they end; with one, they are killed if this process is."""
        return Path(self._ask(do="make folder")["folder"])

    def run(self, commands: list[list[str]]) -> None:
        """Run programs to their end, all at once."""
        self._ask(do="run", commands=commands)

    def start(self, number: int, command: list[str], log: Path, folder: Path | None = None) -> None:
        """Start a program that goes on; all that it says goes to ``log``."""
        self._ask(do="start", node=number, command=command, log=str(log), folder=folder and str(folder))

    def stop(self, number: int) -> None:
        """Ask a child to end, and wait until it has."""
        self._ask(do="stop", node=number)

    def kill(self, number: int) -> None:
        """Kill a child at once."""
        self._ask(do="kill", node=number)

    def pause(self, number: int) -> None:
        """Let a child hang: it keeps its memory and connections, and does nothing. Not on Windows."""
        self._ask(do="pause", node=number)

    def resume(self, number: int) -> None:
        """Let a child that hangs go on."""
        self._ask(do="resume", node=number)

    def running(self) -> list[int]:
        """Return the numbers of those that run."""
        return list(self._ask(do="list")["running"])

    def close(self) -> None:
        """End all that still run and remove the temporary folder."""
        self._supervisor.communicate()

    def _ask(self, **request: Any) -> dict[str, Any]:
        process = self._supervisor
        if process.stdin is None or process.stdout is None:
            raise ChildrenError("it has been closed")
        process.stdin.write(json.dumps(request) + "\n")
        process.stdin.flush()
        line = process.stdout.readline()
        answer: dict[str, Any] = json.loads(line) if line else {"error": "its supervisor ended"}
        if "error" in answer:
            raise ChildrenError(str(answer["error"]))
        return answer
