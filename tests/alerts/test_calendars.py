"""Windows of the calendar: when they are open, and what they do to alerts."""

from __future__ import annotations

import datetime as dt
import itertools
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from alerts.agenda import agenda
from alerts.alert import Alert
from alerts.calendars import Window, muted_until
from alerts.feedback import Feedback
from alerts.lifecycle import Lifecycle
from alerts.policies import PolicyDocument, PolicyVersion, Ruling, rule
from alerts.policy import Policy
from detectors.score import Score, SignalScore

BERLIN = ZoneInfo("Europe/Berlin")
HOUR, DAY = 3600.0, 86_400.0


def at(text: str, zone: dt.tzinfo = BERLIN) -> float:
    return dt.datetime.fromisoformat(text).replace(tzinfo=zone).timestamp()


def nightly(**said: object) -> Window:
    return Window.model_validate(
        {"name": "n", "start": "2026-01-01T02:30", "duration": "4h", "rrule": "FREQ=DAILY", "timezone": "Europe/Berlin"}
        | said
    )


def test_a_window_that_comes_again_keeps_its_hour_when_clocks_change() -> None:
    for day in ("2026-03-28", "2026-03-30", "2026-10-24", "2026-10-26"):
        assert nightly().end_of(at(f"{day}T02:29")) is None
        assert nightly().end_of(at(f"{day}T02:30")) == at(f"{day}T02:30") + 4 * HOUR


def test_a_window_that_begins_in_the_hour_that_is_left_out_begins_after_it() -> None:
    assert nightly().end_of(at("2026-03-29T01:59")) is None
    assert nightly().end_of(at("2026-03-29T03:31")) == at("2026-03-29T07:30")


def test_holidays_of_a_part_of_a_country_are_whole_days_there() -> None:
    bavaria = Window(name="h", holidays="DE-BY", timezone="Europe/Berlin")
    berlin = Window(name="h", holidays="DE-BE", timezone="Europe/Berlin")
    epiphany = at("2026-01-06T12:00")
    assert bavaria.end_of(epiphany) == at("2026-01-07T00:00")
    assert berlin.end_of(epiphany) is None
    assert next(bavaria.times(at("2026-12-24T12:00"))) == (at("2026-12-25T00:00"), at("2026-12-26T00:00"))


def test_a_window_of_one_time_is_open_once() -> None:
    once = Window(name="o", start="2026-01-01T00:00:00Z", duration=HOUR)
    begins = at("2026-01-01T00:00", dt.UTC)
    assert [once.end_of(begins + s) for s in (-1.0, 0.0, 3599.0, 3600.0)] == [None, begins + HOUR, begins + HOUR, None]
    assert list(once.times(begins - 1.0)) == list(once.times(begins)) == [(begins, begins + HOUR)]
    assert list(once.times(begins + HOUR)) == []


@settings(deadline=None)
@given(st.lists(st.integers(0, 60 * 24 * 400), min_size=1, max_size=20))
def test_the_answer_does_not_depend_on_what_was_asked_before(minutes: list[int]) -> None:
    asked = nightly()
    for minute in minutes:
        t = at("2026-01-01T00:00") + 60.0 * minute
        assert asked.end_of(t) == nightly().end_of(t)


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 60 * 24 * 400), st.sampled_from(("DAILY", "WEEKLY", "HOURLY;INTERVAL=5", "DAILY;COUNT=9")))
def test_a_window_is_open_just_at_the_times_that_are_listed(minute: int, freq: str) -> None:
    window = nightly(rrule=f"FREQ={freq}")
    t = at("2026-01-01T00:00") + 60.0 * minute
    listed = list(itertools.islice(window.times(t), 3))
    assert listed == sorted(set(listed))
    assert all(end > t for _, end in listed)
    opened = [end for start, end in listed if start <= t]
    assert window.end_of(t) == (opened[0] if opened else None)
    assert all(window.end_of(start) == end and window.end_of(end - 1.0) is not None for start, end in listed)


def test_a_rule_may_end_at_a_time_in_utc_as_icalendar_wants_it() -> None:
    window = nightly(rrule="FREQ=DAILY;UNTIL=20260103T013000Z")  # 02:30 in Berlin, the third of January
    assert [start for start, _ in window.times(at("2026-01-01T00:00"))] == [
        at(f"2026-01-0{day}T02:30") for day in (1, 2, 3)
    ]


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"rrule": "FREQ=NEVER"}, "no recurrence rule"),
        ({"rrule": "FREQ=MINUTELY"}, "too often"),
        ({"timezone": "Mars/North"}, "Europe/Berlin"),
        ({"holidays": "DE"}, "one of both"),
        ({"start": None, "rrule": None, "holidays": "XX"}, "DE-BY"),
        ({"start": None, "holidays": "DE"}, "goes with `start`"),
        ({"mute": False}, "does nothing"),
        ({"mute": False, "freeze": True, "kinds": ["spike"]}, "leave out one of both"),
        ({"duration": "40d"}, "less than or equal"),
    ],
)
def test_a_window_that_cannot_be_is_refused_with_what_to_do(said: dict[str, object], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        nightly(**said)


def test_windows_that_follow_each_other_mute_without_a_gap() -> None:
    windows = {
        "a": Window(name="a", start="2026-01-01T00:00", duration="2h"),
        "b": Window(name="b", start="2026-01-01T01:00", duration="2h"),
        "frozen": Window(name="f", start="2026-01-01T03:00", duration="2h", mute=False, freeze=True),
    }
    begins = at("2026-01-01T00:00", dt.UTC)
    assert muted_until(windows, "spike", begins) == begins + 3 * HOUR
    assert muted_until(windows, "spike", begins + 3 * HOUR) is None


STOP = at("2026-05-04T06:00", dt.UTC)


def ruling(**said: object) -> Ruling:
    window = Window.model_validate({"name": "stop", "start": "2026-05-04T06:00", "duration": "2h"} | said)
    document = PolicyDocument(name="pumps", calendar=(window,))
    return rule(Policy(), [PolicyVersion(name="pumps", version=1, author="ann", at=0.0, policy=document)])


def odd(lifecycle: Lifecycle, t: float, p_value: float = 1e-7) -> tuple[Alert, ...]:
    return lifecycle.step(t, Score(p_value, 0.9, (SignalScore("spike", p_value),))).changes


def test_what_begins_in_a_window_is_held_back_by_its_name_and_fires_after_it_if_it_still_goes_on() -> None:
    lifecycle = Lifecycle("telemetry", "pump-7", ruling(), Feedback("telemetry", "pump-7"))
    step = lifecycle.step(STOP, Score(1e-7, 0.9, (SignalScore("spike", 1e-7),)))
    assert (step.changes, step.held, step.newly_held, step.windows) == ((), "calendar", ("calendar",), ("pumps/stop",))
    assert odd(lifecycle, STOP + 60.0) == ()
    (alert,) = odd(lifecycle, STOP + 2 * HOUR)
    assert (alert.state, alert.started_at) == ("firing", STOP)
    assert lifecycle.step(STOP + 2 * HOUR + 1.0, Score(1e-7, 0.9, (SignalScore("spike", 1e-7),))).held is None


def test_what_is_over_before_the_window_ends_is_never_told() -> None:
    lifecycle = Lifecycle("telemetry", "pump-7", ruling())
    odd(lifecycle, STOP)
    calm = [step.changes for t in range(0, 7200, 60) if (step := lifecycle.step(STOP + 1 + t, Score(0.5, 0.3)))]
    assert not any(calm)
    assert lifecycle.step(STOP + 3 * HOUR, Score(0.5, 0.3)).held is None


def test_an_alert_that_fired_before_the_window_goes_on_and_ends_as_ever() -> None:
    lifecycle = Lifecycle("telemetry", "pump-7", ruling())
    (alert,) = odd(lifecycle, STOP - 60.0)
    ends = [change for t in range(0, 7200, 60) for change in lifecycle.step(STOP + t, Score(0.5, 0.3)).changes]
    assert [change.state for change in ends] == ["resolved"]
    assert ends[0].alert_id == alert.alert_id


def test_a_window_may_mute_some_kinds_only() -> None:
    lifecycle = Lifecycle("telemetry", "pump-7", ruling(kinds=["level"]))
    assert [alert.state for alert in odd(lifecycle, STOP)] == ["firing"]
    step = lifecycle.step(STOP + 1.0, Score(1e-7, 0.9, (SignalScore("level", 1e-7),)))
    assert (step.changes, step.held) == ((), "calendar")
    assert lifecycle.excused(STOP - 10.0, 60.0) == 60.0


def test_the_agenda_lists_what_is_open_then_what_comes_and_who_said_so() -> None:
    stop = PolicyDocument(name="pumps", source="pump-*", calendar=(nightly(name="night"), nightly(name="other")))
    fans = PolicyDocument(name="fans", source_re="fan-[12]", calendar=(nightly(name="fans", kinds=("silence",)),))
    versions = [
        PolicyVersion(name=one.name, version=1, author="ann", reason="cleaning", at=0.0, policy=one)
        for one in (stop, fans)
    ]
    found = agenda(versions, at("2026-01-05T03:00"), 2)
    assert [(one.window, one.open) for one in found] == [
        *(("fans/fans", True), ("pumps/night", True), ("pumps/other", True)),
        *(("fans/fans", False), ("pumps/night", False)),
    ]
    assert (found[0].sources, found[0].kinds, found[0].reason) == ("/fan-[12]/", ("silence",), "cleaning")
    assert {one.window for one in agenda(versions, at("2026-01-05T12:00"), 2, "pump-7")} == {
        "pumps/night",
        "pumps/other",
    }


def test_a_silence_counts_from_the_end_of_a_window() -> None:
    lifecycle = Lifecycle("telemetry", "pump-7", ruling())
    assert lifecycle.excused(STOP - 10.0, 60.0) == 10.0 + 2 * HOUR + 60.0
    assert lifecycle.excused(STOP - 100.0, 60.0) == 60.0


def test_what_a_window_holds_back_survives_a_restart() -> None:
    lifecycle, again = (Lifecycle("telemetry", "pump-7", ruling()) for _ in range(2))
    odd(lifecycle, STOP)
    again.restore(lifecycle.snapshot())
    assert odd(again, STOP + 2 * HOUR) == odd(lifecycle, STOP + 2 * HOUR)
