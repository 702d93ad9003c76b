"""What all sinks have in common."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import aiohttp

from alerts.notification import Notification, NotifiedAlert


class SinkError(Exception):
    """A sink has not taken a notification; it may be asked again.

    Parameters
    ----------
    message
        What it said.
    retry_after
        Seconds that it asks to be left alone, if it did.

    """

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class RefusedError(SinkError):
    """A sink will not take this notification however often it is asked."""


class Sink(Protocol):
    """Somewhere notifications go."""

    async def deliver(self, notification: Notification, now: float) -> None:
        """Deliver, and return once it is acknowledged; ``now`` is epoch seconds.

        Raises
        ------
        streams.delivery.sink.SinkError
            If it was not.

        """


class RepeatingSink(Sink, Protocol):
    """A sink that forgets what it is not told again."""

    resend_interval: float
    """Seconds between repetitions."""

    async def resend(self, alerts: Callable[[], Sequence[NotifiedAlert]], now: float) -> None:
        """Tell of all that fires again; ``alerts`` says what that is when its turn has come."""


async def post(session: aiohttp.ClientSession, url: str, body: bytes, headers: dict[str, str], seconds: float) -> None:
    """Post JSON and raise a ``SinkError`` unless the answer says that it was taken."""
    timeout = aiohttp.ClientTimeout(total=seconds)
    headers = {"Content-Type": "application/json", "User-Agent": "tocsin", **headers}
    try:
        # A redirect would send what is signed for one address to another.
        async with session.post(url, data=body, headers=headers, timeout=timeout, allow_redirects=False) as answer:
            if 200 <= answer.status < 300:
                return
            said = (await answer.content.read(300)).decode(errors="replace").strip()
            message = " ".join(f"HTTP {answer.status} {said}".split())
            if answer.status in (408, 425, 429) or answer.status >= 500:
                raise SinkError(message, _seconds(answer.headers.get("Retry-After")))
            raise RefusedError(message)
    except TimeoutError:
        raise SinkError(f"no answer within {seconds:g} s") from None
    except aiohttp.InvalidURL as error:
        raise RefusedError(f"no valid address: {error}") from None
    except (aiohttp.ClientError, OSError) as error:
        raise SinkError(str(error) or type(error).__name__) from None


def _seconds(text: str | None) -> float | None:
    return float(text) if text is not None and text.isdecimal() else None
