"""Which cause is named first, and which are never named."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from alerts.diagnosis import Diagnosis, DiagnosisSettings, Observed
from alerts.happening import ChangeEvent, RareMoment
from alerts.incident import Cause
from alerts.learned_topology import LearnedTopology
from alerts.topology import SourceRule, Topology, TopologySettings


def causes(
    graph: dict[str, tuple[str, ...]], began: dict[str, float], *changes: ChangeEvent, p_value: float = 1e-6
) -> tuple[Cause, ...]:
    rules = tuple(SourceRule(match=name, depends_on=behind) for name, behind in graph.items())
    diagnosis = Diagnosis(Topology(TopologySettings(sources=rules)), 4, DiagnosisSettings())
    return diagnosis.causes({name: Observed(at, p_value, "level") for name, at in began.items()}, changes)


def named(*given, **more) -> list[str]:
    return [cause.source for cause in causes(*given, **more)]


SHOP = {"web": ("api",), "api": ("db", "cache"), "db": (), "cache": ()}


def test_what_began_first_and_has_the_others_depend_on_it_is_the_cause():
    assert named(SHOP, {"web": 60.0, "api": 30.0, "db": 0.0}) == ["db"]


def test_a_symptom_is_never_named():
    assert not {"web", "api"} & set(named(SHOP, {"web": 10.0, "api": 5.0, "db": 0.0}))


def test_in_a_cycle_the_first_is_the_cause():
    ring = {"a": ("b",), "b": ("c",), "c": ("a",)}
    assert named(ring, {"a": 0.0, "b": 80.0, "c": 40.0})[0] == "a"
    assert named(ring, {"a": 80.0, "b": 40.0, "c": 0.0})[0] == "c"


def test_what_all_depend_on_is_the_cause_though_it_raised_no_alert():
    rack = {f"server-{i}": ("switch",) for i in range(6)}
    (first, *_) = causes(rack, {f"server-{i}": float(i) for i in range(6)})
    assert (first.source, first.observed) == ("switch", False)
    assert "6 of 6 affected sources depend on it" in first.evidence[0].detail


def test_of_many_that_depend_on_it_two_do_not_make_it_the_cause():
    rack = {f"server-{i}": ("switch",) for i in range(40)}
    assert named(rack, {"server-1": 0.0, "server-2": 3.0})[0] != "switch"


def test_two_faults_that_have_nothing_to_do_with_each_other_are_both_named():
    both = {"web": ("db",), "mail": ("queue",)}
    assert set(named(both, {"web": 30.0, "db": 0.0, "mail": 40.0, "queue": 5.0})) == {"db", "queue"}


def deploy(source: str, at: float) -> ChangeEvent:
    return ChangeEvent(change_id=f"d-{source}", kind="deploy", source=source, timestamp=at)


def test_of_two_that_began_together_the_one_just_changed_comes_first_and_says_so():
    apart = {"web": ("db", "cache")}
    (first, *_) = causes(apart, {"web": 60.0, "db": 0.0, "cache": 0.0}, deploy("cache", -30.0))
    assert (first.source, first.change_id) == ("cache", "d-cache")
    assert any(one.kind == "change" and "deploy d-cache" in one.detail for one in first.evidence)


def test_a_change_to_a_symptom_or_after_the_beginning_makes_no_cause():
    assert named(SHOP, {"web": 60.0, "db": 0.0}, deploy("web", -30.0)) == ["db"]
    (first, *_) = causes(SHOP, {"web": 60.0, "db": 0.0}, deploy("db", 300.0))
    assert first.change_id is None


@given(st.dictionaries(st.sampled_from("abcdefgh"), st.integers(0, 600), min_size=1), st.data())
@settings(max_examples=60, deadline=None)
def test_whatever_the_graph_something_is_named_and_the_shares_are_shares(began, data):
    graph = {name: tuple(data.draw(st.sets(st.sampled_from("abcdefgh"), max_size=3)) - {name}) for name in "abcdefgh"}
    found = causes(graph, {name: float(at) for name, at in began.items()})
    assert found
    assert sum(cause.score for cause in found) <= 1.0 + 1e-9
    assert all(cause.evidence for cause in found)
    assert len({cause.source for cause in found}) == len(found)


def test_the_graph_is_learned_from_what_moves_together_and_its_lag():
    learned = LearnedTopology(60.0)
    for hour in range(10):
        learned.saw(RareMoment("db", 3600.0 * hour))
        learned.saw(RareMoment("api", 3600.0 * hour + 15.0))
        learned.saw(RareMoment("mail", 3600.0 * hour + 1800.0))
    topology = Topology(TopologySettings(), learned)
    assert [topology.parents(name) for name in ("api", "db", "mail")] == [("db",), (), ()]


def test_what_is_often_unusual_for_itself_is_connected_with_nothing():
    learned = LearnedTopology(60.0)
    for minute in range(0, 6000, 2):
        learned.saw(RareMoment("noisy", 60.0 * minute + 61.0 * (minute % 7)))
        if minute % 100 == 0:
            learned.saw(RareMoment("db", 60.0 * minute + 30.0))
    assert learned.parents("db") == learned.parents("noisy") == ()


def test_of_a_storm_no_graph_is_learned():
    learned = LearnedTopology(60.0)
    for hour in range(10):
        for i in range(300):
            learned.saw(RareMoment(f"s{i}", 3600.0 * hour + i / 10))
    assert learned.parents("s299") == ()
    assert len(learned.snapshot()[0]) < 2000


def test_what_was_learned_survives_a_restart():
    learned, again = LearnedTopology(60.0), LearnedTopology(60.0)
    for hour in range(10):
        learned.saw(RareMoment("db", 3600.0 * hour))
        learned.saw(RareMoment("api", 3600.0 * hour + 15.0))
    again.restore(learned.snapshot())
    assert again.snapshot() == learned.snapshot()
    assert again.parents("api") == ("db",)
