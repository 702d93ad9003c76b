"""Does what actions say: posts to an address, or runs a command, for as long as it may take."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from typing import NamedTuple

import aiohttp
import msgspec
import structlog

from alerts.action import Action, ActionState
from alerts.actions import Run
from streams.delivery.settings import ActionRunSettings
from streams.delivery.sink import SinkError, post
from streams.delivery.webhook import signed_headers

log = structlog.get_logger(__name__)

MOST_OUTPUT = 500
"""Characters of what a command says that are kept."""


class Ended(NamedTuple):
    """What came of an action."""

    action_id: str
    ok: bool
    detail: str


class ActionRunner:
    """Runs actions beside everything else, a few at once.

    Parameters
    ----------
    settings
        How many at once, and how what is posted is signed.
    session
        HTTP connections.

    """

    def __init__(self, settings: ActionRunSettings, session: aiohttp.ClientSession) -> None:
        self._settings, self._session = settings, session
        self._room = asyncio.Semaphore(settings.concurrency)
        self._running: set[asyncio.Task[None]] = set()
        self._ended: list[Ended] = []
        self.wake = asyncio.Event()

    def start(self, run: Run) -> None:
        """Begin with an action."""
        task = asyncio.create_task(self._run(run))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    def ended(self) -> list[Ended]:
        """Return what has ended since the last call."""
        ended, self._ended = self._ended, []
        return ended

    async def close(self, seconds: float = 0.0) -> None:
        """Wait for what runs, and end what takes longer."""
        if self._running:
            await asyncio.wait(self._running, timeout=seconds)
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    async def _run(self, run: Run) -> None:
        async with self._room:
            log.info("action_begun", action=run.action.action_id, state=run.action.state.value)
            try:
                detail = await (self._post(run) if run.call.webhook is not None else self._execute(run))
                ok = True
            except (SinkError, OSError, ValueError, TimeoutError) as error:
                ok, detail = False, str(error) or f"not within {run.call.timeout:g} s"
        log.info("action_ended", action=run.action.action_id, ok=ok, detail=detail)
        self._ended.append(Ended(run.action.action_id, ok, detail))
        self.wake.set()

    async def _post(self, run: Run) -> str:
        action, secret = run.action, self._settings.secret
        body = msgspec.json.encode(
            {
                "action_id": action.action_id,
                "undo": action.state is ActionState.UNDOING,
                "incident_id": action.incident_id,
                "runbook": action.runbook,
                "step": action.step,
                "cause": action.cause,
            }
        )
        key = f"{action.action_id}-{action.version}"
        headers = signed_headers(None if secret is None else secret.get_secret_value(), key, time.time(), body)
        await post(self._session, run.call.webhook or "", body, headers, run.call.timeout)
        return "posted"

    async def _execute(self, run: Run) -> str:
        """Run a command in a process group and an environment of its own."""
        process = await asyncio.create_subprocess_exec(
            *run.call.arguments(run.action),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env=_environment(run.action),
            start_new_session=True,
        )
        try:
            async with asyncio.timeout(run.call.timeout):
                said, status = await asyncio.gather(_last_words(process), process.wait())
        finally:
            with contextlib.suppress(ProcessLookupError):  # what it has started ends with it
                os.killpg(process.pid, signal.SIGKILL)
        if status != 0:
            raise ValueError(f"exit {status}: {said}".rstrip(": "))
        return f"exit 0: {said}".rstrip(": ")


async def _last_words(process: asyncio.subprocess.Process) -> str:
    """Return the end of what a command says, and read all of it: else it would wait for ever."""
    assert process.stdout is not None  # noqa: S101 - it is a pipe
    kept = b""
    while more := await process.stdout.read(65_536):
        kept = (kept + more)[-4 * MOST_OUTPUT :]
    return " ".join(kept.decode(errors="replace").split())[-MOST_OUTPUT:]


def _environment(action: Action) -> dict[str, str]:
    """Return what a command may know: not the settings of this process, which hold secrets."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return kept | {
        "TOCSIN_ACTION_ID": action.action_id,
        "TOCSIN_INCIDENT_ID": action.incident_id,
        "TOCSIN_CAUSE": action.cause,
        "TOCSIN_UNDO": "1" if action.state is ActionState.UNDOING else "0",
    }
