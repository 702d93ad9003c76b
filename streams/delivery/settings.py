"""Settings of delivery: the tree of routes, receivers and their sinks, inhibition, words, retries."""

from __future__ import annotations

import base64
import binascii
import difflib
from collections import Counter
from collections.abc import Iterator
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, SecretStr, StringConstraints, model_validator

from alerts.durations import Duration
from alerts.inhibition import InhibitRule
from alerts.routing import Route
from alerts.templates import Templates
from streams.settings import Settings

Url = Annotated[str, StringConstraints(pattern=r"^https?://[^\s/]+")]
Timeout = Annotated[Duration, Field(gt=0, le=300)]


def _readable(secret: SecretStr) -> SecretStr:
    said = secret.get_secret_value()
    try:
        base64.b64decode(said.removeprefix("whsec_") if said.startswith("whsec_") else "", validate=True)
    except binascii.Error:
        raise ValueError("what begins with whsec_ must go on in base64") from None
    return secret


Secret = Annotated[SecretStr, AfterValidator(_readable)]
"""Key of a signature as standardwebhooks.com has it."""


class AlertmanagerSettings(Settings):
    """A real Alertmanager. It groups by itself: let its route have `group_wait: 0s` and a short `group_interval`."""

    url: Url = Field(description="Its address, as `http://alertmanager:9093`.")
    resolve_timeout: Duration = Field(300.0, ge=10, description="Time after which it ends what it no longer hears of.")
    resend_interval: Duration = Field(60.0, gt=0, description="Time between repetitions of what still fires.")
    token: SecretStr | None = Field(None, description="Bearer token.")
    timeout: Timeout = Field(10.0, description="Time for an answer.")

    @model_validator(mode="after")
    def _resent_in_time(self) -> Self:
        if self.resend_interval * 2 > self.resolve_timeout:
            raise ValueError("resend_interval must be at most half of resolve_timeout, so that one may be missed")
        return self


class WebhookSettings(Settings):
    """An HTTP address that notifications are posted to as JSON, signed as standardwebhooks.com says."""

    url: Url = Field(description="Where to post to.")
    secret: Secret | None = Field(None, description="Key of the signature; `whsec_…` is base64, other text itself.")
    timeout: Timeout = Field(10.0, description="Time for an answer.")


class AppriseSettings(Settings):
    """One of the services that Apprise knows: chat, mail, pagers. Its address holds the credentials."""

    url: SecretStr = Field(description="Apprise's address, such as `slack://…`, `mailtos://…`, `pagerduty://…`.")
    timeout: Timeout = Field(30.0, description="Time for an answer.")


class KafkaSinkSettings(Settings):
    """A topic of the same Kafka, written in the transaction that makes the notification: exactly once."""

    topic: str = Field(min_length=1, description="Its name, without prefix.")


class Receiver(Settings):
    """Who is told, by any number of sinks."""

    name: str = Field(min_length=1, max_length=128)
    alertmanager: tuple[AlertmanagerSettings, ...] = ()
    webhook: tuple[WebhookSettings, ...] = ()
    apprise: tuple[AppriseSettings, ...] = ()
    kafka: tuple[KafkaSinkSettings, ...] = ()


class RetrySettings(Settings):
    """How long a sink that does not answer is asked again, and how much may wait for it."""

    first: Duration = Field(1.0, gt=0, description="First pause; it doubles from time to time.")
    longest: Duration = Field(60.0, gt=0, description="Longest pause.")
    give_up_after: Duration = Field(3600.0, gt=0, description="Time after which a notification is a dead letter.")
    queue: int = Field(
        1000, ge=1, description="Notifications that may wait for a sink; beyond, the oldest are dropped."
    )


class ActionRunSettings(Settings):
    """Whether the actions that steps of `incidents.runbooks` name may be done, and how."""

    enabled: bool = Field(False, description="Whether anything is proposed and, once approved, done.")
    concurrency: int = Field(4, ge=1, le=100, description="Actions that may run at once; others wait.")
    secret: Secret | None = Field(
        None, description="Key that signs what is posted; `whsec_…` is base64, other text itself."
    )


class NotifySettings(Settings):
    """What `tocsin notify` tells, whom and how."""

    route: Route = Field(Route(receiver="default"), description="Tree of routes, with Alertmanager's words.")
    receivers: tuple[Receiver, ...] = Field(
        (Receiver(name="default"),), description="Who may be told; one without sinks is told by topic `notifications`."
    )
    tell: Literal["alerts", "incidents", "both"] = Field(
        "alerts",
        description="What people are told of. An incident is told like an alert of stream and kind `incident` about its"
        " likeliest cause.",
    )
    inhibit_rules: tuple[InhibitRule, ...] = Field((), description="Which alerts keep others from being told.")
    templates: Templates = Field(Templates(), description="Words of what people read.")
    retry: RetrySettings = Field(RetrySettings(), description="What happens while a sink does not answer.")
    actions: ActionRunSettings = Field(ActionRunSettings(), description="Whether actions on incidents may be done.")
    max_alerts: int = Field(100_000, ge=1, description="Alerts that may go on at once; further ones are not told.")
    keep_silences: Duration = Field(432_000.0, description="Time that a silence is kept after its end.")

    @model_validator(mode="after")
    def _receivers_are_there(self) -> Self:
        names = [receiver.name for receiver in self.receivers]
        twice = [name for name, times in Counter(names).items() if times > 1]
        if twice:
            raise ValueError(f"receivers: there are several named {twice[0]!r}; give each a name of its own")
        for path, name in _receivers(self.route, "route"):
            if name not in names:
                near = difflib.get_close_matches(name, names, 1)
                hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(names)}"
                raise ValueError(f"{path}.receiver: there is no receiver {name!r} under `receivers`; {hint}")
        return self


def _receivers(route: Route, path: str) -> Iterator[tuple[str, str]]:
    if route.receiver is not None or path == "route":
        yield path, route.receiver or "default"
    for number, below in enumerate(route.routes):
        yield from _receivers(below, f"{path}.routes.{number}")
