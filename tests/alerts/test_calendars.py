"""Windows of the calendar: when they are open, and what they do to alerts."""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

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
    assert bavaria.next_start(at("2026-12-24T12:00")) == at("2026-12-25T00:00")


def test_a_window_of_one_time_is_open_once() -> None:
    once = Window(name="o", start="2026-01-01T00:00:00Z", duration=HOUR)
    begins = at("2026-01-01T00:00", dt.UTC)
    assert [once.end_of(begins + s) for s in (-1.0, 0.0, 3599.0, 3600.0)] == [None, begins + HOUR, begins + HOUR, None]
    assert (once.next_start(begins - 1.0), once.next_start(begins)) == (begins, float("inf"))


@settings(deadline=None)
@given(st.lists(st.integers(0, 60 * 24 * 400), min_size=1, max_size=20))
def test_the_answer_does_not_depend_on_what_was_asked_before(minutes: list[int]) -> None:
    asked = nightly()
    for minute in minutes:
        t = at("2026-01-01T00:00") + 60.0 * minute
        assert asked.end_of(t) == nightly().end_of(t)
        assert asked.next_start(t) == nightly().next_start(t) > t


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
    assert muted_until(windows, begins) == begins + 3 * HOUR
    assert muted_until(windows, begins + 3 * HOUR) is None


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


def test_a_silence_counts_from_the_end_of_a_window() -> None:
    lifecycle = Lifecycle("telemetry", "pump-7", ruling())
    assert lifecycle.excused(STOP - 10.0, 60.0) == 10.0 + 2 * HOUR + 60.0
    assert lifecycle.excused(STOP - 100.0, 60.0) == 60.0


def test_what_a_window_holds_back_survives_a_restart() -> None:
    lifecycle, again = (Lifecycle("telemetry", "pump-7", ruling()) for _ in range(2))
    odd(lifecycle, STOP)
    again.restore(lifecycle.snapshot())
    assert odd(again, STOP + 2 * HOUR) == odd(lifecycle, STOP + 2 * HOUR)
