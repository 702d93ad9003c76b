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
        moment = str(int(now))
        headers = {
            "webhook-id": notification.notification_id,
            "webhook-timestamp": moment,
            "Idempotency-Key": notification.notification_id,
        }
        if self._settings.secret is not None:
            secret = self._settings.secret.get_secret_value()
            headers["webhook-signature"] = signature(secret, notification.notification_id, moment, body)
        await post(self._session, self._settings.url, body, headers, self._settings.timeout)


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
