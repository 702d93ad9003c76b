"""`tocsin calendar` as its users type it, against Apache Kafka itself."""

from __future__ import annotations

import json

STOPS = """\
policies:
  - name: stops
    source: "pump-*"
    calendar:
      - {name: night, start: 2026-01-01T22:00, duration: 8h, rrule: FREQ=DAILY, timezone: Europe/Berlin, freeze: true}
"""


def test_the_windows_that_are_open_and_those_that_come_are_shown_with_who_said_so(tocsin):
    (tocsin.folder / "stops.yaml").write_text(STOPS)
    tocsin("policy", "apply", "stops.yaml", "--author", "ann", "--reason", "cleaning")
    asked = ("calendar", "show", "--at", "2099-06-01T23:30:00+02:00", "--next", "1", "--json")
    open_now, coming = json.loads(tocsin(*asked).stdout)
    assert (open_now["window"], open_now["open"], open_now["freeze"]) == ("stops/night", True, True)
    assert (open_now["starts_at"], open_now["ends_at"]) == ("2099-06-01T20:00:00.000Z", "2099-06-02T04:00:00.000Z")
    assert (coming["open"], coming["starts_at"]) == (False, "2099-06-02T20:00:00.000Z")
    assert (coming["author"], coming["reason"]) == ("ann", "cleaning")
    assert json.loads(tocsin(*asked, "--source", "fan-1").stdout) == []
    assert "stops/night" in tocsin("calendar", "show").stdout


def test_a_planned_change_opens_a_window_until_it_is_cancelled(tocsin):
    done = tocsin("calendar", "plan", "pump-*", "--lasts", "30m", "--id", "d42", "--summary", "filters", "--by", "ann")
    assert done.stdout == "change d42 is announced; `tocsin calendar cancel d42` ends it\n", done.stderr
    (shown,) = json.loads(tocsin("calendar", "show", "--json").stdout)
    assert (shown["window"], shown["sources"], shown["open"]) == ("change d42/maintenance", "pump-*", True)
    assert (shown["author"], shown["reason"]) == ("ann", "filters")
    assert tocsin("calendar", "cancel", "d42").stdout == "change d42 is cancelled\n"
    assert json.loads(tocsin("calendar", "show", "--json").stdout) == []


def test_what_cannot_be_announced_is_said_and_not_sent(tocsin):
    assert tocsin("calendar", "plan", "pump-*", "--lasts", "60d").returncode == 2
    useless = tocsin("calendar", "plan", "pump-*", "--lasts", "1h", "--no-mute")
    assert (useless.returncode, "add --freeze" in useless.stderr) == (2, True)
    unknown = tocsin("calendar", "cancel", "d1")
    assert (unknown.returncode, unknown.stderr) == (
        1,
        "tocsin: there is no planned change 'd1' (there are: none)\n",
    )
    assert tocsin.records("changes") == []
