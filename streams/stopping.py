"""Runs a process until it is told to stop."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Coroutine
from typing import Any

from streams.logs import configure_logging
from streams.settings import LogSettings


def run_until_stopped(log: LogSettings, work: Callable[[asyncio.Event], Coroutine[Any, Any, int]]) -> int:
    """Work until told to stop by SIGTERM or SIGINT, and return the exit code.

    Parameters
    ----------
    log
        How to log.
    work
        What to do; is given the event that says to stop, and returns the exit code.

    """

    async def run() -> int:
        stopping = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stopping.set)
        return await work(stopping)

    configure_logging(log)
    with asyncio.Runner() as runner:
        return runner.run(run())
