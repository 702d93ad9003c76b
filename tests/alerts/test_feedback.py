"""People say what was no anomaly and what was missed, and are told what came of it."""

from __future__ import annotations

import itertools

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.alert import Alert, State
from alerts.feedback import REMEMBERED_ALERTS, Feedback
from alerts.lifecycle import Lifecycle
from alerts.policy import Policy, Thresholds
from alerts.step import Step
from alerts.verdict import Label
from detectors.score import Score, SignalScore, ValueExplanation, anomaly_score

NEAR = 60.0
NORMAL = Score(1.0, 0.0)
MISSED = 0.003
"""p-value of an event that has something to say, but not enough for an alert."""


def odd(deviation: float, p_value: float = 1e-5, kind: str = "spike", name: str = "x") -> Score:
    """An event so many times half the width of the bounds from what was expected."""
    values = {name: ValueExplanation(10.0 + deviation, 10.0, 9.0, 11.0, 1.0)}
    direction = (deviation > 0) - (deviation < 0)
    return Score(p_value, anomaly_score(p_value), (SignalScore(kind, p_value, name, direction),), values)


def joint(p_value: float = 1e-5, **contributions: float) -> Score:
    values = {
        name: ValueExplanation(1.0 if share > 0 else -1.0, 0.0, -0.1, 0.1, abs(share))
        for name, share in contributions.items()
    }
    name = max(values, key=lambda name: values[name].contribution)
    return Score(p_value, 0.9, (SignalScore("joint", p_value, name, 1),), values)


class Pump:
    """A source with an event a minute, and people who look at its alerts."""

    def __init__(self, **thresholds: object) -> None:
        self.policy = Policy(default=Thresholds.model_validate({"resolve_after_events": 1} | thresholds))
        self.life = self.new()
        self.now = 0.0
        self.offsets = itertools.count()

    def new(self) -> Lifecycle:
        return Lifecycle("telemetry", "pump-7", self.policy, Feedback("telemetry", "pump-7"))

    def event(self, score: Score, event_id: str | None = None) -> Step:
        self.now += 60.0
        return self.life.step(self.now, score, event_id)

    def alert(self, score: Score, event_id: str | None = None) -> Alert:
        """An event that raises an alert, and is over with the next one."""
        (alert,) = self.event(score, event_id).changes
        self.event(NORMAL)
        return alert

    def say(self, about: str, label: bool, at: float | None = None) -> tuple[str, tuple[Alert, ...]]:
        return self.life.judge(self.now, Label(self.now, about, 0, next(self.offsets), label, "ann", at), NEAR)

    def restart(self) -> None:
        state = msgspec.msgpack.decode(msgspec.msgpack.encode(self.life.snapshot()))
        self.life = self.new()
        self.life.restore(state)


@pytest.fixture
def pump() -> Pump:
    return Pump()


def test_what_was_no_anomaly_raises_nothing_again_and_the_step_says_why(pump):
    pump.say(pump.alert(odd(8.0)).alert_id, False)
    step = pump.event(odd(9.0))
    assert (step.changes, step.alert, step.alert_score) == ((), False, 0.0)
    (note,) = step.feedback
    assert note.sentence.startswith("held: feedback of ann, 1970-01-01, label ")
    assert (note.kind, note.name) == ("spike", "x")


@pytest.mark.parametrize(
    "other", [odd(10.5), odd(-8.0), odd(8.0, name="y"), odd(8.0, kind="level")], ids=["further", "below", "y", "level"]
)
def test_what_looks_different_still_raises(pump, other):
    pump.say(pump.alert(odd(8.0)).alert_id, False)
    assert pump.event(other).alert


def test_an_alert_that_goes_on_is_retracted_and_stays_so(pump):
    (alert,) = pump.event(odd(8.0)).changes
    pump.event(odd(8.0))
    outcome, (retracted,) = pump.say(alert.alert_id, False)
    assert (outcome, retracted.state, retracted.version) == ("label_learned", State.RETRACTED, 2)
    assert [one.state for one in retracted.history] == [State.FIRING, State.RETRACTED]
    assert retracted.summary.endswith(f"Retracted: feedback of ann, 1970-01-01, label {alert.alert_id}.")
    assert pump.event(odd(8.0)).changes == ()


def test_how_far_an_alert_went_is_how_far_it_was_judged(pump):
    (alert,) = pump.event(odd(8.0)).changes
    pump.event(odd(20.0))
    pump.say(alert.alert_id, False)
    assert pump.event(odd(24.0)).changes == ()
    assert pump.event(odd(26.0)).alert


def test_an_alert_can_be_named_by_its_event(pump):
    pump.alert(odd(8.0), "e1")
    pump.say("e1", False)
    assert not pump.event(odd(8.0)).alert


def test_an_alert_can_be_named_by_its_time(pump):
    pump.alert(odd(8.0))
    pump.say("yesterday's", False, at=pump.now - 70.0)
    assert not pump.event(odd(8.0)).alert


def test_a_later_opposite_label_takes_the_verdict_away_at_once(pump):
    about = pump.alert(odd(8.0)).alert_id
    pump.say(about, False)
    assert not pump.event(odd(8.0)).alert
    pump.say(about, True)
    step = pump.event(odd(8.0))
    assert (step.alert, step.feedback) == (True, ())


def test_to_confirm_an_alert_changes_nothing(pump):
    assert pump.say(pump.alert(odd(8.0)).alert_id, True) == ("label_learned", ())
    assert pump.event(odd(8.0)).alert


def test_what_was_missed_is_raised_from_now_on_and_the_alert_says_why(pump):
    assert not pump.event(odd(4.0, MISSED), "e1").alert
    pump.say("e1", True)
    step = pump.event(odd(3.5, 0.005))
    (alert,) = step.changes
    assert step.alert
    assert step.alert_score == pytest.approx(0.9)
    assert alert.p_value == 0.005
    assert alert.feedback[0].effect == "raised"
    assert alert.summary.endswith("Raised: feedback of ann, 1970-01-01, label e1.")


@pytest.mark.parametrize(
    "other",
    [odd(2.9, MISSED), odd(4.0, 0.03), odd(-4.0, MISSED), odd(4.0, 0.06)],
    ids=["less far", "much more usual", "below", "nothing to say"],
)
def test_what_is_weaker_than_what_was_missed_raises_nothing(pump, other):
    pump.event(odd(4.0, MISSED), "e1")
    pump.say("e1", True)
    assert not pump.event(other).alert


def test_what_was_missed_can_be_named_by_its_time_where_events_have_no_ids(pump):
    pump.event(odd(4.0, MISSED))
    for _ in range(30):
        pump.event(NORMAL)
    assert pump.say("m1", True, at=100.0) == ("label_learned", ())
    assert pump.event(odd(4.0, MISSED)).alert


def test_nothing_is_learned_where_nothing_had_anything_to_say(pump):
    pump.event(odd(4.0, MISSED))
    for _ in range(30):
        pump.event(NORMAL)
    assert pump.say("m1", True, at=600.0) == ("label_unmatched", ())
    assert pump.say("nobody knows", True) == ("label_unmatched", ())


def test_missed_is_taken_back_by_a_later_label_of_the_same_name(pump):
    pump.event(odd(4.0, MISSED))
    pump.say("m1", True, at=60.0)
    pump.say("m1", False)
    assert not pump.event(odd(4.0, MISSED)).alert


def test_an_alert_raised_for_what_was_missed_goes_on_as_long_as_it_looks_alike(pump):
    pump.event(odd(4.0, 0.04), "e1")
    pump.say("e1", True)
    states = [alert.state for _ in range(5) for alert in pump.event(odd(4.0, 0.04)).changes]
    assert states == [State.FIRING]


def test_what_was_held_back_can_be_called_missed(pump):
    pump.say(pump.alert(odd(8.0)).alert_id, False)
    pump.event(odd(8.0), "e2")
    pump.now += 1
    pump.say("e2", True)
    assert pump.event(odd(8.0)).alert


def test_a_joint_anomaly_is_alike_if_the_same_values_contribute_the_same_way(pump):
    pump.say(pump.alert(joint(flow=0.6, heat=-0.4)).alert_id, False)
    assert not pump.event(joint(flow=0.45, heat=-0.55)).alert
    assert pump.event(joint(flow=0.6, heat=0.4)).alert


def test_a_detector_without_expectations_is_judged_by_its_readings(pump):
    def bare(value: float) -> Score:
        return Score(
            1e-5, 0.9, (SignalScore("anomaly", 1e-5, "x"),), {"x": ValueExplanation(value, None, None, None, 1.0)}
        )

    pump.say(pump.alert(bare(100.0)).alert_id, False)
    assert not pump.event(bare(120.0)).alert
    assert pump.event(bare(130.0)).alert


def test_a_silence_that_was_no_anomaly_may_last_a_quarter_longer_from_then_on(pump):
    pump.event(NORMAL)
    (silence,) = pump.life.silent(60.0, 300.0)
    pump.life.heard(60.0 + 1000.0)
    pump.say(silence.alert_id, False)
    assert pump.life.tolerated_silence == 1250.0
    pump.now += 1
    pump.say(silence.alert_id, True)
    assert pump.life.tolerated_silence == 0.0


def test_a_silence_called_usual_before_it_ends_is_judged_as_long_as_it_was(pump):
    pump.event(NORMAL)
    (silence,) = pump.life.silent(60.0, 300.0)
    pump.now = 1060.0
    _, (retracted,) = pump.say(silence.alert_id, False)
    assert (retracted.state, retracted.resolved_at) == (State.RETRACTED, 1060.0)
    assert pump.life.heard(1060.0) == ()
    assert pump.life.tolerated_silence == 1250.0


def test_what_is_remembered_is_bounded_and_small():
    pump = Pump()
    assert len(msgspec.msgpack.encode(pump.life.snapshot())) < 50
    for i in range(500):
        pump.event(odd(8.0 + i, 1e-5 if i % 2 else 0.02), f"event-{i}")
        pump.event(NORMAL)
        pump.say(f"event-{i}", i % 4 < 2)
    assert len(msgspec.msgpack.encode(pump.life.snapshot())) < 6_000


def test_the_most_improbable_events_are_remembered_longest(pump):
    pump.event(odd(4.0, 0.001), "rare")
    for i in range(200):
        pump.event(odd(4.0, 0.04), f"mild-{i}")
    assert pump.say("rare", True)[0] == "label_learned"
    assert pump.say("mild-199", True)[0] == "label_learned"
    assert pump.say("mild-3", True)[0] == "label_unmatched"


scores = st.builds(
    odd,
    st.sampled_from([-9.0, -4.0, 3.5, 4.0, 8.0, 9.0, 20.0]),
    st.sampled_from([1e-7, 1e-5, 0.003, 0.01, 0.04, 0.3]),
    st.sampled_from(["spike", "level"]),
    st.sampled_from("xy"),
)
events = st.lists(st.one_of(scores, st.just(NORMAL)), min_size=1, max_size=40)


def names(pump: Pump) -> list[str]:
    return sorted(set(pump.life.ids()))


@given(events, events, st.data())
def test_a_restart_anywhere_changes_nothing(before, after, data):
    one, other = Pump(), Pump()
    for pump in (one, other):
        for i, score in enumerate(before):
            pump.event(score, f"e{i}")
    labelled = data.draw(st.lists(st.tuples(st.sampled_from([*names(one), "?"]), st.booleans()), max_size=6))
    for about, label in labelled:
        other.restart()
        assert one.say(about, label) == other.say(about, label)
    for score in after:
        other.restart()
        assert one.event(score) == other.event(score)


@given(events, events, st.data())
def test_a_label_and_its_opposite_leave_all_as_if_nobody_had_said_anything(before, after, data):
    told, untold = Pump(), Pump()
    was_alerted: dict[str, bool] = {}
    for i, score in enumerate(before):
        step = told.event(score, f"e{i}")
        untold.event(score, f"e{i}")
        was_alerted |= {alert.alert_id: True for alert in step.changes}
        if not step.changes and not told.life.active:
            was_alerted[f"e{i}"] = False
    told.event(NORMAL)
    untold.event(NORMAL)
    labelled = data.draw(st.sets(st.sampled_from(sorted(was_alerted)), max_size=4)) if was_alerted else set()
    for agree in (False, True):
        told.now += 1.0
        for about in sorted(labelled):
            told.say(about, was_alerted[about] == agree)
    told.now = untold.now
    assert [told.event(score) for score in after] == [untold.event(score) for score in after]


@given(events, events, st.data())
def test_the_order_in_which_labels_come_does_not_matter(before, after, data):
    one = Pump()
    for i, score in enumerate(before):
        one.event(score, f"e{i}")
    one.event(NORMAL)
    about = st.tuples(st.sampled_from([*names(one), "?"]), st.booleans(), st.integers(0, 3))
    said = [
        Label(1e4 + time, name, 0, offset, label, "ann")
        for offset, (name, label, time) in enumerate(data.draw(st.lists(about, max_size=8)))
    ]
    other = Pump()
    for i, score in enumerate(before):
        other.event(score, f"e{i}")
    other.event(NORMAL)
    for label in said:
        one.life.judge(one.now, label, NEAR)
    for label in data.draw(st.permutations(said)):
        other.life.judge(other.now, label, NEAR)
    assert [one.event(score) for score in after] == [other.event(score) for score in after]


def test_only_so_many_alerts_can_be_judged(pump):
    first = pump.alert(odd(8.0))
    for _ in range(REMEMBERED_ALERTS):
        pump.alert(odd(8.0))
    assert pump.say(first.alert_id, False)[0] == "label_unmatched"
