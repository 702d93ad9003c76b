"""An early warning begins by what is foretold, is told again when it comes nearer, and is withdrawn when it turns."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.alert import State
from alerts.early_warning import CAME, TURNED
from alerts.lifecycle import Lifecycle
from alerts.policies import EARLY_WARNING
from alerts.policy import BudgetLimits, Policy, Thresholds
from alerts.why import decided_again, findings
from detectors.score import Foreseen, Score, SignalScore


def life(**default: object) -> Lifecycle:
    return Lifecycle("telemetry", "pump-7", Policy(default=Thresholds(**default)))


def foretold(median: float, probability: float = 0.8, event: str = "limit", unit: str = "s") -> Score:
    """Return the score of an event at which a breach is foretold in so many seconds."""
    came = median == 0.0
    foreseen = Foreseen(
        event, probability, 21_600.0, unit, median / 2, median, median * 2, 120.0 if event == "limit" else None, 4.0
    )
    p_value = 1.0 if came else Policy().default.fire_p
    return Score(0.5, 0.2, (SignalScore(EARLY_WARNING, p_value, "heat", 1, foreseen=foreseen),))


USUAL = Score(0.5, 0.2)


def test_it_tells_when_how_sure_and_what_moves() -> None:
    (alert,) = life().step(0.0, foretold(7200.0)).changes
    assert (alert.kind, alert.state, alert.severity) == (EARLY_WARNING, State.FIRING, "warning")
    assert alert.summary == (
        "pump-7: heat is likely to get above 120, in about 2 h (1 h to 4 h) (80% within 6 h; it moves by +4 an hour)."
    )
    assert alert.foreseen is not None
    assert (alert.foreseen.median, alert.foreseen.limit) == (7200.0, 120.0)


def test_a_failure_is_told_in_the_unit_of_the_machines_life() -> None:
    (alert,) = life().step(0.0, foretold(30.0, event="failure", unit="cycle")).changes
    assert alert.summary.startswith("pump-7: likely to fail, in about 30 cycles (15 cycles to 60 cycles)")


def test_it_is_told_again_each_time_it_is_half_as_far() -> None:
    pump = life()
    told = [
        pump.step(float(t), foretold(median)).changes
        for t, median in enumerate((8000.0, 5000.0, 4000.0, 2100.0, 1900.0))
    ]
    assert [[alert.history[-1].note for alert in changes] for changes in told] == [
        [None],
        [],
        ["4000 s"],
        [],
        ["1900 s"],
    ]
    assert told[2][0].history[-1].what == "forecast"


def test_it_is_withdrawn_once_the_trend_has_turned() -> None:
    pump = life()
    pump.step(0.0, foretold(7200.0))
    (alert,) = [alert for t in range(1, 6) for alert in pump.step(float(t), USUAL).changes]
    assert (alert.state, alert.history[-1].note) == (State.RETRACTED, "the trend has turned")
    assert alert.summary.endswith("Retracted: the trend has turned.")


def test_it_resolves_once_what_was_foretold_has_come() -> None:
    pump = life()
    pump.step(0.0, foretold(7200.0))
    (alert,) = [alert for t in range(1, 6) for alert in pump.step(float(t), foretold(0.0)).changes]
    assert (alert.state, alert.history[-1].note) == (State.RESOLVED, "it has come")


def test_a_doubt_for_less_than_the_usual_calm_changes_nothing() -> None:
    pump = life()
    pump.step(0.0, foretold(7200.0))
    assert not [alert for t in range(1, 5) for alert in pump.step(float(t), USUAL).changes]
    assert pump.step(5.0, foretold(7000.0)).changes == ()
    assert not [alert for t in range(6, 10) for alert in pump.step(float(t), USUAL).changes]


def test_it_is_beyond_the_budget() -> None:
    pump = Lifecycle("telemetry", "pump-7", Policy(budget=BudgetLimits(per_source_a_day=0.01)))
    assert pump.step(0.0, foretold(7200.0)).changes[0].state is State.FIRING


def test_who_does_not_want_it_turns_its_kind_off() -> None:
    policy = Policy(kinds={EARLY_WARNING: Thresholds(enabled=False)})
    step = Lifecycle("telemetry", "pump-7", policy).step(0.0, foretold(7200.0))
    assert step.changes == ()
    assert step.trace is not None
    assert [(one.kind, one.reason) for one in findings(step.trace)] == [(EARLY_WARNING, "enabled")]


def test_its_decision_is_made_again_bit_for_bit() -> None:
    step = life().step(0.0, foretold(7200.0))
    assert step.trace is not None
    assert decided_again(step.trace).step.changes == step.changes


@pytest.mark.parametrize("beyond", [math.inf])
def test_a_median_beyond_the_horizon_is_not_told(beyond: float) -> None:
    foreseen = Foreseen("limit", 0.4, 60.0, "s", 30.0, beyond, beyond, 120.0)
    score = Score(0.5, 0.2, (SignalScore(EARLY_WARNING, 1e-4, "heat", 1, foreseen=foreseen),))
    (alert,) = life().step(0.0, score).changes
    assert alert.foreseen is not None
    assert alert.foreseen.median is None
    assert "in about" not in alert.summary


def test_it_goes_through_a_snapshot() -> None:
    pump, again = life(), life()
    pump.step(0.0, foretold(7200.0))
    again.restore(pump.snapshot())
    assert again.step(1.0, foretold(3000.0)).changes == pump.step(1.0, foretold(3000.0)).changes


@given(st.lists(st.sampled_from(("usual", "near", "far", "came", "failed")), max_size=80))
def test_whatever_is_foretold_each_warning_ends_once_and_its_history_explains_it(said: list[str]) -> None:
    scores = {
        "usual": USUAL,
        "near": foretold(600.0),
        "far": foretold(9000.0),
        "came": foretold(0.0),
        "failed": foretold(0.0, event="failure", unit="cycle"),
    }
    pump, versions = life(), {}
    for t, word in enumerate([*said, *["usual"] * 6]):
        for alert in pump.step(float(t), scores[word]).changes:
            assert alert.version == versions.get(alert.alert_id, 0) + 1
            versions[alert.alert_id] = alert.version
            assert alert.history[-1].state is alert.state
            if alert.state is State.RETRACTED:
                assert alert.history[-1].note == TURNED
            elif alert.state is State.RESOLVED:
                assert (alert.history[-1].note, word) in ((CAME, "came"), (CAME, "failed"))
    assert pump.active == ()
