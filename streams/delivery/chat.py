"""Chat, mail and pagers by Apprise, which knows more than a hundred services."""

from __future__ import annotations

import asyncio

import apprise

from alerts.alert import Severity
from alerts.notification import Notification
from streams.delivery.settings import AppriseSettings
from streams.delivery.sink import SinkError


class AppriseSink:
    """Sends title and body of a notification to one service.

    Few of the services know what they have had already: should this process die between a service's answer and the note
    of it, the notification comes twice.

    Parameters
    ----------
    settings
        The service's address.

    Raises
    ------
    ValueError
        If Apprise does not know such an address.

    """

    def __init__(self, settings: AppriseSettings) -> None:
        self._settings = settings
        self._service = apprise.Apprise()
        # The address itself is a secret, and so is not told.
        if not self._service.add(settings.url.get_secret_value()):
            raise ValueError("Apprise does not know such an address; see https://appriseit.com/services")

    async def deliver(self, notification: Notification, now: float) -> None:
        """Send it."""
        sending = self._service.async_notify(
            body=notification.body or notification.title,
            title=notification.title,
            notify_type=_type(notification),
            body_format=apprise.NotifyFormat.TEXT,
        )
        try:
            taken = await asyncio.wait_for(sending, self._settings.timeout)
        except TimeoutError:
            raise SinkError(f"no answer within {self._settings.timeout:g} s") from None
        except (OSError, TypeError, ValueError) as error:
            raise SinkError(f"{type(error).__name__}") from None
        if not taken:
            raise SinkError("the service did not take it")


def _type(notification: Notification) -> apprise.NotifyType:
    if notification.status == "resolved":
        return apprise.NotifyType.SUCCESS
    severities = {alert.severity for alert in notification.alerts if not alert.state.over}
    if Severity.CRITICAL in severities:
        return apprise.NotifyType.FAILURE
    return apprise.NotifyType.WARNING if Severity.WARNING in severities else apprise.NotifyType.INFO
