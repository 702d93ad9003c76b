"""The words of a notification: what is said by default, and what a template may not do."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from alerts.alert import Severity
from alerts.dispatch import Dispatcher
from alerts.incident import (
    Advice,
    Cause,
    Evidence,
    Happened,
    Incident,
    IncidentState,
    PastIncident,
    TimelineEntry,
)
from alerts.incident_alert import as_alert
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
    dispatcher = Dispatcher(
        Route(receiver="all", routes=(Route(receiver="plant", matchers=("owner=plant",), group_wait=0),))
    )
    dispatcher.take(0.0, alert("pump-7", owner="plant", runbook="https://wiki/pumps", assignee="ann"))
    (made,) = dispatcher.tick(0.0).notifications
    assert made.receiver == "plant"
    worded = Renderer(Templates()).render(made)
    assert "what to do: https://wiki/pumps" in worded.body
    assert "looked after by ann" in worded.body


def test_an_incident_is_told_with_causes_evidence_advice_what_helped_before_and_timeline():
    lag = Evidence(kind="lag", weight=1, detail="first")
    incident = Incident(
        incident_id="i1", state=IncidentState.OPEN, severity=Severity.WARNING, started_at=0.0, opened_at=5.0,
        updated_at=5.0, alert_count=6, active_count=6, source_count=6, summary="6 sources: likeliest cause: db.",
        causes=(Cause(source="db", score=0.8, observed=True, evidence=(lag,)),),
        advice=(Advice(runbook="roll back", cause="db", steps=("undo", "watch"), url="https://wiki/db"),),
        similar=(PastIncident(incident_id="i0", similarity=1, started_at=0, lasted=9, resolved_by="a restart"),),
        timeline=(TimelineEntry(at=5.0, what=Happened.OPENED, detail="6 alerts of 6 sources"),),
    )  # fmt: skip
    dispatcher = Dispatcher(Route(receiver="ops", group_wait=0))
    dispatcher.take(0.0, as_alert(incident), incident)
    (made,) = dispatcher.tick(0.0).notifications
    body = Renderer(Templates()).render(made).body
    for said in (
        "cause, 80 %: db\n    lag: first",
        "what to do about db (roll back): undo; watch https://wiki/db",
        "incident i0 looked like it, and was resolved by a restart",
        "1970-01-01 00:00:05 opened: 6 alerts of 6 sources",
    ):
        assert said in body


def test_a_notification_of_very_many_incidents_has_the_details_of_some():
    dispatcher = Dispatcher(Route(receiver="ops", group_wait=0))
    for number in range(30):
        incident = Incident(
            incident_id=f"i{number}", state=IncidentState.OPEN, severity=Severity.WARNING, started_at=0.0,
            opened_at=5.0, updated_at=5.0, alert_count=1, active_count=1, source_count=1, summary="odd",
        )  # fmt: skip
        dispatcher.take(0.0, as_alert(incident), incident)
    (made,) = dispatcher.tick(0.0).notifications
    assert [one.incident is not None for one in made.alerts] == [True] * 10 + [False] * 20
