"""Incidents, as a subscriber of topic incidents sees them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alerts.advice import Runbook
from alerts.alert import Alert, Severity, State
from alerts.happening import ChangeEvent, Happening, IncidentCommand
from alerts.incident import Incident, IncidentState
from alerts.incident_settings import IncidentSettings
from alerts.incidents import Incidents
from alerts.topology import SourceRule, TopologySettings

SHOP = TopologySettings(
    sources=(
        SourceRule(match="web", depends_on=("api",), owner="team-web"),
        SourceRule(match="api", depends_on=("db",), owner="team-api"),
        SourceRule(match="db", depends_on=("disk",), owner="team-db"),
        SourceRule(match="mail", owner="team-mail"),
    ),
    learn=True,
)
FAR = 100_000.0


def alert(source: str, at: float, state: State = State.FIRING, version: int = 1, kind: str = "level", **more) -> Alert:
    began = more.pop("began", at)
    return Alert(
        alert_id=more.pop("alert_id", f"{source}-{kind}-{began:g}"),
        stream="telemetry",
        source=source,
        kind=kind,
        state=state,
        severity=more.pop("severity", Severity.WARNING),
        version=version,
        started_at=began,
        updated_at=at,
        anomaly_score=0.9,
        p_value=more.pop("p_value", 1e-6),
        name="latency",
        summary="",
        **more,
    )


def over(source: str, began: float, at: float, state: State = State.RESOLVED) -> Alert:
    return alert(source, at, state, 2, began=began)


def command(verb: str, incident: Incident, at: float, text: str = "", sources: tuple[str, ...] = ()) -> IncidentCommand:
    return IncidentCommand(
        verb=verb, incident_id=incident.incident_id, timestamp=at, by="ann", text=text, sources=sources
    )


def shop(**more) -> Incidents:
    return Incidents(IncidentSettings(topology=more.pop("topology", SHOP), lateness=5.0, settle=10.0, **more))


def play(incidents: Incidents, *happenings: Happening, to: float | None = None) -> list[Incident]:
    said = list(incidents.take(happenings))
    return [*said, *incidents.advance(FAR if to is None else to)]


def last_of(said: list[Incident]) -> dict[str, Incident]:
    return {incident.incident_id: incident for incident in said}


def test_alerts_of_what_depends_on_each_other_are_one_incident_with_its_cause():
    (incident,) = last_of(play(shop(), alert("db", 0), alert("api", 20), alert("web", 40))).values()
    assert (incident.source_count, incident.causes[0].source) == (3, "db")
    assert "3 sources: 3 alerts since 1970-01-01 00:00:00; likeliest cause: db" in incident.summary


def test_alerts_that_have_nothing_in_common_are_two_incidents():
    said = last_of(play(shop(), alert("db", 0), alert("mail", 1)))
    assert sorted(incident.causes[0].source for incident in said.values()) == ["db", "mail"]


def test_alerts_far_apart_in_time_are_two_incidents():
    said = play(shop(), alert("db", 0), over("db", 0, 60), alert("api", 5000))
    assert len(last_of(said)) == 2


def test_alerts_that_agree_in_an_attribute_are_one_incident():
    racks = TopologySettings(sources=(SourceRule(match=r"(?P<rack>\w+)/.*", attributes={"rack": "{rack}"}),))
    said = play(shop(topology=racks, group_by=("rack",)), alert("a/1", 0), alert("a/2", 5), alert("b/1", 5))
    assert sorted(incident.source_count for incident in last_of(said).values()) == [1, 2]


def test_an_incident_opens_only_from_so_many_alerts_on():
    assert play(shop(min_alerts=2), alert("db", 0)) == []
    (first, *_) = play(shop(min_alerts=2), alert("db", 0), alert("db", 30, kind="spike"))
    assert (first.opened_at, first.alert_count) == (30.0, 2)
    assert play(shop(min_sources=2), alert("db", 0), alert("db", 30, kind="spike")) == []


def test_it_is_said_once_it_has_settled_and_then_not_at_every_alert():
    said = play(shop(), *(alert("db", float(i), kind=f"kind{i}") for i in range(40)))
    assert [(one.updated_at, one.alert_count) for one in said] == [(10.0, 11), (20.0, 21), (40.0, 40)]


def test_it_is_resolved_with_its_last_alert_and_says_so_at_once():
    said = play(shop(), alert("db", 0), alert("api", 5), over("db", 0, 60), over("api", 5, 90))
    assert (said[-1].state, said[-1].resolved_at, said[-1].active_count) == (IncidentState.RESOLVED, 90.0, 0)


def test_it_is_opened_again_and_not_begun_anew_within_a_window():
    said = play(shop(), alert("db", 0), over("db", 0, 60), alert("db", 1000))
    assert (len(last_of(said)), said[-1].state, said[-1].reopened) == (1, IncidentState.OPEN, 1)
    said = play(shop(), alert("db", 0), over("db", 0, 60), alert("db", 9000))
    assert len(last_of(said)) == 2


def test_an_alert_between_two_incidents_makes_them_one():
    far = TopologySettings(sources=(SourceRule(match="a", depends_on=("b",)), SourceRule(match="b", depends_on=("c",))))
    said = play(
        shop(topology=far.model_copy(update={"hops": 1})), alert("c", 0), alert("a", 1), alert("b", 30), to=60.0
    )
    ids = last_of(said)
    merged = [one for one in ids.values() if one.state is IncidentState.MERGED]
    (whole,) = [one for one in ids.values() if one.state is IncidentState.OPEN]
    assert ([one.merged_into for one in merged], whole.source_count) == ([whole.incident_id], 3)


def test_it_falls_apart_when_what_held_it_together_is_retracted():
    chain = TopologySettings(
        sources=(SourceRule(match="a", depends_on=("b",)), SourceRule(match="b", depends_on=("c",))), hops=1
    )
    said = play(
        shop(topology=chain),
        alert("c", 0),
        alert("b", 1),
        alert("a", 2),
        over("b", 1, 50, State.RETRACTED),
    )
    whole, part = last_of(said).values()
    assert (part.split_from, [one.source for one in part.alerts]) == (whole.incident_id, ["a"])
    assert [one.source for one in whole.alerts] == ["c"]


def test_it_is_retracted_if_all_its_alerts_are():
    said = play(shop(), alert("db", 0), over("db", 0, 50, State.RETRACTED))
    assert (said[-1].state, said[-1].summary) == (
        IncidentState.RETRACTED,
        "All its alerts were retracted: nothing was wrong.",
    )


def test_it_has_one_owner_that_of_its_cause_until_somebody_says_otherwise():
    incidents = shop()
    (incident,) = play(incidents, alert("db", 0), alert("web", 5), to=20.0)
    assert incident.owner == "team-db"
    (assigned,) = play(incidents, command("assign", incident, 30.0, "bob"), to=60.0)
    assert (assigned.owner, assigned.timeline[-1].detail) == ("bob", "bob, by ann")


def test_its_timeline_tells_what_happened_in_order():
    deploy = ChangeEvent(change_id="d1", kind="deploy", source="db", timestamp=-60.0, summary="version 2")
    said = play(shop(), deploy, alert("db", 0), alert("api", 20), over("db", 0, 60), over("api", 20, 70))
    assert [entry.what for entry in said[-1].timeline] == [
        *("change", "alert", "opened", "cause", "owner", "alert", "resolved"),
    ]


def test_operators_split_off_what_does_not_belong_and_it_stays_apart():
    incidents = shop()
    (incident,) = play(incidents, alert("db", 0), alert("web", 5), to=20.0)
    said = play(incidents, command("split", incident, 30.0, sources=("web",)), alert("web", 60, kind="spike"), to=100.0)
    parts = last_of(said)
    assert sorted(tuple(sorted({one.source for one in part.alerts})) for part in parts.values()) == [("db",), ("web",)]


def test_operators_merge_incidents():
    incidents = shop()
    one, other = play(incidents, alert("db", 0), alert("mail", 1), to=20.0)
    merged, whole = play(incidents, command("merge", other, 30.0, one.incident_id), to=60.0)
    assert (merged.state, merged.merged_into) == (IncidentState.MERGED, one.incident_id)
    assert (whole.incident_id, whole.source_count) == (one.incident_id, 2)


def test_it_names_the_runbook_that_fits_its_cause():
    books = (
        Runbook(name="roll back", source="db", changes=("deploy",), steps=("roll back",)),
        Runbook(name="restart", source="db", steps=("restart it",)),
        Runbook(name="mail", source="mail", steps=("…",)),
    )
    deploy = ChangeEvent(change_id="d1", kind="deploy", source="db", timestamp=-60.0)
    (incident,) = play(shop(runbooks=books), deploy, alert("db", 0), to=20.0)
    assert [one.runbook for one in incident.advice] == ["roll back", "restart"]
    (incident,) = play(shop(runbooks=books), alert("db", 0), to=20.0)
    assert [one.runbook for one in incident.advice] == ["restart"]


def test_it_tells_what_resolved_an_incident_that_looked_alike():
    incidents = shop()
    (first, *_) = play(incidents, alert("db", 0), over("db", 0, 60), to=100.0)
    play(incidents, command("resolved_by", first, 200.0, "restarted the db"), to=300.0)
    (second,) = play(incidents, alert("db", 50_000), to=50_020.0)
    (like,) = second.similar
    assert (like.incident_id, like.similarity, like.resolved_by) == (first.incident_id, 1.0, "restarted the db, by ann")


def test_a_change_to_the_cause_before_the_end_counts_as_what_resolved_it():
    incidents = shop()
    undo = ChangeEvent(change_id="d2", kind="rollback", source="db", timestamp=50.0, summary="to version 1")
    play(incidents, alert("db", 0), undo, over("db", 0, 60), to=100.0)
    (second,) = play(incidents, alert("db", 50_000), to=50_020.0)
    assert second.similar[0].resolved_by == "rollback d2: to version 1"


def test_an_alert_that_never_fired_is_no_incident():
    assert play(shop(), alert("db", 0, State.PENDING), over("db", 0, 20)) == []


def test_a_repeated_or_older_value_of_an_alert_changes_nothing():
    said = play(shop(), alert("db", 0), over("db", 0, 20), alert("db", 0), over("db", 0, 20))
    assert [(one.version, one.state.value) for one in said] == [(1, "open"), (2, "resolved")]


def test_a_rule_whose_template_names_no_group_is_refused_and_says_what_there_is():
    with pytest.raises(ValueError, match="its named groups are: rack"):
        SourceRule(match=r"(?P<rack>\w+)/.*", depends_on=("{row}",))


def test_a_state_of_another_format_is_refused():
    with pytest.raises(ValueError, match="reset it"):
        shop().restore(b"?")


SOURCES = ("web", "api", "db", "mail")


@st.composite
def histories(draw):
    """Alerts with all their changes, changes of nodes, and commands, in the order of time."""
    happenings: list[Happening] = []
    for number in range(draw(st.integers(1, 12))):
        source, began = draw(st.sampled_from(SOURCES)), float(draw(st.integers(0, 600)))
        named = f"{source}-{number}"
        happenings.append(alert(source, began, alert_id=named, kind=f"kind{number}"))
        if (ends := draw(st.integers(0, 300))) > 20:
            ended = draw(st.sampled_from([State.RESOLVED, State.RESOLVED, State.RETRACTED]))
            happenings.append(alert(source, began + ends, ended, 2, alert_id=named, kind=f"kind{number}", began=began))
    for number in range(draw(st.integers(0, 3))):
        at = float(draw(st.integers(0, 600)))
        happenings.append(
            ChangeEvent(change_id=f"d{number}", kind="deploy", source=draw(st.sampled_from(SOURCES)), timestamp=at)
        )
    return sorted(happenings, key=lambda one: one.updated_at if isinstance(one, Alert) else one.timestamp)


def time_of(happening: Happening) -> float:
    return happening.updated_at if isinstance(happening, Alert) else happening.timestamp


@given(histories(), st.randoms())
@settings(max_examples=60, deadline=None)
def test_the_order_in_which_partitions_are_read_makes_no_difference(history, random):
    in_order = play(shop(), *history)
    shuffled = sorted(history, key=lambda one: time_of(one) + random.uniform(0.0, 4.9))
    incidents, said = shop(), []
    for happening in shuffled:
        said += incidents.take([happening])
    said += incidents.advance(FAR)
    assert [one.encode() for one in said] == [one.encode() for one in in_order]


@given(histories(), st.data())
@settings(max_examples=40, deadline=None)
def test_a_restart_neither_loses_nor_repeats_nor_changes_an_incident(history, data):
    whole = play(shop(), *history)
    at = data.draw(st.integers(0, len(history)))
    before, after = shop(), shop()
    said = list(before.take(history[:at]))
    after.restore(before.snapshot())
    assert after.snapshot() == before.snapshot()
    said += play(after, *history[at:])
    assert [one.encode() for one in said] == [one.encode() for one in whole]


@given(histories())
@settings(max_examples=60, deadline=None)
def test_no_history_leaves_an_incident_open_without_an_alert_or_an_alert_without_an_incident(history):
    said = play(shop(), *history)
    for named in {one.incident_id for one in said}:
        assert [one.version for one in said if one.incident_id == named] == list(
            range(1, 1 + max(one.version for one in said if one.incident_id == named))
        )
    present = last_of(said)
    firing = {one.alert_id for one in history if isinstance(one, Alert)} - {
        one.alert_id for one in history if isinstance(one, Alert) and one.state.over
    }
    held = [
        one.alert_id
        for incident in present.values()
        if not incident.state.over
        for one in incident.alerts
        if not one.state.over
    ]
    assert sorted(held) == sorted(firing)
    assert all((incident.active_count > 0) != incident.state.over for incident in present.values())
