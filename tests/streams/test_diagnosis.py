"""Faults with a known cause, from telemetry through detector, policy and alerts to an incident that names it."""

from __future__ import annotations

import pytest

from alerts.incident import IncidentState
from alerts.incident_settings import IncidentSettings
from alerts.incidents import Incidents
from benchmarks.diagnosis import declared, diagnosed
from benchmarks.simulated_faults import KINDS, scenario
from benchmarks.storm import alerts_alone, storm


@pytest.mark.parametrize("kind", ["latency", "drop-out", "shared cause without telemetry", "guilty change"])
def test_the_cause_of_a_fault_is_named_first(kind):
    given = scenario(kind, 201, warm_up=300, lasts=60)
    outcome = diagnosed(given, Incidents(IncidentSettings(topology=declared(given.system))))
    assert outcome.named[0][0] in given.causes


def test_a_scenario_is_the_same_each_time():
    first, again = (scenario("lossy telemetry", 7, warm_up=20, lasts=10) for _ in range(2))
    assert (list(first.readings()), first.causes) == (list(again.readings()), again.causes)
    assert all(scenario(kind, 7, warm_up=20, lasts=10).causes for kind in KINDS)


def test_ten_thousand_alerts_of_one_cause_are_one_incident_said_at_most_three_times_with_the_cause_first():
    found = alerts_alone(10_000)
    opened, *_, last = found.said
    assert (opened.source_count, opened.causes[0].source, opened.owner) == (10_000, "switch", "network")
    assert len({one.incident_id for one in found.said}) == 1
    assert len(found.said) <= 3
    assert last.state is IncidentState.RESOLVED
    assert max(len(one.encode()) for one in found.said) < 50_000
    assert found.snapshot < 700_000


def test_a_storm_through_detector_and_alerts_is_one_incident():
    found = storm(150, calm=90, failing=6, after=10)
    assert len({one.incident_id for one in found.said if one.source_count > 5}) == 1
    whole = max(found.said, key=lambda one: one.source_count)
    assert (whole.source_count >= 150, whole.causes[0].source) == (True, "switch")
