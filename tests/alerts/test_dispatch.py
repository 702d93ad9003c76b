"""What is told, to whom and when: the promises of grouping, silences, inhibition and routing."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from alerts.alert import Severity
from alerts.dispatch import Dispatcher
from alerts.inhibition import InhibitRule
from alerts.notification import MOST_ALERTS
from alerts.routing import Route
from tests.alerts.told import alert, silence, stored, tick, told

WAIT, INTERVAL, REPEAT = 30.0, 300.0, 3600.0


def route(**said: object) -> Route:
    timers = {"group_wait": WAIT, "group_interval": INTERVAL, "repeat_interval": REPEAT}
    return Route.model_validate({"receiver": "ops", **timers, **said})


def test_alerts_that_come_within_group_wait_share_a_notification():
    dispatcher = Dispatcher(route())
    dispatcher.take(0, alert("a"))
    dispatcher.take(29, alert("b"))
    assert tick(dispatcher, 29.9) == []
    assert tick(dispatcher, 30) == [("ops", "firing", ["a", "b"])]


def test_what_comes_later_is_told_after_group_interval():
    dispatcher = Dispatcher(route())
    dispatcher.take(0, alert("a"))
    tick(dispatcher, 30)
    dispatcher.take(31, alert("b"))
    assert tick(dispatcher, 329) == []
    (notification,) = dispatcher.tick(330).notifications
    assert [(one.alert_id, one.news) for one in notification.alerts] == [("a", "still"), ("b", "new")]


def test_an_alert_that_is_over_is_told_once_and_then_forgotten():
    dispatcher = Dispatcher(route())
    dispatcher.take(0, alert("a"))
    tick(dispatcher, 30)
    dispatcher.take(40, alert("a", "resolved", 2))
    assert tick(dispatcher, 330) == [("ops", "resolved", ["a"])]
    assert tick(dispatcher, 99999) == []
    assert (dispatcher.alerts, dispatcher.groups) == (0, 0)


def test_nobody_is_told_of_an_alert_that_is_over_before_anybody_knew():
    dispatcher = Dispatcher(route())
    dispatcher.take(0, alert("a"))
    dispatcher.take(10, alert("a", "resolved", 2))
    assert tick(dispatcher, 9999) == []


def test_a_retraction_is_told_as_such():
    dispatcher = Dispatcher(route())
    dispatcher.take(0, alert("a"))
    tick(dispatcher, 30)
    dispatcher.take(40, alert("a", "retracted", 2))
    (notification,) = dispatcher.tick(330).notifications
    assert (notification.status, notification.alerts[0].state) == ("resolved", "retracted")


def test_what_goes_on_is_told_again_after_repeat_interval_unless_acknowledged():
    dispatcher = Dispatcher(route(group_interval=60))
    dispatcher.take(0, alert("a"))
    tick(dispatcher, 30)
    times = [now for now in range(60, 12_000, 60) if tick(dispatcher, now)]
    assert times == [3660, 7260, 10860]
    dispatcher.take(12_000, alert("a", "acknowledged", 2))
    assert not any(tick(dispatcher, now) for now in range(12_000, 40_000, 60))


def test_an_alert_that_grows_more_severe_is_told_at_the_next_look():
    dispatcher = Dispatcher(route())
    dispatcher.take(0, alert("a"))
    tick(dispatcher, 30)
    dispatcher.take(40, alert("a", version=2, severity=Severity.CRITICAL))
    (notification,) = dispatcher.tick(330).notifications
    (told_now,) = notification.alerts
    assert (told_now.news, told_now.severity, told_now.previous_severity) == ("worse", "critical", "warning")


def test_a_pending_alert_is_not_told():
    dispatcher = Dispatcher(route())
    dispatcher.take(0, alert("a", "pending"))
    assert tick(dispatcher, 9999) == []


def test_an_older_version_of_an_alert_changes_nothing():
    dispatcher = Dispatcher(route())
    dispatcher.take(0, alert("a", version=3))
    dispatcher.take(1, alert("a", "resolved", 2))
    assert tick(dispatcher, 30) == [("ops", "firing", ["a"])]


def test_a_silenced_alert_is_not_told_and_the_log_names_the_silence():
    dispatcher = Dispatcher(route())
    dispatcher.silence("s1", silence("s1", "source=a"))
    dispatcher.take(0, alert("a"))
    (noted,) = dispatcher.tick(30).notifications
    assert (noted.status, noted.alerts) == ("suppressed", ())
    (suppressed,) = noted.suppressed
    (by,) = suppressed.by
    assert (suppressed.alert_id, by.kind, by.id, by.because) == ("a", "silence", "s1", "ann: works")
    assert tick(dispatcher, 330) == []


def test_an_alert_that_goes_on_after_its_silence_is_told():
    dispatcher = Dispatcher(route())
    dispatcher.take(0, alert("a"))
    tick(dispatcher, 30)
    dispatcher.silence("s1", silence("s1", "source=a", end=600))
    assert tick(dispatcher, 330) == [("ops", "suppressed", [])]
    (notification,) = dispatcher.tick(630).notifications
    assert [(one.alert_id, one.news) for one in notification.alerts] == [("a", "unsuppressed")]


def test_who_was_told_hears_that_it_is_over_even_if_it_is_silenced_by_then():
    dispatcher = Dispatcher(route())
    dispatcher.take(0, alert("a"))
    tick(dispatcher, 30)
    dispatcher.silence("s1", silence("s1", "source=a"))
    tick(dispatcher, 330)
    dispatcher.take(400, alert("a", "resolved", 2))
    assert tick(dispatcher, 630) == [("ops", "resolved", ["a"])]


def test_a_silence_that_is_taken_back_no_longer_silences():
    dispatcher = Dispatcher(route())
    dispatcher.silence("s1", silence("s1", "source=a"))
    dispatcher.take(0, alert("a"))
    tick(dispatcher, 30)
    dispatcher.silence("s1", None)
    assert tick(dispatcher, 330) == [("ops", "firing", ["a"])]


def test_a_silence_until_resolved_ends_with_the_last_alert_that_it_silences():
    dispatcher = Dispatcher(route())
    dispatcher.silence("s1", silence("s1", 'source=~"a|b"', until_resolved=True))
    dispatcher.take(0, alert("a"))
    dispatcher.take(1, alert("b"))
    assert dispatcher.tick(30).ended == []
    dispatcher.take(40, alert("a", "resolved", 2))
    assert dispatcher.tick(41).ended == []
    dispatcher.take(50, alert("b", "resolved", 2))
    (ended,) = dispatcher.tick(51).ended
    assert (ended.silence_id, ended.ends_at, ended.history[-1].by) == ("s1", 51.0, "tocsin")
    dispatcher.take(60, alert("c", source="a"))
    assert tick(dispatcher, 400) == [("ops", "firing", ["c"])]


def test_a_silence_until_resolved_ends_also_when_the_alert_ends_during_a_restart():
    dispatcher = Dispatcher(route())
    quiet = silence("s1", "source=a", until_resolved=True)
    dispatcher.silence("s1", quiet)
    dispatcher.take(0, alert("a"))
    dispatcher.tick(30)
    again = Dispatcher(route(), states=stored(dispatcher, {}))
    again.take(40, alert("a", "resolved", 2))
    again.silence("s1", quiet)
    assert [one.silence_id for one in again.tick(50).ended] == ["s1"]


def test_silences_are_forgotten_some_time_after_their_end():
    dispatcher = Dispatcher(route(), keep_silences=1000)
    dispatcher.silence("s1", silence("s1", "source=a", end=10))
    assert dispatcher.tick(1000).forgotten == []
    assert dispatcher.tick(1011).forgotten == ["s1"]
    assert len(dispatcher.silences) == 0


def test_a_silence_of_everything_is_refused():
    with pytest.raises(ValidationError, match="must not match the empty text"):
        silence("s1", 'source=~".*"')


def test_an_alert_is_inhibited_while_another_fires_and_told_after():
    rule = InhibitRule(name="dead first", source_matchers=("kind=silence",), target_matchers=("kind!=silence",))
    dispatcher = Dispatcher(route(group_by=("kind",)), (rule,))
    dispatcher.take(0, alert("dead", kind="silence"))
    dispatcher.take(0, alert("a"))
    found = {one.status: one for one in dispatcher.tick(30).notifications}
    assert [one.alert_id for one in found["firing"].alerts] == ["dead"]
    (by,) = found["suppressed"].suppressed[0].by
    assert (by.kind, by.id, by.because) == ("inhibition", "dead", "dead first")
    dispatcher.take(40, alert("dead", "resolved", 2, kind="silence"))
    assert sorted(tick(dispatcher, 330)) == [("ops", "firing", ["a"]), ("ops", "resolved", ["dead"])]


def test_inhibition_needs_equal_labels():
    rule = InhibitRule(source_matchers=("kind=silence",), target_matchers=("kind=spike",), equal=("source",))
    dispatcher = Dispatcher(route(), (rule,))
    dispatcher.take(0, alert("dead", source="pump-1", kind="silence"))
    dispatcher.take(0, alert("same", source="pump-1"))
    dispatcher.take(0, alert("other", source="pump-2"))
    assert tick(dispatcher, 30) == [("ops", "firing", ["dead", "other"])]


def test_an_alert_that_is_source_and_target_does_not_inhibit_itself():
    rule = InhibitRule(source_matchers=('kind=~".+"',), target_matchers=('kind=~".+"',))
    dispatcher = Dispatcher(route(), (rule,))
    dispatcher.take(0, alert("a"))
    dispatcher.take(0, alert("b"))
    assert tick(dispatcher, 30) == [("ops", "firing", ["a", "b"])]


def test_each_route_has_groups_of_its_own():
    tree = route(
        group_by=("source",),
        routes=[{"receiver": "pager", "matchers": ["severity=critical"], "group_wait": 0, "continue": True}, {}],
    )
    dispatcher = Dispatcher(tree)
    dispatcher.take(0, alert("a"))
    dispatcher.take(0, alert("b", severity=Severity.CRITICAL))
    assert tick(dispatcher, 0) == [("pager", "firing", ["b"])]
    assert sorted(tick(dispatcher, 30)) == [("ops", "firing", ["a"]), ("ops", "firing", ["b"])]


def test_an_alert_that_grows_severe_reaches_the_pager_and_both_hear_its_end():
    tree = route(routes=[{"receiver": "pager", "matchers": ["severity=critical"], "group_wait": 0}])
    dispatcher = Dispatcher(tree)
    dispatcher.take(0, alert("a"))
    assert tick(dispatcher, 30) == [("ops", "firing", ["a"])]
    dispatcher.take(40, alert("a", version=2, severity=Severity.CRITICAL))
    assert tick(dispatcher, 40) == [("pager", "firing", ["a"])]
    dispatcher.take(50, alert("a", "resolved", 3, severity=Severity.CRITICAL))
    assert sorted(tick(dispatcher, 340)) == [("ops", "resolved", ["a"]), ("pager", "resolved", ["a"])]


def test_an_alert_changes_groups_of_a_route_without_being_told_twice():
    dispatcher = Dispatcher(route(group_by=("severity",)))
    dispatcher.take(0, alert("a"))
    tick(dispatcher, 30)
    dispatcher.take(40, alert("a", version=2, severity=Severity.CRITICAL))
    assert tick(dispatcher, 70) == [("ops", "firing", ["a"])]
    dispatcher.take(80, alert("a", "resolved", 3, severity=Severity.CRITICAL))
    assert tick(dispatcher, 9999) == [("ops", "resolved", ["a"])]


def test_a_storm_is_one_notification_of_the_worst_and_a_count():
    dispatcher = Dispatcher(route())
    for number in range(10_000):
        worst = Severity.CRITICAL if number == 7777 else Severity.WARNING
        dispatcher.take(number / 1000, alert(f"s{number:05}", severity=worst))
    (notification,) = dispatcher.tick(30).notifications
    assert notification.alerts[0].source == "s07777"
    assert (len(notification.alerts), notification.firing, notification.truncated) == (MOST_ALERTS, 10_000, 9_900)
    assert len(notification.encode()) < 200_000
    for number in range(10_000):
        dispatcher.take(100, alert(f"s{number:05}", "resolved", 2))
    (notification,) = dispatcher.tick(330).notifications
    assert (notification.status, notification.resolved, dispatcher.alerts) == ("resolved", 10_000, 0)


def test_groups_beyond_the_most_share_one_and_nothing_is_lost():
    dispatcher = Dispatcher(route(group_by=("source",), max_groups=3))
    for number in range(10):
        dispatcher.take(0, alert(f"s{number}"))
    found = dispatcher.tick(30).notifications
    assert len(found) == 4
    assert sorted(one.alert_id for each in found for one in each.alerts) == [f"s{number}" for number in range(10)]


def test_a_receiver_that_needs_every_alert_gets_them_in_parts():
    dispatcher = Dispatcher(route(), whole={"ops"})
    for number in range(250):
        dispatcher.take(0, alert(f"s{number:03}"))
    found = dispatcher.tick(30).notifications
    assert [len(one.alerts) for one in found] == [100, 100, 50]
    assert len({one.notification_id for one in found}) == 3
    assert len(dispatcher.told_and_firing("ops")) == 250


def test_a_receiver_hears_again_of_what_it_was_told_with_the_severity_it_was_told():
    dispatcher = Dispatcher(route())
    dispatcher.take(0, alert("a"))
    dispatcher.take(0, alert("b"))
    assert dispatcher.told_and_firing("ops") == []
    tick(dispatcher, 30)
    dispatcher.take(40, alert("a", version=2, severity=Severity.CRITICAL))
    dispatcher.take(40, alert("b", "resolved", 2))
    assert [(one.alert_id, one.labels["severity"]) for one in dispatcher.told_and_firing("ops")] == [("a", "warning")]
    tick(dispatcher, 330)
    assert [(one.alert_id, one.labels["severity"]) for one in dispatcher.told_and_firing("ops")] == [("a", "critical")]


def test_alerts_beyond_the_most_are_counted():
    dispatcher = Dispatcher(route(), max_alerts=2)
    for name in "abc":
        dispatcher.take(0, alert(name))
    assert tick(dispatcher, 30) == [("ops", "firing", ["a", "b"])]
    assert dispatcher.dropped == 1


def test_a_route_that_is_new_after_a_restart_is_told_of_what_goes_on():
    dispatcher = Dispatcher(route())
    dispatcher.take(0, alert("a"))
    tick(dispatcher, 30)
    states = stored(dispatcher, {})
    unchanged = Dispatcher(route(), states=states)
    assert tick(unchanged, 400) == []
    both = route(routes=[{"receiver": "new", "matchers": ["source=a"], "continue": True}, {}])
    assert ("new", "firing", ["a"]) in told(Dispatcher(both, states=states).tick(400).notifications)
