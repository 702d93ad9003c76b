"""One queue for each sink: in order, bounded, with retries. No sink waits for another, and nothing waits for a sink."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable
from typing import Literal, NamedTuple

import structlog
from aiokafka.errors import RequestTimedOutError

from alerts.notification import Notification
from streams.delivery import metrics
from streams.delivery.settings import RetrySettings
from streams.delivery.sink import RefusedError, Sink, SinkError
from streams.lease import Lease

log = structlog.get_logger(__name__)

LEASE_PAUSE = 0.2


class Result(NamedTuple):
    """What became of a notification at a sink."""

    number: int
    sink: str
    state: Literal["delivered", "failed", "dropped"]
    attempts: int
    error: str | None


class SinkQueue:
    """The notifications that wait for one sink.

    Parameters
    ----------
    name
        Of the sink: ``receiver/kind/number``.
    sink
        Where they go.
    retry
        How long it is asked again, and how many may wait.
    lease
        Without it nothing is sent: another process may be at it.
    done
        Told what became of each.

    """

    def __init__(
        self, name: str, sink: Sink, retry: RetrySettings, lease: Lease, done: Callable[[Result], None]
    ) -> None:
        self.name, self.sink = name, sink
        self._retry, self._lease, self._done = retry, lease, done
        self._waiting: deque[tuple[int, Notification]] = deque()
        self._work = asyncio.Event()
        self._closing = asyncio.Event()
        self._written = asyncio.Event()

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, number: int, notification: Notification) -> None:
        """Let a notification wait for its turn; beyond the most that may, the oldest one goes."""
        if len(self._waiting) >= self._retry.queue:
            # The first one may be under way; its result is yet to come.
            oldest, _ = self._waiting[1] if len(self._waiting) > 1 else (number, notification)
            error = f"{self._retry.queue} notifications were waiting"
            self._done(Result(oldest, self.name, "dropped", 0, error))
            if oldest == number:
                return
            del self._waiting[1]
        self._waiting.append((number, notification))
        self._work.set()

    def close(self) -> None:
        """Let ``run`` end once the attempt that is under way has ended; the rest goes on waiting."""
        self._closing.set()
        self._work.set()
        self._written.set()

    def written(self) -> None:
        """Note that the last result has been written down, so that the next notification may be delivered."""
        self._written.set()

    async def run(self) -> None:
        """Deliver what waits, one after the other, until closed.

        Each waits until what became of the one before has been written down: after a crash at most one comes again.
        """
        while not self._closing.is_set():
            if not self._waiting:
                self._work.clear()
                await self._work.wait()
                continue
            number, notification = self._waiting[0]
            result = await self._deliver(number, notification)
            if result is not None:
                self._waiting.popleft()
                self._written.clear()
                self._done(result)
                if not self._closing.is_set():
                    await self._written.wait()

    async def _deliver(self, number: int, notification: Notification) -> Result | None:
        attempts, pause = 0, self._retry.first
        while not self._closing.is_set():
            try:
                self._lease.check()
            except RequestTimedOutError:  # the group may still count this process in
                await asyncio.sleep(LEASE_PAUSE)
                continue
            attempts += 1
            try:
                await self.sink.deliver(notification, time.time())
            except RefusedError as refused:
                return self._failed(number, attempts, str(refused))
            except Exception as found:
                error = found if isinstance(found, SinkError) else SinkError(f"unexpected {type(found).__name__}")
                if time.time() + pause - notification.at > self._retry.give_up_after:
                    return self._failed(number, attempts, str(error))
                metrics.RETRIES.labels(self.name).inc()
                log.warning("delivery_retried", sink=self.name, attempts=attempts, error=str(error), again_in=pause)
                await self._pause(min(max(pause, error.retry_after or 0.0), self._retry.longest))
                pause = min(2 * pause, self._retry.longest)
            else:
                metrics.DELIVERY_SECONDS.labels(self.name).observe(max(time.time() - notification.at, 0.0))
                return Result(number, self.name, "delivered", attempts, None)

        return None

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._closing.wait(), seconds)

    def _failed(self, number: int, attempts: int, error: str) -> Result:
        log.error("delivery_failed", sink=self.name, attempts=attempts, error=error)
        return Result(number, self.name, "failed", attempts, error)
