"""Signed webhooks, as https://www.standardwebhooks.com specifies them."""

from __future__ import annotations

import base64
import hashlib
import hmac

import aiohttp

from alerts.notification import Notification
from streams.delivery.settings import WebhookSettings
from streams.delivery.sink import post


class WebhookSink:
    """Posts a notification as JSON.

    ``webhook-id`` is the notification's id, the same on every attempt: whoever has seen it has had it. The signature is
    HMAC-SHA256 over id, time and body, so neither can be changed, and an old request can be told by its time.

    Parameters
    ----------
    settings
        Where to and with which key.
    session
        HTTP connections.

    """

    def __init__(self, settings: WebhookSettings, session: aiohttp.ClientSession) -> None:
        self._settings, self._session = settings, session

    async def deliver(self, notification: Notification, now: float) -> None:
        """Post the notification."""
        body = notification.model_dump_json(exclude={"deliveries"}).encode()
        secret = None if self._settings.secret is None else self._settings.secret.get_secret_value()
        headers = signed_headers(secret, notification.notification_id, now, body)
        await post(self._session, self._settings.url, body, headers, self._settings.timeout)


def signed_headers(secret: str | None, webhook_id: str, now: float, body: bytes) -> dict[str, str]:
    """Return the headers of what is posted; without a secret, there is no signature."""
    headers = {"webhook-id": webhook_id, "webhook-timestamp": str(int(now)), "Idempotency-Key": webhook_id}
    if secret is not None:
        headers["webhook-signature"] = signature(secret, webhook_id, headers["webhook-timestamp"], body)
    return headers


def signature(secret: str, webhook_id: str, timestamp: str, body: bytes) -> str:
    """Return the value of header ``webhook-signature``.

    Parameters
    ----------
    secret
        ``whsec_`` and base64, or any other text, which is the key as UTF-8.
    webhook_id, timestamp
        Values of the headers ``webhook-id`` and ``webhook-timestamp``.
    body
        Bytes as they are sent.

    Examples
    --------
    >>> signature("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330",
    ...     b'{"test": 2432232314}')
    'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE='

    """
    key = secret.encode()
    if secret.startswith("whsec_"):
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    signed = hmac.new(key, b".".join((webhook_id.encode(), timestamp.encode(), body)), hashlib.sha256)
    return "v1," + base64.b64encode(signed.digest()).decode()
