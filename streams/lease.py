"""For how long a worker may write: as long as its group surely counts it in."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from aiokafka.errors import KafkaError, RequestTimedOutError
from aiokafka.protocol.produce import ProduceRequest

MARGIN = 0.9
"""Part of the session for which a heartbeat counts: the broker's clock and this one do not run alike."""


class LeaseLostError(KafkaError):
    """This worker was given up by its group while it held partitions: another may be at work on them."""

    retriable = False
    __str__ = Exception.__str__  # without Kafka's number for an error, which this is not


class Lease:
    """The right to write outputs and states of the partitions that this worker holds.

    A worker that hangs for longer than its session, as a stopped process does, is given up, and another goes on from
    its last checkpoint. When it wakes it knows nothing of that. Kafka refuses its offsets, but would take its outputs
    and states. So each request to write passes ``check``. The broker's session begins anew when a heartbeat arrives;
    the lease counts from when that was sent, and so it ends first.

    Parameters
    ----------
    seconds
        The session: silence after which the group gives a worker up.

    Examples
    --------
    >>> lease = Lease(seconds=10.0)
    >>> lease.renew(since=now())
    >>> lease.check()
    >>> lease.renew(since=now() - 10)
    >>> lease.check()
    Traceback (most recent call last):
    aiokafka.errors.RequestTimedOutError: [Error 7] RequestTimedOutError: no heartbeat was answered in time

    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds * MARGIN
        self._until = 0.0
        self._held = False
        self._given_up = False
        self.lost = False
        self.on_lost: Callable[[], object] = lambda: None

    def renew(self, since: float) -> None:
        """Note that the group counted this worker in at some time after ``since``, by ``now()``."""
        self._until = since + self._seconds
        self._given_up = False

    @property
    def held(self) -> bool:
        """Whether this worker is at work on partitions."""
        return self._held

    def hold(self) -> None:
        """Note that from here on partitions are held, until ``release``."""
        if self._given_up:
            self._lose()
        self._held = True

    def release(self) -> None:
        """Note that all is written and the partitions may go to others."""
        self._held = False

    def give_up(self) -> None:
        """Note that the group no longer knows this worker; if it holds partitions, the lease is lost for good."""
        self._until = 0.0
        self._given_up = True
        if self._held:
            self._lose()

    def check(self) -> None:
        """Raise unless this worker may write now.

        Raises
        ------
        aiokafka.errors.RequestTimedOutError
            If that is uncertain: the group may still know this worker, so the request is to be sent again later.
        LeaseLostError
            If it may never again.

        """
        if self.lost:
            raise LeaseLostError("the group has given this worker up")
        if now() >= self._until:
            raise RequestTimedOutError("no heartbeat was answered in time")

    def _lose(self) -> None:
        if not self.lost:
            self.lost = True
            self.on_lost()


def now() -> float:
    """Return a time in seconds that goes on while the process, or the machine, sleeps."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if clock is None else time.clock_gettime(clock)


def follow_group(coordinator: Any, lease: Lease) -> None:
    """Renew the lease whenever the group counts this worker in, and end it when the group does not know it."""
    join_complete, heartbeat, reset = (
        coordinator._on_join_complete,
        coordinator._do_heartbeat,
        coordinator.reset_generation,
    )

    async def on_join_complete(*arguments: Any) -> None:
        lease.renew(now())
        await join_complete(*arguments)

    async def do_heartbeat() -> bool:
        since = now()
        counted_in: bool = await heartbeat()
        if counted_in:
            lease.renew(since)
        return counted_in

    def reset_generation() -> None:
        lease.give_up()
        reset()

    coordinator._on_join_complete = on_join_complete
    coordinator._do_heartbeat = do_heartbeat
    coordinator.reset_generation = reset_generation


def guard(client: Any, lease: Lease) -> None:
    """Let no request to write go out without the lease: the check comes right before the bytes go to the socket."""
    send = client.send

    async def send_with_lease(node: int, request: Any, **options: Any) -> Any:
        if isinstance(request, ProduceRequest):
            await client.ready(node)
            lease.check()
        return await send(node, request, **options)

    client.send = send_with_lease
