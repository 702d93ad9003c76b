"""The life of an alert, as a subscriber of the alerts topic sees it."""

from __future__ import annotations

import itertools

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from alerts.alert import Alert, Severity, State
from alerts.lifecycle import Lifecycle
from alerts.policy import Gates, Policy, Thresholds
from detectors.score import Score, SignalScore, ValueExplanation, anomaly_score

KINDS = ("spike", "level", "flatline")
NORMAL = Score(1.0, 0.0)


def odd(p_value: float, kind: str = "spike", **values: ValueExplanation) -> Score:
    name = next(iter(values), None)
    return Score(p_value, 1.0 - p_value**0.25, (SignalScore(kind, p_value, name, 1),), values)


def lifecycle(**thresholds: object) -> Lifecycle:
    return Lifecycle("telemetry", "pump-7", Policy(default=Thresholds.model_validate(thresholds)))


def play(life: Lifecycle, scores: list[Score], start: float = 0.0) -> list[Alert]:
    return [alert for i, score in enumerate(scores) for alert in life.step(start + i, score).changes]


def test_an_improbable_event_fires_at_once_with_all_a_person_needs():
    (alert,) = play(lifecycle(), [odd(3e-6, temperature=ValueExplanation(95.0, 70.0, 67.0, 73.0, 1.0))])
    assert (alert.state, alert.severity, alert.kind) == (State.FIRING, Severity.WARNING, "spike")
    assert alert.values["temperature"].expected == 70.0
    assert "temperature jumped to 95, above the expected 70 (67 to 73)" in alert.summary


def test_one_alert_goes_on_while_the_anomaly_does():
    changes = play(lifecycle(), [odd(1e-5)] * 50)
    assert [alert.state for alert in changes] == [State.FIRING]


def test_it_resolves_only_after_several_normal_events_in_a_row():
    life = lifecycle(resolve_after_events=5)
    assert len(play(life, [odd(1e-5)] + [NORMAL] * 4 + [odd(0.01)] + [NORMAL] * 4)) == 1
    (resolved,) = play(life, [NORMAL], 20.0)
    assert (resolved.state, resolved.version, resolved.resolved_at) == (State.RESOLVED, 2, 20.0)


def test_what_lies_between_the_thresholds_neither_begins_nor_ends_an_alert():
    between = odd(1e-3)
    assert play(lifecycle(), [between] * 20) == []
    assert [alert.state for alert in play(lifecycle(), [odd(1e-5)] + [between] * 20)] == [State.FIRING]


def test_what_comes_back_is_a_new_alert():
    changes = play(lifecycle(), [odd(1e-5), *[NORMAL] * 5, odd(1e-5)])
    assert [alert.state for alert in changes] == [State.FIRING, State.RESOLVED, State.FIRING]
    assert len({alert.alert_id for alert in changes}) == 2


def test_with_a_duration_it_is_pending_first_and_vanishes_if_all_is_well_again():
    life = lifecycle(fire_after=10.0)
    assert [alert.state for alert in play(life, [odd(1e-5), NORMAL])] == [State.PENDING, State.RESOLVED]
    changes = play(lifecycle(fire_after=10.0), [odd(1e-5)] * 15)
    assert [(alert.state, alert.updated_at) for alert in changes] == [(State.PENDING, 0.0), (State.FIRING, 10.0)]


def test_it_says_so_when_it_grows_more_severe():
    changes = play(lifecycle(), [odd(5e-5), odd(5e-6), odd(1e-9), odd(1e-9)])
    assert [alert.severity for alert in changes] == [Severity.INFO, Severity.WARNING, Severity.CRITICAL]
    assert {alert.alert_id for alert in changes} == {changes[0].alert_id}


def test_a_deviation_too_small_to_matter_raises_nothing():
    life = lifecycle(gates=Gates(min_deviation=5.0))
    assert play(life, [odd(1e-9, x=ValueExplanation(12.0, 10.0, 9.0, 11.0, 1.0))]) == []
    assert play(life, [odd(1e-9, x=ValueExplanation(16.0, 10.0, 9.0, 11.0, 1.0))], 1.0)


def test_a_kind_may_be_switched_off():
    policy = Policy(kinds={"flatline": Thresholds(enabled=False)})
    assert play(Lifecycle("telemetry", "s", policy), [odd(1e-9, "flatline")]) == []


def test_the_alert_score_says_where_something_new_begins():
    life = lifecycle()
    scores = [life.step(float(i), score).alert_score for i, score in enumerate([NORMAL, odd(1e-5), odd(1e-5)])]
    assert scores[0] == scores[2] == 0.0 < scores[1]


def test_the_alert_score_is_that_of_the_strongest_signal_up_to_what_is_worth_an_alert():
    milder = Score(1e-3, 0.0, (SignalScore("spike", 1e-2), SignalScore("level", 0.5)))
    assert lifecycle().step(0.0, milder).alert_score == anomaly_score(1e-2)
    assert lifecycle().step(0.0, odd(1e-9)).alert_score == anomaly_score(1e-4)
    assert lifecycle(fire_p=1e-6).step(0.0, odd(1e-9)).alert_score == anomaly_score(1e-6)
    assert lifecycle().step(0.0, Score(1e-9, 0.99)).alert_score == 0.0


def test_what_grows_yet_more_improbable_is_nothing_new():
    life = lifecycle()
    scores = [life.step(float(i), odd(p)).alert_score for i, p in enumerate([1e-2, 1e-4, 1e-9, 1e-4, 1e-30])]
    assert scores == [anomaly_score(1e-2), anomaly_score(1e-4), 0.0, 0.0, 0.0]


def test_what_a_signal_said_is_half_forgotten_after_four_hundred_events():
    for calm, new in ((76, False), (78, True)):  # 4 fades to 3.5, half a power of ten below, within 77.1 events
        life = lifecycle()
        for i, score in enumerate([odd(1e-9), *[NORMAL] * calm]):
            life.step(float(i), score)
        assert (life.step(100.0, odd(1e-9)).alert_score > 0) is new


def test_a_peak_from_before_it_was_bounded_is_bounded_when_it_is_taken_up():
    life = lifecycle()
    life.restore([0.0, 300.0, {}])
    for i in range(30):
        life.step(float(i), NORMAL)
    assert life.step(100.0, odd(1e-5)).alert_score > 0


def test_an_alert_tells_when_each_signal_saw_it_begin():
    score = Score(1e-6, 0.9, (SignalScore("level", 1e-6, "x", 1, 40.0), SignalScore("spike", 1e-5, "x", 1)))
    alerts = lifecycle().step(100.0, score).changes
    assert [(alert.kind, alert.started_at) for alert in alerts] == [("level", 40.0), ("spike", 100.0)]
    assert [signal.started_at for signal in alerts[0].signals] == [40.0, None]
    assert '"started_at":"1970-01-01T00:00:40.000Z"' in alerts[1].encode().decode()


def test_a_silence_is_the_same_alert_however_it_is_noticed():
    while_it_lasts, at_its_end = lifecycle(), lifecycle()
    for life in (while_it_lasts, at_its_end):
        life.step(0.0, NORMAL)
    first = while_it_lasts.silent(0.0, 60.0)
    assert while_it_lasts.silent(0.0, 60.0) == ()
    assert (*first, *while_it_lasts.heard(500.0)) == (*at_its_end.silent(0.0, 60.0), *at_its_end.heard(500.0))


def test_a_silence_of_events_that_were_only_late_is_retracted():
    life = lifecycle()
    (silent,) = life.silent(0.0, 60.0)
    (after,) = life.heard(30.0, really=False)
    assert (silent.state, after.state, after.alert_id) == (State.FIRING, State.RETRACTED, silent.alert_id)


verdicts = st.lists(
    st.tuples(
        st.dictionaries(st.sampled_from(KINDS), st.floats(1e-12, 1.0), max_size=3),
        st.floats(-5.0, 100.0),
        st.none() | st.lists(st.dictionaries(st.sampled_from(KINDS), st.floats(1e-12, 1.0), max_size=2), max_size=4),
    ),
    max_size=60,
)
"""Of each event its signals, the seconds since the one before, and what is said of the newest ones if it came late."""


def scored(signals: dict[str, float]) -> Score:
    found = sorted((SignalScore(kind, p) for kind, p in signals.items()), key=lambda signal: signal.p_value)
    p_value = found[0].p_value if found else 1.0
    return Score(p_value, 1.0 - p_value**0.25, tuple(found))


Event = tuple[dict[str, float], float, list[dict[str, float]] | None]


def changes_of(life: Lifecycle, events: list[Event], t: float = 0.0) -> list[Alert]:
    changes: list[Alert] = []
    for signals, gap, again in events:
        t += gap
        if again is not None:
            changes.extend(life.reconsider([(t - 30.0 + 10 * i, scored(said)) for i, said in enumerate(again)]))
        changes.extend(life.step(t, scored(signals)).changes)
    return changes


@given(verdicts)
def test_every_alert_lives_in_order(events):
    lives: dict[str, list[Alert]] = {}
    for alert in changes_of(lifecycle(fire_after=3.0), events):
        lives.setdefault(alert.alert_id, []).append(alert)
    for life in lives.values():
        assert [alert.version for alert in life] == list(range(1, len(life) + 1))
        assert all(before.updated_at <= after.updated_at for before, after in itertools.pairwise(life))
        assert not any(alert.state.over for alert in life[:-1])
        assert all(alert.history[-1].state is alert.state for alert in life)
        assert [State.PENDING, State.FIRING].index(life[0].state) == 0


@given(verdicts)
def test_at_most_one_alert_of_a_kind_is_active(events):
    active: dict[str, str] = {}
    for alert in changes_of(lifecycle(), events):
        if alert.state.over:
            assert active.pop(alert.kind) == alert.alert_id
        else:
            assert active.setdefault(alert.kind, alert.alert_id) == alert.alert_id


@given(verdicts, verdicts)
def test_a_life_put_away_and_taken_up_again_goes_on_the_same(before, after):
    whole, first = lifecycle(fire_after=3.0), lifecycle(fire_after=3.0)
    changes_of(whole, before)
    changes_of(first, before)
    second = lifecycle(fire_after=3.0)
    second.restore(msgspec.msgpack.decode(msgspec.msgpack.encode(first.snapshot())))
    assert changes_of(second, after, 1e4) == changes_of(whole, after, 1e4)


@given(verdicts)
def test_the_same_events_give_the_same_bytes(events):
    first, second = (b"".join(alert.encode() for alert in changes_of(lifecycle(), events)) for _ in range(2))
    assert first == second
