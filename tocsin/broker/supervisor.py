"""Runs Kafka's processes for a parent, and outlives it just long enough to leave no trace.

The parent sends one JSON object a line and gets one back. When its end of the pipe closes, for whatever reason, all
processes are stopped and the folder is removed. A program of its own, with nothing but the standard library: a parent
that is killed cannot clean up, and its Ctrl-C must not reach Kafka before it is asked to stop.
"""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

STOP_SECONDS = 10


def main() -> None:
    """Obey the parent until it is gone."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: None)  # a handler, as children would inherit SIG_IGN
    nodes: dict[int, subprocess.Popen[bytes]] = {}
    folder = None
    try:
        for line in sys.stdin:
            request = json.loads(line)
            if request["do"] == "remove":
                folder = request["folder"]
            print(json.dumps(obey(request, nodes)), flush=True)
    finally:
        for node in nodes.values():
            if node.poll() is None:
                node.kill() if folder else node.terminate()
        for node in nodes.values():
            end(node, signal.SIGTERM)
        if folder:
            shutil.rmtree(folder, ignore_errors=True)


def obey(request: dict[str, Any], nodes: dict[int, subprocess.Popen[bytes]]) -> dict[str, Any]:
    """Carry out one request and say how it went."""
    node = nodes.get(request.get("node", 0))
    if request["do"] == "start":
        with Path(request["log"]).open("ab") as log:
            nodes[request["node"]] = subprocess.Popen(
                request["command"], stdin=subprocess.DEVNULL, stdout=log, stderr=log, restore_signals=True
            )
    elif request["do"] == "stop" and node is not None:
        end(node, signal.SIGTERM)
    elif request["do"] == "kill" and node is not None:
        end(node, signal.SIGKILL)
    elif request["do"] == "exit code" and node is not None:
        return {"exit_code": node.poll()}
    return {}


def end(node: subprocess.Popen[bytes], how: int) -> None:
    """End a process, by force if it takes its time."""
    if node.poll() is None:
        node.send_signal(how)
    try:
        node.wait(timeout=STOP_SECONDS)
    except subprocess.TimeoutExpired:
        node.kill()
        node.wait()


if __name__ == "__main__":
    main()
