"""The words of a notification: what is said by default, and what a template may not do."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from alerts.notification import Notification
from alerts.routing import Route
from alerts.templates import EXAMPLE, Renderer, TemplateFailedError, Templates
from tests.alerts.told import alert, silence


def test_the_default_words_name_source_value_expectation_time_cause_and_link():
    renderer = Renderer(Templates(link="https://grafana/d?var-source={{ alert.source | urlencode }}"))
    worded = renderer.render(EXAMPLE)
    assert worded.title == "[FIRING:1] pump-7: spike"
    for said in (
        "pump-7",
        "temperature: 93, expected 70.9 (70 to 72.2)",
        "since 2026-01-02 03:04:05 UTC",
        "spike, fewer than 1 in a million",
        "https://grafana/d?var-source=pump-7",
    ):
        assert said in worded.body


def test_a_notification_of_many_says_how_many_and_what_is_not_told():
    from alerts.dispatch import Dispatcher

    dispatcher = Dispatcher(Route(receiver="ops", group_wait=0))
    dispatcher.silence("s1", silence("s1", "source=quiet"))
    for name in ("quiet", *(f"s{number}" for number in range(120))):
        dispatcher.take(0.0, alert(name))
    (made,) = dispatcher.tick(0.0).notifications
    worded = Renderer(Templates()).render(made)
    assert worded.title == "[FIRING:120] 120 alerts"
    assert "… and 20 more" in worded.body
    assert "1 more of this group not told: quiet spike (silence s1)" in worded.body


@pytest.mark.parametrize(
    "template",
    [
        "{{ alerts[0].__class__.__mro__ }}",
        "{{ ''.__class__ }}",
        "{{ alerts.__init__.__globals__ }}",
        "{{ nothing }}",
        "{{ alerts[0].nothing }}",
        "{% for",
        "{{ 1 / 0 }}",
        "{% include '/etc/passwd' %}",
    ],
)
def test_a_template_that_asks_for_what_it_may_not_have_is_refused_when_it_is_read(template: str):
    with pytest.raises(ValidationError, match="title: "):
        Templates(title=template)


def test_a_template_that_fails_later_says_so():
    resolved = Notification(
        notification_id="n", receiver="ops", route="/{}", group={}, status="resolved", at=0.0, resolved=1
    )
    with pytest.raises(TemplateFailedError, match="title"):
        Renderer(Templates(title="{{ alerts[0].source }}")).render(resolved)


def test_what_a_policy_names_is_routed_by_and_told():
    from alerts.dispatch import Dispatcher

    dispatcher = Dispatcher(
        Route(receiver="all", routes=(Route(receiver="plant", matchers=("owner=plant",), group_wait=0),))
    )
    dispatcher.take(0.0, alert("pump-7", owner="plant", runbook="https://wiki/pumps", assignee="ann"))
    (made,) = dispatcher.tick(0.0).notifications
    assert made.receiver == "plant"
    worded = Renderer(Templates()).render(made)
    assert "what to do: https://wiki/pumps" in worded.body
    assert "looked after by ann" in worded.body
