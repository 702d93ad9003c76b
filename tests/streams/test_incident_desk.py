"""Incidents in the notifier: the time they go by, and what is stored of them."""

from __future__ import annotations

import pytest

from alerts.alert import Alert
from alerts.dispatch import StateFormatError
from alerts.happening import ChangeEvent, IncidentCommand
from alerts.incident import Incident
from alerts.incident_settings import IncidentSettings
from streams.delivery import incident_desk
from streams.delivery.incident_desk import IncidentDesk
from tests.alerts.told import alert
from tests.crashes import store

NOW = 1_700_000_000.0
LONG_AGO = 1_000_000.0
SETTINGS = IncidentSettings(settle=10.0, lateness=5.0)


def fired(name: str, at: float = LONG_AGO) -> Alert:
    return alert(name, started_at=at, updated_at=at)


def desk(states: dict[str, bytes] | None = None, now: float = NOW) -> IncidentDesk:
    return IncidentDesk(SETTINGS, states or {}, now)


def test_an_incident_of_recorded_alerts_is_said_as_the_clock_goes_on_and_has_the_time_of_the_alerts() -> None:
    incidents = desk()
    assert incidents.take(fired("a"), NOW) == ()
    assert incidents.advance(NOW + 14.9) == ()
    (said,) = incidents.advance(NOW + 15.0)
    assert said.opened_at == LONG_AGO + 10.0


def test_what_a_person_says_to_recorded_alerts_does_not_make_those_to_come_late() -> None:
    incidents = desk()
    incidents.take(fired("a"), NOW)
    (said,) = incidents.advance(NOW + 15.0)
    command = IncidentCommand(verb="acknowledge", incident_id=said.incident_id, timestamp=NOW + 16.0, by="ann")
    incidents.take(command, NOW + 16.0)
    (acknowledged,) = incidents.advance(NOW + 25.0)
    assert (acknowledged.state, acknowledged.updated_at) == ("acknowledged", LONG_AGO + 16.0)
    incidents.take(fired("a", LONG_AGO + 30.0).model_copy(update={"version": 2}), NOW + 26.0)
    (later,) = incidents.advance(NOW + 40.0)
    assert later.updated_at == LONG_AGO + 30.0


def test_a_change_before_all_alerts_may_be_the_cause_of_the_first() -> None:
    incidents = desk()
    change = ChangeEvent(change_id="d42", kind="deploy", source="a", timestamp=LONG_AGO - 60.0)
    incidents.take(change, NOW)
    incidents.take(fired("a"), NOW)
    (said,) = incidents.advance(NOW + 15.0)
    assert said.causes[0].change_id == "d42"


def test_a_change_that_is_planned_for_next_week_does_not_make_alerts_until_then_late() -> None:
    incidents = desk()
    incidents.take(ChangeEvent(change_id="d42", kind="deploy", source="b", timestamp=NOW + 7 * 86_400.0), NOW)
    incidents.take(fired("a", NOW + 60.0), NOW + 60.0)
    (said,) = incidents.advance(NOW + 75.0)
    assert said.opened_at == NOW + 70.0


@pytest.mark.parametrize("crash_after", range(6))
def test_a_restart_after_any_step_says_the_same(crash_after: int) -> None:
    def told(crash: int | None) -> list[Incident]:
        states: dict[str, bytes] = {}
        incidents, said = desk(), list[Incident]()
        for step in range(6):
            now = NOW + 6.0 * step
            said += incidents.take(fired(f"s{step}", LONG_AGO + 6.0 * step), now)
            said += incidents.advance(now)
            store(states, incidents.changes())
            if step == crash:
                incidents = desk(states, now)
        return [*said, *incidents.advance(NOW + 60.0)]

    assert told(crash_after) == told(None)


def test_a_large_state_is_stored_in_parts_and_those_no_longer_needed_are_deleted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(incident_desk, "PART_BYTES", 512)
    states: dict[str, bytes] = {}
    incidents = desk()
    for number in range(50):
        incidents.take(fired(f"s{number}", LONG_AGO + number / 10), NOW)
    incidents.advance(NOW + 30.0)
    store(states, incidents.changes())
    parts = len(states)
    assert desk(states).active == 50
    for number in range(50):
        incidents.take(alert(f"s{number}", "resolved", 2, updated_at=LONG_AGO + 31.0), NOW + 31.0)
    incidents.advance(NOW + 31.0 + 10 * SETTINGS.reopen_within)
    store(states, incidents.changes())
    assert 1 < len(states) < parts
    assert desk(states).active == 0


def test_nothing_is_stored_while_nothing_happens() -> None:
    incidents = desk()
    incidents.take(fired("a"), NOW)
    assert list(incidents.changes())
    assert list(incidents.changes()) == []
    assert incidents.advance(NOW + 1.0) == ()
    assert list(incidents.changes()) == []


def test_a_state_of_another_format_is_refused_with_what_to_do() -> None:
    with pytest.raises(StateFormatError, match="reset it"):
        desk({"incidents/0000": b"?"})
