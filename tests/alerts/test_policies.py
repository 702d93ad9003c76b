"""Policies that are applied while the service runs, as their authors see them."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from alerts.alert import Alert, Severity, State
from alerts.lifecycle import Lifecycle
from alerts.policies import PolicyDocument, PolicyVersion, Ruling, present, rule
from alerts.policy import BudgetLimits, Policy, Thresholds
from detectors.score import Score, SignalScore, ValueExplanation

NORMAL = Score(1.0, 0.0)


def document(**said: object) -> PolicyDocument:
    return PolicyDocument.model_validate({"name": "pumps", **said})


def applied(*documents: PolicyDocument, configured: Policy | None = None) -> Ruling:
    versions = [PolicyVersion(name=one.name, version=3, author="ann", at=0.0, policy=one) for one in documents]
    return rule(configured or Policy(), versions)


def odd(p_value: float, value: float = 95.0) -> Score:
    explained = {"temperature": ValueExplanation(value, 70.0, 67.0, 73.0, 1.0)}
    return Score(p_value, 0.9, (SignalScore("spike", p_value, "temperature", 1),), explained)


def governed(*documents: PolicyDocument, configured: Policy | None = None) -> Lifecycle:
    life = Lifecycle("telemetry", "pump-7", configured or Policy())
    life.govern(applied(*documents, configured=configured))
    return life


def play(life: Lifecycle, *events: tuple[Score, float]) -> list[Alert]:
    return [
        alert
        for t, (score, value) in enumerate(events)
        for alert in life.step(float(t), score, None, {"temperature": value}).changes
    ]


def test_alerts_say_which_policy_governs_them_whose_they_are_and_what_to_do():
    life = governed(document(owner="plant-a", runbook="https://wiki.example/pumps"))
    (alert,) = play(life, (odd(1e-5), 95.0))
    assert [str(one) for one in alert.policies] == ["pumps@3"]
    assert (alert.owner, alert.runbook) == ("plant-a", "https://wiki.example/pumps")


def test_what_a_document_does_not_say_is_as_in_the_configuration():
    configured = Policy(default=Thresholds(fire_after=30.0, fire_p=1e-3), kinds={"level": Thresholds(fire_p=1e-7)})
    ruling = applied(document(default={"resolve_after": 60}), configured=configured)
    assert ruling.policy.of("spike") == Thresholds(fire_after=30.0, fire_p=1e-3, resolve_after=60.0)
    assert ruling.policy.of("level") == Thresholds(fire_p=1e-7, resolve_after=60.0)


def test_of_two_documents_the_one_of_higher_priority_lies_above():
    broad = document(name="all", owner="operations", default={"fire_after": 60, "gates": {"min_deviation": 2}})
    narrow = document(name="pumps", priority=5, default={"fire_after": 5, "gates": {"direction": "above"}})
    for ruling in (applied(broad, narrow), applied(narrow, broad)):
        spike = ruling.policy.of("spike")
        assert (spike.fire_after, spike.gates.min_deviation, spike.gates.direction) == (5.0, 2.0, "above")
        assert ruling.owner == "operations"
        assert [str(one) for one in ruling.versions] == ["all@3", "pumps@3"]


def test_a_value_outside_of_its_valid_range_always_alerts_however_usual_it_is():
    life = governed(document(values={"temperature": {"max": 120, "severity": "critical"}}))
    (alert,) = play(life, (NORMAL, 119.0), (NORMAL, 121.0))
    assert (alert.kind, alert.state, alert.severity, alert.direction) == ("range", State.FIRING, Severity.CRITICAL, 1)
    assert alert.summary == (
        "pump-7: temperature is 121, outside of its valid range since 1970-01-01 00:00:01 (valid: at most 120)."
    )


def test_neither_gates_nor_budgets_hold_back_a_value_outside_of_its_range():
    configured = Policy(budget=BudgetLimits(per_source_a_day=1))
    said = document(values={"temperature": {"min": 0}}, default={"gates": {"min_deviation": 1000}})
    life = governed(said, configured=configured)
    outside = [(NORMAL, -5.0), *[(NORMAL, 5.0)] * 5] * 3
    assert [alert.state.value for alert in play(life, *outside)] == ["firing", "resolved"] * 3


def test_an_alert_on_a_range_may_have_to_last():
    life = governed(document(values={"temperature": {"min": 0}}, kinds={"range": {"fire_after": 2}}))
    changes = play(life, *[(NORMAL, -5.0)] * 4)
    assert [(alert.state.value, alert.updated_at) for alert in changes] == [("pending", 0.0), ("firing", 2.0)]


def test_severity_is_bounded_by_policy():
    life = governed(document(default={"most_severity": "warning"}))
    assert play(life, (odd(1e-12), 95.0))[0].severity is Severity.WARNING


def test_a_policy_that_disables_a_kind_lets_its_alert_end():
    life = governed()
    assert len(play(life, (odd(1e-5), 95.0))) == 1
    life.govern(applied(document(kinds={"spike": {"enabled": False}})))
    ended = play(life, *[(odd(1e-5), 95.0)] * 5)
    assert [(alert.state.value, str(alert.policies[0])) for alert in ended] == [("resolved", "pumps@3")]


def test_a_new_budget_counts_what_has_begun_under_the_old_one():
    life = governed(document(per_source_a_day=2))
    begun = play(life, (odd(1e-9), 95.0), *[(NORMAL, 70.0)] * 5)
    life.govern(applied(document(per_source_a_day=1)))
    assert [alert.state.value for alert in begun] == ["firing", "resolved"]
    assert life.step(10.0, odd(1e-9)).held == "source_budget"


def test_the_highest_version_of_a_document_is_the_present():
    versions = [PolicyVersion(name="a", version=number, author="ann", at=0.0) for number in (2, 3, 1)]
    assert present(versions)["a"].version == 3


@pytest.mark.parametrize(
    ("said", "field", "fix"),
    [
        ({"source": "a", "source_re": "b"}, "", "not both"),
        ({"source_re": "pump-("}, "source_re", "is no regular expression"),
        ({"values": {"x": {}}}, "values.x", "say `min`, `max` or both"),
        ({"values": {"x": {"min": 2, "max": 1}}}, "values.x", "must be below max"),
        ({"default": {"fire_p": 0.5}}, "default", "clear_p (0.02) must not be below fire_p (0.5)"),
        ({"default": {"least_severity": "critical", "most_severity": "info"}}, "default", "must not exceed"),
        ({"stream": "labels"}, "stream", "telemetry"),
        ({"priorty": 3}, "priorty", "Extra inputs are not permitted"),
    ],
)
def test_what_is_wrong_with_a_document_is_said(said, field, fix):
    with pytest.raises(ValidationError) as raised:
        document(**said)
    (error,) = raised.value.errors()
    assert ".".join(map(str, error["loc"])) == field
    assert fix in error["msg"]
