"""What a user is told when asking why an event raised no alert; and that the answer is the decision itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alerts.alert import alert_id
from alerts.budget import Budget
from alerts.calendars import Window
from alerts.feedback import Feedback
from alerts.lifecycle import Lifecycle
from alerts.policies import Ruling, ValidRange
from alerts.policy import BudgetLimits, Gates, Policy, Thresholds
from alerts.step import Step
from alerts.trace import Trace, TraceError
from alerts.verdict import Label
from alerts.why import Finding, decided_again, findings
from detectors.score import Score, SignalScore, ValueExplanation, anomaly_score


def scored(p: float, kind: str = "spike", value: float = 20.0, direction: int = 1) -> Score:
    """A score of value x, of which 10 is expected."""
    values = {"x": ValueExplanation(value, 10.0, 9.0, 11.0, 1.0)}
    return Score(p, anomaly_score(p), (SignalScore(kind, p, "x", direction),), values)


def play(policy: Policy | Ruling, scores: Sequence[Score], **said: Any) -> list[Step]:
    lifecycle = Lifecycle("telemetry", "pump-7", policy, **said)
    return [lifecycle.step(60.0 * i, score, f"e{i}", {"x": score.values["x"].value}) for i, score in enumerate(scores)]


def why(step: Step) -> Finding:
    """The first thing that is said of a step, whose decision comes out the same when it is made again."""
    assert step.trace is not None
    again = decided_again(step.trace)
    assert again.step == step
    return findings(step.trace)[0]


def test_a_direction_that_does_not_matter_is_named():
    policy = Policy(default=Thresholds(gates=Gates(direction="below")))
    found = why(play(policy, [scored(1e-7)])[0])
    assert found.reason == "direction"
    assert found.because == "it is above what was expected, and only what is below matters"
    assert found.change == "change `direction` of spike in a policy (`tocsin policy apply`) or `telemetry.policy`"


def test_a_deviation_that_is_too_small_is_told_beside_the_smallest_that_matters():
    found = why(play(Policy(default=Thresholds(gates=Gates(min_deviation=12))), [scored(1e-7)])[0])
    assert (found.reason, found.value, found.expected) == ("min_deviation", 20.0, 10.0)
    assert found.because == "x deviates by 10 from the expected 10, less than min_deviation 12"


def test_a_deviation_that_is_too_small_a_share_is_told_so():
    found = why(play(Policy(default=Thresholds(gates=Gates(min_relative_deviation=1.5))), [scored(1e-7)])[0])
    assert found.reason == "min_relative_deviation"


def test_a_kind_that_is_switched_off_is_told_so():
    found = why(play(Policy(kinds={"spike": Thresholds(enabled=False)}), [scored(1e-7)])[0])
    assert (found.reason, found.because) == ("enabled", "alerts of kind spike are switched off")


def test_an_alert_that_must_last_first_is_pending_and_says_for_how_long():
    policy = Policy(default=Thresholds(fire_after=300))
    first, second = play(policy, [scored(1e-7), scored(1e-7)])
    assert why(first).reason == "pending"
    assert why(second).because == "pending since 1970-01-01T00:00:00.000Z: it must last for 5 min and has for 1 min"


def test_the_source_s_budget_says_how_much_of_it_is_spent():
    policy = Policy(default=Thresholds(resolve_after_events=1), budget=BudgetLimits(per_source_a_day=1))
    steps = play(policy, [scored(1e-7), scored(0.5), scored(1e-7), scored(1e-7)])
    found = why(steps[2])
    assert found.reason == "source_budget"
    assert found.because.startswith("the source's budget: 1 of 1 alerts within a day have begun")
    assert found.change == "raise `per_source_a_day` (1)"
    assert "asked again once it is 10 times as improbable" in why(steps[3]).because


def test_the_budget_of_all_sources_says_what_it_lets_through():
    shared = Budget(1)
    assert shared.affords(0.0, 0.1)
    found = why(play(Policy(), [scored(1e-5)], allowance=shared)[0])
    assert found.reason == "stream_budget"
    assert "lets through what is at most 0 times fire_p" in found.because


def test_the_window_of_the_calendar_that_mutes_is_named():
    window = Window(name="works", start="1970-01-01T00:00:00+00:00", duration="1h")
    found = why(play(Ruling(Policy(), windows={"pumps/works": window}), [scored(1e-7), scored(1e-7)])[1])
    assert found.reason == "calendar"
    assert found.because == "window pumps/works mutes alerts, since 1970-01-01T00:00:00.000Z"


def test_an_alert_that_has_lasted_for_long_enough_may_still_be_muted():
    window = Window(name="works", start="1970-01-01T00:02:00", duration="1h")
    ruling = Ruling(Policy(default=Thresholds(fire_after=120)), windows={"pumps/works": window})
    found = why(play(ruling, [scored(1e-7)] * 4)[3])
    assert found.reason == "calendar"
    assert found.alert_id is not None


def test_what_was_called_no_anomaly_names_who_said_so():
    lifecycle = Lifecycle("telemetry", "pump-7", Policy(), Feedback("telemetry", "pump-7"))
    lifecycle.step(0.0, scored(1e-7))
    lifecycle.judge(60.0, Label(30.0, alert_id("telemetry", "pump-7", "spike", 0.0), 0, 0, False, "ann"), 60.0)
    found = why(lifecycle.step(120.0, scored(1e-7)))
    assert found.reason == "feedback"
    assert "held: feedback of ann" in found.because


def test_an_alert_that_fires_because_people_missed_the_like_says_so():
    lifecycle = Lifecycle("telemetry", "pump-7", Policy(), Feedback("telemetry", "pump-7"))
    lifecycle.step(0.0, scored(0.01), "e0")
    lifecycle.judge(60.0, Label(30.0, "e0", 0, 0, True, "ann"), 60.0)
    found = why(lifecycle.step(120.0, scored(0.01)))
    assert found.reason == "alert"
    assert "raised: feedback of ann" in found.because


def test_an_alert_that_fires_says_what_reached_which_threshold():
    found = why(play(Policy(), [scored(1e-7)])[0])
    assert (found.reason, found.alert_id) == ("alert", alert_id("telemetry", "pump-7", "spike", 0.0))
    assert found.because.endswith("fires: p 1e-07 is at or below fire_p 0.0001")


def test_a_value_outside_of_its_valid_range_is_told_with_the_range():
    found = why(play(Ruling(Policy(), {"x": ValidRange(max=15)}), [scored(0.5)])[0])
    assert (found.kind, found.reason, found.upper) == ("range", "alert", 15.0)


def test_while_all_is_normal_nothing_is_traced():
    assert [step.trace for step in play(Policy(), [scored(0.5), scored(0.01), scored(0.2)])] == [None] * 3


def test_an_alert_that_just_goes_on_leaves_one_trace():
    steps = play(Policy(), [scored(1e-7), scored(1e-7), scored(1e-7)])
    assert [step.trace is not None for step in steps] == [True, False, False]


@pytest.mark.parametrize("data", [b"", b"\x00", b"\x9a" + b"\x63" * 10])
def test_a_trace_that_is_none_is_refused(data: bytes):
    with pytest.raises(TraceError):
        Trace.decode(data)


THRESHOLDS = st.builds(
    Thresholds,
    fire_after=st.sampled_from([0.0, 60.0, 200.0]),
    resolve_after_events=st.integers(1, 3),
    flap_after=st.sampled_from([None, 2]),
    gates=st.builds(
        Gates,
        direction=st.sampled_from(["both", "above", "below"]),
        min_deviation=st.sampled_from([0.0, 3.0]),
        min_relative_deviation=st.sampled_from([0.0, 0.5]),
    ),
)
P_VALUES = st.one_of(st.floats(1e-12, 1.0), st.sampled_from([1e-9, 1e-6, 1e-5, 1e-4, 0.01, 0.5]))
EVENTS = st.lists(
    st.tuples(
        st.floats(-30.0, 400.0),
        st.lists(st.tuples(st.sampled_from(["spike", "level"]), P_VALUES), max_size=2, unique_by=lambda one: one[0]),
        st.floats(-50.0, 50.0),
        st.sampled_from([None, None, None, True, False]),
    ),
    min_size=1,
    max_size=25,
)


@settings(deadline=None)
@given(THRESHOLDS, st.sampled_from([None, 1, 3]), st.sampled_from([None, 2.0]), st.booleans(), EVENTS)
def test_whatever_happened_before_a_decision_made_again_from_its_trace_is_the_same_bit_for_bit(
    thresholds: Thresholds, a_day: int | None, shared: float | None, listens: bool, events: list[Any]
):
    policy = Policy(default=thresholds, budget=BudgetLimits(per_source_a_day=a_day))
    feedback = Feedback("telemetry", "pump-7") if listens else None
    noon = Window(name="noon", start="1970-01-01T00:20:00", duration="20m")
    ruling = Ruling(policy, {"x": ValidRange(max=45.0)} if listens else {}, windows={"day/noon": noon})
    lifecycle = Lifecycle("telemetry", "pump-7", ruling, feedback, None if shared is None else Budget(shared))
    t = 0.0
    for number, (gap, signals, value, label) in enumerate(events):
        t += gap
        if label is not None:
            lifecycle.judge(t, Label(t, f"e{number - 1}", 0, number, label, "ann"), 1e3)
        found = sorted((SignalScore(kind, p, "x", 1 if value > 10 else -1) for kind, p in signals), key=by_p)
        least = found[0].p_value if found else 1.0
        values = {"x": ValueExplanation(value, 10.0, 9.0, 11.0, 1.0)}
        step = lifecycle.step(t, Score(least, anomaly_score(least), tuple(found), values), f"e{number}", {"x": value})
        if step.trace is None:
            assert step.held is None and not step.newly_held and not step.changes
            continue
        again = decided_again(step.trace).step
        assert again == step
        assert [one.encode() for one in again.changes] == [one.encode() for one in step.changes]
        assert again.trace is not None and again.trace.encode() == step.trace.encode()
        for finding in findings(step.trace):
            raised = any(note.effect == "raised" and note.kind == finding.kind for note in step.feedback)
            if finding.reason == "below_threshold":
                assert finding.p_value > finding.fire_p and not raised
            if finding.reason in ("alert", "pending"):
                active = {one.alert_id for one in (*lifecycle.active, *step.changes)}
                assert finding.alert_id in active


def by_p(signal: SignalScore) -> float:
    return signal.p_value
