"""This machine as a source of telemetry, and a short load on it so that something happens."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import psutil

HOST_SOURCE = "this-machine"

BUSY = """
import os, signal, sys, time
signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the demo
seconds, megabytes = float(sys.argv[1]), int(sys.argv[2])
if hasattr(os, "nice"):
    os.nice(19)  # the service under demonstration goes first
held = b"x" * (megabytes << 20)
end = time.monotonic() + seconds
while time.monotonic() < end:
    pass
"""


class HostSampler:
    """This machine's own load, one reading per call, as rates since the call before.

    Examples
    --------
    >>> sorted(HostSampler().read())
    ['cpu_percent', 'disk_bytes_per_second', 'memory_percent', 'network_bytes_per_second']

    """

    def __init__(self) -> None:
        psutil.cpu_percent()
        self._at, self._before = time.monotonic(), self._counters()

    def read(self) -> dict[str, float]:
        """Return the values since the last reading."""
        now, counters = time.monotonic(), self._counters()
        seconds = max(now - self._at, 1e-3)
        disk, network = ((new - old) / seconds for new, old in zip(counters, self._before, strict=True))
        self._at, self._before = now, counters
        return {
            "cpu_percent": psutil.cpu_percent(),
            "memory_percent": psutil.virtual_memory().percent,
            "disk_bytes_per_second": round(disk, 1),
            "network_bytes_per_second": round(network, 1),
        }

    @staticmethod
    def _counters() -> tuple[int, int]:
        disk, network = psutil.disk_io_counters(), psutil.net_io_counters()
        return (
            disk.read_bytes + disk.write_bytes if disk else 0,
            network.bytes_sent + network.bytes_recv if network else 0,
        )


class Load:
    """Every processor busy and some memory taken, for a while.

    Each process ends by itself, so none is left whatever becomes of this one.

    Parameters
    ----------
    seconds
        How long.

    """

    def __init__(self, seconds: float) -> None:
        processors = os.cpu_count() or 1
        # A tenth of what is free, but no more than a gigabyte.
        megabytes = min(psutil.virtual_memory().available // 10, 1 << 30) // processors >> 20
        command = [sys.executable, "-I", "-c", BUSY, str(seconds), str(megabytes)]
        # No session of their own: Linux would schedule it as one of equal right, however nice they are.
        self._busy = [subprocess.Popen(command, stdin=subprocess.DEVNULL) for _ in range(processors)]  # noqa: S603

    def over(self) -> bool:
        """Say whether it has ended."""
        return all(process.poll() is not None for process in self._busy)

    def stop(self) -> None:
        """End it."""
        for process in self._busy:
            process.terminate()
        for process in self._busy:
            process.wait()
