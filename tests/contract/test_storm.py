"""A storm over the real service, in short; the long form is `python -m benchmarks.storm --service`."""

from __future__ import annotations

import pytest

from alerts.incident import IncidentState
from benchmarks.storm_live import live_storm
from tocsin.broker import EmbeddedKafka


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_three_hundred_sources_that_fail_at_once_are_one_incident_told_at_most_three_times_with_the_cause_first(
    kafka: EmbeddedKafka,
) -> None:
    found = live_storm(kafka, 300)
    *_, last = found.largest
    assert len({one.incident_id for one in found.incidents if one.source_count > 5}) == 1
    assert last.source_count >= 300
    assert last.causes[0].source == "switch"
    assert len(found.told) <= 3
    assert found.told[0]["alerts"][0]["incident"]["causes"][0]["source"] == "switch"
    # Quiet with the batch that ends its last alert, not some time after.
    assert last.state is IncidentState.RESOLVED
    assert last.resolved_at == max(one.resolved_at or 0.0 for one in found.alerts)
