"""An alert may be held back by people or by a budget: one is asked after the other, and one thing says which it was."""

from __future__ import annotations

import itertools

import msgspec
import pytest

from alerts.alert import State
from alerts.budget import Allowance
from alerts.feedback import Feedback
from alerts.lifecycle import Lifecycle
from alerts.policy import BudgetLimits, Gates, Policy, Thresholds
from alerts.step import Step
from alerts.verdict import Label
from detectors.score import Score, SignalScore, ValueExplanation, anomaly_score

NORMAL = Score(1.0, 0.0)


def odd(p_value: float, deviation: float = 8.0, kind: str = "spike") -> Score:
    values = {"x": ValueExplanation(10.0 + deviation, 10.0, 9.0, 11.0, 1.0)}
    signal = SignalScore(kind, p_value, "x", 1 if deviation > 0 else -1)
    return Score(p_value, anomaly_score(p_value), (signal,), values)


class Pump:
    """A source with an event a minute that one person looks at."""

    def __init__(self, a_day: float | None = 1, allowance: Allowance | None = None, **thresholds: object) -> None:
        default = Thresholds.model_validate({"resolve_after_events": 2} | thresholds)
        self.policy = Policy(default=default, budget=BudgetLimits(per_source_a_day=a_day))
        self.allowance, self.now, self.offsets = allowance, 0.0, itertools.count()
        self.life = self.new()

    def new(self) -> Lifecycle:
        return Lifecycle("telemetry", "pump-7", self.policy, Feedback("telemetry", "pump-7"), self.allowance)

    def event(self, score: Score, event_id: str | None = None) -> Step:
        self.now += 60.0
        return self.life.step(self.now, score, event_id)

    def calm(self) -> list[str | None]:
        return [self.event(NORMAL).held for _ in range(2)]

    def say(self, about: str, label: bool) -> None:
        outcome, _ = self.life.judge(self.now, Label(self.now, about, 0, next(self.offsets), label, "ann"), 60.0)
        assert outcome == "label_learned"

    def restart(self) -> None:
        state = msgspec.msgpack.decode(msgspec.msgpack.encode(self.life.snapshot()))
        self.life = self.new()
        self.life.restore(state)


def called_normal(pump: Pump, score: Score) -> Pump:
    """One alert was raised and called no anomaly, and was over."""
    (alert,) = pump.event(score).changes
    pump.calm()
    pump.say(alert.alert_id, False)
    return pump


def test_what_feedback_holds_back_says_so_until_it_is_over_and_counts_once():
    pump = called_normal(Pump(None), odd(1e-5))
    first, second = pump.event(odd(1e-5)), pump.event(odd(1e-5))
    assert (first.changes, first.alert, first.held, first.newly_held) == ((), False, "feedback", ("feedback",))
    assert (second.held, second.newly_held) == ("feedback", ())
    assert [note.effect for note in first.feedback] == ["held"]
    assert pump.calm() == ["feedback", None]
    assert pump.event(odd(1e-5)).newly_held == ("feedback",)


def test_what_would_have_raised_nothing_anyway_is_not_held_back():
    pump = called_normal(Pump(None, fire_p=1e-4), odd(1e-5))
    step = pump.event(odd(1e-3))
    assert ([note.effect for note in step.feedback], step.held) == (["held"], None)
    gated = Pump(None)
    called_normal(gated, odd(1e-5, 8.0))
    gated.policy = Policy(default=Thresholds(gates=Gates(min_deviation=5.0)))
    gated.restart()
    assert gated.event(odd(1e-5, 4.0)).held is None
    assert gated.event(odd(1e-5, 6.0)).held == "feedback"


def test_feedback_decides_first_and_costs_no_budget():
    pump = called_normal(Pump(2), odd(1e-5))
    for _ in range(5):
        assert pump.event(odd(1e-5)).held == "feedback"
        pump.calm()
    assert pump.event(odd(1e-5, -8.0)).alert


def test_something_else_is_asked_of_the_budget_although_feedback_holds_back_the_like():
    pump = called_normal(Pump(3), odd(1e-9))
    assert pump.event(odd(1e-9)).held == "feedback"
    (alert,) = pump.event(odd(1e-5, -8.0)).changes
    assert (alert.state, alert.started_at) == (State.FIRING, pump.now)
    called = called_normal(Pump(1), odd(1e-9))
    assert called.event(odd(1e-9)).held == "feedback"
    assert called.event(odd(1e-9, -8.0)).held == "source_budget"


def test_what_people_missed_is_subject_to_the_budget():
    pump = Pump(1)
    pump.event(odd(0.003, 4.0), "e1")
    pump.say("e1", True)
    (alert,) = pump.event(odd(0.003, 4.0)).changes
    assert alert.feedback[0].effect == "raised"
    pump.calm()
    step = pump.event(odd(0.003, 4.0))
    assert (step.changes, step.held, [note.effect for note in step.feedback]) == ((), "source_budget", ["raised"])


class Refuses:
    """Allows nothing, and notes what it was asked for."""

    def __init__(self) -> None:
        self.rarities: list[float] = []

    def level(self, t: float) -> float:
        return 0.0

    def affords(self, t: float, rarity: float) -> bool:
        self.rarities.append(rarity)
        return False


def test_what_people_missed_is_weighed_as_what_is_just_worth_an_alert():
    stream = Refuses()
    pump = Pump(None, stream)
    pump.event(odd(0.003, 4.0), "e1")
    pump.say("e1", True)
    for p_value in (0.003, 0.001, 2e-5, 1e-5):
        assert pump.event(odd(p_value, 4.0)).held == "stream_budget"
    assert stream.rarities == [1.0, pytest.approx(0.1)]


def test_of_several_that_hold_back_feedback_is_named_first():
    pump = called_normal(Pump(1), odd(1e-5, kind="spike"))
    both = odd(1e-5)
    both = msgspec.structs.replace(both, signals=(SignalScore("level", 1e-6, "x", 1), *both.signals))
    step = pump.event(both)
    assert (step.held, step.newly_held) == ("feedback", ("source_budget", "feedback"))


def test_the_opposite_label_takes_back_what_feedback_holds():
    pump = Pump(None)
    (alert,) = pump.event(odd(1e-5)).changes
    pump.calm()
    pump.say(alert.alert_id, False)
    assert pump.event(odd(1e-5)).held == "feedback"
    pump.say(alert.alert_id, True)
    step = pump.event(odd(1e-5))
    assert (step.alert, step.held) == (True, None)


def test_an_alert_that_a_budget_kept_pending_is_retracted_and_no_longer_held():
    pump = Pump(1, fire_after=60.0)
    pump.event(odd(1e-5)), pump.event(odd(1e-5))
    pump.calm()
    (pending,) = pump.event(odd(1e-5, -8.0)).changes
    assert pump.event(odd(1e-5, -8.0)).held == "source_budget"
    pump.say(pending.alert_id, False)
    assert pump.life.active == ()
    assert pump.event(odd(1e-5, -8.0)).held == "feedback"


def test_what_is_held_back_is_held_back_after_a_restart():
    pump = called_normal(Pump(None), odd(1e-5))
    assert pump.event(odd(1e-5)).newly_held == ("feedback",)
    pump.restart()
    step = pump.event(odd(1e-5))
    assert (step.held, step.newly_held) == ("feedback", ())
    assert pump.calm() == ["feedback", None]
