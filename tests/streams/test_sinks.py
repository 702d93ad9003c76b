"""Sinks on a real HTTP server: what is sent, and what an answer means."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from typing import Any

import aiohttp
import pytest
from pydantic import SecretStr, ValidationError

from alerts.notification import Notification
from alerts.templates import EXAMPLE, Renderer, Templates
from streams.delivery.chat import AppriseSink
from streams.delivery.queues import Result, SinkQueue
from streams.delivery.settings import (
    AlertmanagerSettings,
    AppriseSettings,
    NotifySettings,
    RetrySettings,
    WebhookSettings,
)
from streams.delivery.sink import RefusedError, SinkError
from streams.delivery.webhook import WebhookSink
from streams.lease import Lease, now
from tests.contract.notified import Hook
from tocsin.config import ConfigurationError, load_configuration

NOTIFICATION = Renderer(Templates()).render(EXAMPLE.model_copy(update={"at": time.time()}))


@pytest.fixture
def hook() -> Iterator[Hook]:
    running = Hook()
    yield running
    running.stop()


async def deliver(hook: Hook, **said: Any) -> None:
    async with aiohttp.ClientSession() as session:
        await WebhookSink(WebhookSettings(url=hook.url, **said), session).deliver(NOTIFICATION, 1614265330.9)


async def test_a_webhook_carries_the_notification_and_its_id(hook: Hook):
    await deliver(hook)
    ((headers, body),) = hook.requests
    assert json.loads(body) == json.loads(NOTIFICATION.model_dump_json(exclude={"deliveries"}))
    assert headers["webhook-id"] == headers["Idempotency-Key"] == NOTIFICATION.notification_id
    assert (headers["webhook-timestamp"], "webhook-signature" in headers) == ("1614265330", False)


@pytest.mark.parametrize(
    ("status", "error"), [(503, SinkError), (429, SinkError), (400, RefusedError), (302, RefusedError)]
)
async def test_an_answer_tells_whether_to_ask_again(hook: Hook, status: int, error: type[SinkError]):
    hook.answers = [status]
    with pytest.raises(SinkError, match=f"HTTP {status}") as caught:
        await deliver(hook)
    assert type(caught.value) is error


async def test_nobody_there_is_to_be_asked_again(hook: Hook):
    hook.stop()
    with pytest.raises(SinkError) as caught:
        await deliver(hook)
    assert type(caught.value) is SinkError


async def test_apprise_sends_title_and_body_to_a_service(hook: Hook):
    address = hook.url.replace("http://", "json://")
    await AppriseSink(AppriseSettings(url=SecretStr(address))).deliver(NOTIFICATION, 0.0)
    ((_, body),) = hook.requests
    sent = json.loads(body)
    assert (sent["title"], sent["type"]) == ("[FIRING:1] pump-7: spike", "failure")
    assert "expected 70.9" in sent["message"]


async def test_a_service_that_does_not_take_it_is_asked_again(hook: Hook):
    hook.answers = [500]
    with pytest.raises(SinkError, match="did not take it"):
        await AppriseSink(AppriseSettings(url=SecretStr(hook.url.replace("http://", "json://")))).deliver(
            NOTIFICATION, 0.0
        )


class Slow:
    """A sink that takes nothing."""

    async def deliver(self, notification: Notification, now: float) -> None:
        raise SinkError("busy")


async def outcome(retry: RetrySettings, count: int, seconds: float) -> list[Result]:
    """What becomes of notifications at a sink that takes nothing."""
    lease = Lease(60)
    lease.renew(now())
    results: list[Result] = []
    queue = SinkQueue("ops/slow/0", Slow(), retry, lease, results.append)
    for number in range(count):
        queue.put(number, NOTIFICATION)
    running = asyncio.create_task(queue.run())
    await asyncio.sleep(seconds)
    queue.close()
    await running
    return results


async def test_a_sink_that_never_answers_is_given_up_after_a_time():
    (result,) = await outcome(RetrySettings(first=0.01, longest=0.01, give_up_after=0.001), 1, 0.1)
    assert (result.state, result.error) == ("failed", "busy")


async def test_beyond_the_most_that_may_wait_the_oldest_are_dropped():
    results = await outcome(RetrySettings(queue=3), 5, 0.05)
    assert [(one.number, one.state) for one in results] == [(1, "dropped"), (2, "dropped")]


def test_a_receiver_that_is_not_there_is_named_with_the_nearest(tmp_path):
    (tmp_path / "tocsin.yaml").write_text("notify:\n  route: {receiver: pagr}\n  receivers: [{name: pager}]\n")
    with pytest.raises(ConfigurationError) as caught:
        load_configuration(tmp_path / "tocsin.yaml", environment={})
    said = "notify: route.receiver: there is no receiver 'pagr' under `receivers`; did you mean 'pager'?"
    assert str(caught.value) == f"{tmp_path}/tocsin.yaml:2:3: {said}"


def test_a_matcher_that_is_none_is_told_with_its_place(tmp_path):
    (tmp_path / "tocsin.yaml").write_text(
        "notify:\n  route:\n    routes:\n      - matchers: ['severity']\n        continue: true\n"
    )
    with pytest.raises(ConfigurationError) as caught:
        load_configuration(tmp_path / "tocsin.yaml", environment={})
    assert str(caught.value).startswith(f"{tmp_path}/tocsin.yaml:4:19: notify.route.routes.0.matchers: 'severity' ends")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"receivers": [{"name": "a"}, {"name": "a"}]}, "several named 'a'"),
        ({"route": {"receiver": "default", "group_wait": "soon"}}, "no span of time"),
        ({"inhibit_rules": [{"source_matchers": [], "target_matchers": ["a=b"]}]}, "at least 1 item"),
    ],
)
def test_what_cannot_be_meant_is_refused(settings: dict[str, Any], said: str):
    with pytest.raises(ValidationError, match=said):
        NotifySettings.model_validate(settings)


def test_alertmanager_must_hear_of_alerts_before_it_ends_them():
    with pytest.raises(ValidationError, match="at most half"):
        AlertmanagerSettings(url="http://a", resend_interval=60, resolve_timeout=60)


def test_a_secret_that_is_no_base64_is_refused_and_not_told():
    with pytest.raises(ValidationError) as caught:
        WebhookSettings(url="http://a", secret=SecretStr("whsec_not base64!"))
    assert "must go on in base64" in str(caught.value)
    assert "not base64!" not in str(caught.value)
