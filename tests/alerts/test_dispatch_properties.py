"""Whatever comes in whatever order: whoever is told of an alert hears of its end, and a restart changes nothing."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from alerts.alert import Severity
from alerts.dispatch import Dispatcher
from alerts.inhibition import InhibitRule
from alerts.notification import Notification
from alerts.routing import Route
from tests.alerts.told import alert, silence, stored

TREE = Route.model_validate(
    {
        "receiver": "ops",
        "group_by": ["source"],
        "group_wait": 5,
        "group_interval": 20,
        "repeat_interval": 90,
        "max_groups": 2,
        "routes": [
            {"receiver": "pager", "matchers": ['severity="critical"'], "group_by": [], "continue": True},
            {"receiver": "all", "matchers": ['kind=~".+"'], "group_by": ["..."], "max_groups": 3, "continue": True},
            {"matchers": ['kind="spike"']},
        ],
    }
)
RULES = (InhibitRule(source_matchers=('kind="silence"',), target_matchers=('kind!="silence"',), equal=("source",)),)
ALERTS = st.tuples(
    st.sampled_from(["a", "b", "c", "d", "e"]),
    st.sampled_from(["pending", "firing", "firing", "acknowledged", "resolved", "retracted"]),
    st.sampled_from(list(Severity)),
)
SILENCES = st.tuples(st.sampled_from(["s1", "s2"]), st.sampled_from("ab"), st.integers(0, 60), st.booleans())
STEPS = st.lists(st.tuples(st.integers(0, 30), st.one_of(ALERTS, SILENCES, st.none())), max_size=40)


def run(steps: list[Any], restart: bool) -> tuple[list[Notification], Dispatcher]:
    dispatcher = Dispatcher(TREE, RULES)
    states: dict[str, bytes] = {}
    silences: dict[str, Any] = {}
    versions: dict[str, int] = {}
    over: set[str] = set()
    found: list[Notification] = []
    now = 0.0
    for pause, step in [*steps, (10_000, None), (10_000, None)]:
        now += pause
        match step:
            case (name, str(state), Severity() as severity) if name not in over:
                versions[name] = versions.get(name, 0) + 1
                over |= {name} if state in ("resolved", "retracted") else set()
                kind = "silence" if name == "e" else "spike"
                source = name if name < "d" else "a"
                dispatcher.take(now, alert(name, state, versions[name], severity=severity, kind=kind, source=source))
            case (name, str(source), int(length), bool(until)):
                said = silence(name, f"source={source}", start=now, end=now + length, until_resolved=until)
                silences[name] = said
                dispatcher.silence(name, said)
        outcome = dispatcher.tick(now)
        found += outcome.notifications
        silences |= {one.silence_id: one for one in outcome.ended}
        if restart:
            dispatcher = Dispatcher(TREE, RULES, states=stored(dispatcher, states))
            for name, said in silences.items():
                dispatcher.silence(name, said)
    return found, dispatcher


@settings(max_examples=80, deadline=None)
@given(STEPS)
def test_whoever_is_told_that_an_alert_fires_is_told_that_it_is_over(steps: list[Any]):
    found, dispatcher = run(steps, restart=False)
    told: dict[tuple[str, str], bool] = {}
    for notification in found:
        for one in notification.alerts:
            key = notification.route, one.alert_id
            if one.state.over:
                assert told.pop(key), "over, but nobody was told that it fires"
            else:
                known = ("still", "worse", "unsuppressed") if key in told else ("new", "unsuppressed")
                assert one.news in known, "new twice, or news of what is unknown"
                told[key] = True
    going_on = {known for known in told if known[1] in over_in(steps)}
    assert going_on == set(), "nobody was told that it is over"
    assert dispatcher.alerts <= 5


@settings(max_examples=80, deadline=None)
@given(STEPS)
def test_a_restart_at_every_step_changes_no_notification(steps: list[Any]):
    assert run(steps, restart=True)[0] == run(steps, restart=False)[0]


@settings(max_examples=50, deadline=None)
@given(STEPS)
def test_no_alert_is_told_while_something_suppresses_it_and_each_suppression_is_named(steps: list[Any]):
    for notification in run(steps, restart=False)[0]:
        suppressed = {one.alert_id for one in notification.suppressed}
        assert not suppressed & {one.alert_id for one in notification.alerts if not one.state.over}
        assert all(one.by for one in notification.suppressed)
        assert notification.status != "suppressed" or suppressed


def over_in(steps: list[Any]) -> set[str]:
    return {step[0] for _, step in steps if step and len(step) == 3 and step[1] in ("resolved", "retracted")}
