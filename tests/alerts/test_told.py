"""What a user is told when asking who has heard of an alert, and why nobody has."""

from __future__ import annotations

from alerts.alert import Alert
from alerts.dispatch import Dispatcher
from alerts.inhibition import InhibitRule
from alerts.notification import Delivery, Notification
from alerts.routing import Route
from alerts.told import Telegraph, telegraph
from tests.alerts.told import alert, silence

ROUTE = Route(receiver="ops", group_wait=0, group_by=("...",), routes=(Route(matchers=('source="b"',), receiver="b"),))


def asked(about: Alert, notifications: list[Notification]) -> Telegraph:
    return telegraph(about, notifications, ROUTE)


def test_who_was_told_and_by_what_is_said():
    dispatcher, fired = Dispatcher(ROUTE), alert("a", fired_at=0.0)
    dispatcher.take(0.0, fired)
    (made,) = dispatcher.tick(1.0).notifications
    pending = made.model_copy(update={"deliveries": (Delivery(sink="ops/webhook/0", state="pending"),)})
    arrived = made.model_copy(update={"deliveries": (Delivery(sink="ops/webhook/0", state="delivered", at=2.0),)})
    found = asked(fired, [pending, arrived])
    assert found.reason is None
    assert [one.sentence for one in found.tellings] == [
        "1970-01-01T00:00:01.000Z ops is told that it is firing: ops/webhook/0 delivered"
    ]


def test_the_silence_that_keeps_an_alert_from_being_told_is_named_with_its_author():
    dispatcher, fired = Dispatcher(ROUTE), alert("a", fired_at=0.0)
    dispatcher.silence("s1", silence("s1", 'source="a"'))
    dispatcher.take(0.0, fired)
    found = asked(fired, dispatcher.tick(1.0).notifications)
    assert found.reason == "silence"
    assert found.because == "1970-01-01T00:00:01.000Z ops is not told: silence s1 (ann: works)"


def test_the_alert_that_inhibits_another_is_named_with_the_rule():
    rule = InhibitRule(name="hub", source_matchers=('source="hub"',), target_matchers=('source="a"',))
    dispatcher, fired = Dispatcher(ROUTE, (rule,)), alert("a", fired_at=0.0)
    dispatcher.take(0.0, alert("hub"))
    dispatcher.take(0.0, fired)
    found = asked(fired, dispatcher.tick(1.0).notifications)
    assert found.reason == "inhibition"
    assert (found.because or "").endswith("inhibited by alert hub (hub)")


def test_the_route_says_whom_it_would_be_told():
    assert asked(alert("b", fired_at=0.0), []).receivers == ("b",)


def test_one_that_is_pending_is_not_told_yet():
    assert asked(alert("a", "pending"), []).reason == "pending"


def test_one_that_has_just_fired_waits_for_its_group():
    assert asked(alert("a", fired_at=0.0), []).reason == "group_wait"


def test_one_that_was_over_before_anybody_was_told_says_so():
    assert asked(alert("a", "resolved", fired_at=0.0), []).reason == "over"


def test_one_that_no_sink_has_taken_says_what_the_sink_said():
    dispatcher, fired = Dispatcher(ROUTE), alert("a", fired_at=0.0)
    dispatcher.take(0.0, fired)
    (made,) = dispatcher.tick(1.0).notifications
    failed = Delivery(sink="ops/webhook/0", state="failed", attempts=3, error="HTTP 400")
    found = asked(fired, [made.model_copy(update={"deliveries": (failed,)})])
    assert found.reason == "undelivered"
    assert "ops/webhook/0 failed (HTTP 400)" in (found.because or "")


def test_one_that_is_told_as_part_of_an_incident_says_which():
    dispatcher, fired = Dispatcher(ROUTE), alert("a", fired_at=0.0)
    dispatcher.take(0.0, alert("i1", stream="incident", kind="incident"))
    found = telegraph(fired, dispatcher.tick(1.0).notifications, ROUTE, incidents=["i1"], alone=False)
    assert found.reason is None
    assert [one.sentence for one in found.tellings] == [
        "1970-01-01T00:00:01.000Z ops is told of incident i1 that it is firing"
    ]


def test_where_only_incidents_are_told_one_that_is_in_none_says_so():
    assert telegraph(alert("a", fired_at=0.0), [], ROUTE, alone=False).reason == "incidents"
