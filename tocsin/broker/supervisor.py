"""Runs processes for a parent, and outlives it just long enough to leave no trace.

The parent sends one JSON object a line and gets one back. When its end of the pipe closes, for whatever reason, all
processes are stopped and the temporary folder is removed. A program of its own, with nothing but the standard
library: a parent that is killed cannot clean up, and its Ctrl-C must not reach them before they are asked to stop.
"""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

STOP_SECONDS = 10


class Supervisor:
    """The processes of one parent."""

    def __init__(self) -> None:
        self.nodes: dict[int, subprocess.Popen[bytes]] = {}
        self.temporary: str | None = None

    def obey(self, request: dict[str, Any]) -> dict[str, Any]:
        """Carry out one request and say how it went."""
        match request:
            case {"do": "make folder"}:
                self.temporary = tempfile.mkdtemp(prefix="tocsin-")
                return {"folder": self.temporary}
            case {"do": "run", "commands": commands}:
                return run_together(commands)
            case {"do": "start", "node": int(node), "command": command, "log": log}:
                with Path(log).open("ab") as file:
                    self.nodes[node] = subprocess.Popen(  # noqa: S603  the parent is ours
                        command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, cwd=request.get("folder")
                    )
            case {"do": "stop", "node": int(node)} if node in self.nodes:
                end(self.nodes[node], signal.SIGTERM)
            case {"do": "kill", "node": int(node)} if node in self.nodes:
                end(self.nodes[node], signal.SIGKILL if hasattr(signal, "SIGKILL") else signal.SIGTERM)
            case {"do": "pause", "node": int(node)} if node in self.nodes:
                self.nodes[node].send_signal(signal.SIGSTOP)
            case {"do": "resume", "node": int(node)} if node in self.nodes:
                self.nodes[node].send_signal(signal.SIGCONT)
        return {"running": [node for node, process in self.nodes.items() if process.poll() is None]}

    def clean_up(self) -> None:
        """End all nodes, in order if their data are kept, and remove what is not."""
        for process in self.nodes.values():
            if process.poll() is None:
                process.kill() if self.temporary else process.terminate()
        for process in self.nodes.values():
            end(process, signal.SIGTERM)
        if self.temporary:
            shutil.rmtree(self.temporary, ignore_errors=True)


def run_together(commands: list[list[str]]) -> dict[str, Any]:
    """Run programs to their end, and return what the first that failed has said."""
    running = [
        subprocess.Popen(  # noqa: S603  the parent is ours
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        for command in commands
    ]
    said = [(process.communicate()[1], process.returncode) for process in running]
    failed = [text.decode(errors="replace") for text, code in said if code]
    return {"error": failed[0]} if failed else {}


def end(process: subprocess.Popen[bytes], how: int) -> None:
    """End a process, by force if it takes its time."""
    if process.poll() is None:
        process.send_signal(how)
    try:
        process.wait(timeout=STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def main() -> None:
    """Obey the parent until it is gone."""
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), lambda *_: None)  # a handler, as children would inherit SIG_IGN
    supervisor = Supervisor()
    try:
        for line in sys.stdin:
            try:
                answer = supervisor.obey(json.loads(line))
            except OSError as error:
                answer = {"error": str(error)}
            print(json.dumps(answer), flush=True)
    finally:
        supervisor.clean_up()


if __name__ == "__main__":
    main()
