"""Windows of time, once or again and again, in which sources raise no alerts, and perhaps nothing is learned."""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Annotated, NamedTuple, Protocol
from zoneinfo import ZoneInfo

from dateutil.rrule import rrulestr
from pydantic import BaseModel, ConfigDict, Field, model_validator

from alerts.durations import Duration

DAY = 86_400.0
LONGEST = 31 * DAY
FINE = ("SECONDLY", "MINUTELY")
"""Frequencies that are refused: a window of a minute mutes nothing, and years of them are slow to count through."""

Word = Annotated[str, Field(min_length=1, max_length=256, pattern=r"^[^\x00-\x1f\x7f]+$")]


class Window(BaseModel):
    """A planned stop, a weekly maintenance, the holidays of a country.

    Examples
    --------
    >>> sundays = Window(
    ...     name="maintenance", start="2026-01-04T02:00", duration="4h", rrule="FREQ=WEEKLY;BYDAY=SU",
    ...     timezone="Europe/Berlin",
    ... )
    >>> open_at = dt.datetime(2026, 7, 5, 0, 30, tzinfo=dt.UTC).timestamp()  # 02:30 in Berlin
    >>> sundays.end_of(open_at) - open_at, sundays.end_of(open_at - 3600.0)
    (12600.0, None)
    >>> new_year = Window(name="holidays", holidays="DE-BY", timezone="Europe/Berlin")
    >>> new_year.end_of(dt.datetime(2026, 1, 1, 12, tzinfo=dt.UTC).timestamp()) is not None
    True

    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Word = Field(description="What it is called; whatever it mutes says so")
    start: dt.datetime | None = Field(
        None, description="When it begins, or the first of several begins; without an offset, in `timezone`"
    )
    duration: Duration = Field(DAY, gt=0, le=LONGEST, description="How long each lasts; default: a day")
    rrule: str | None = Field(
        None, max_length=1000, description="When it comes again: a recurrence rule of iCalendar (RFC 5545)"
    )
    holidays: str | None = Field(
        None,
        description="In place of `start`: the public holidays of a country, or of a part of one, as `DE` or `DE-BY`",
    )
    timezone: str = Field("UTC", description="By whose clocks, as `Europe/Berlin`")
    mute: bool = Field(True, description="Whether no alert begins in it")
    kinds: tuple[Word, ...] = Field((), description="Which kinds of alerts it mutes, as `silence`; default: all")
    freeze: bool = Field(False, description="Whether nothing is learned in it")

    @model_validator(mode="after")
    def _can_be_found(self) -> Window:
        try:
            ZoneInfo(self.timezone)
        except (KeyError, ValueError, OSError):
            raise ValueError(f"timezone: {self.timezone!r} is not known: write one such as Europe/Berlin") from None
        if (self.start is None) == (self.holidays is None):
            raise ValueError("say `start` or `holidays`, one of both")
        if self.rrule is not None and self.holidays is not None:
            raise ValueError("rrule: goes with `start`; holidays have days of their own")
        if not (self.mute or self.freeze):
            raise ValueError("it does nothing: say `mute: true`, `freeze: true` or both")
        if self.kinds and not self.mute:
            raise ValueError("kinds: says what is muted, and `mute: false` that nothing is; leave out one of both")
        _ = self._starts
        return self

    def end_of(self, t: float) -> float | None:
        """Return when the window ends that is open at a time, epoch seconds; ``None`` if none is."""
        return self._known_at(t).end

    def mutes(self, kind: str) -> bool:
        """Say whether alerts of a kind do not begin in it."""
        return self.mute and (not self.kinds or kind in self.kinds)

    def times(self, t: float) -> Iterator[tuple[float, float]]:
        """Yield beginnings and ends, epoch seconds: of what is open at a time, then of all that comes."""
        begins = self._starts.before(t)
        if t >= begins + self.duration:
            begins = self._starts.after(t)
        while math.isfinite(begins):
            yield begins, begins + self.duration
            begins = self._starts.after(begins)

    def _known_at(self, t: float) -> _Stretch:
        stretch: _Stretch = self.__dict__.get("_stretch", _NO_STRETCH)
        if not stretch.since <= t < stretch.until:
            stretch = self.__dict__["_stretch"] = self._find(t)
        return stretch

    def _find(self, t: float) -> _Stretch:
        begun = self._starts.before(t)
        coming = self._starts.after(t)
        if t < begun + self.duration:
            return _Stretch(begun, min(begun + self.duration, coming), begun + self.duration)
        return _Stretch(begun + self.duration, coming, None)

    @cached_property
    def _starts(self) -> _Starts:
        zone, start = ZoneInfo(self.timezone), self.start
        if start is None:
            return _Holidays(self.holidays or "", zone)
        local = start.astimezone(zone).replace(tzinfo=None) if start.tzinfo is not None else start
        return _Recurring(local, self.rrule, zone)


class _Stretch(NamedTuple):
    """A time for which one answer holds: ``end`` of the window that is open in it, ``None`` if none is."""

    since: float
    until: float
    end: float | None


_NO_STRETCH = _Stretch(math.inf, -math.inf, None)


class _Starts(Protocol):
    def before(self, t: float) -> float:
        """Return the last start at or before a time, minus infinity if there is none."""

    def after(self, t: float) -> float:
        """Return the first start after a time, infinite if there is none."""


_COMPACT = "%Y%m%dT%H%M%S"
_UNTIL = re.compile(r"UNTIL=(\d{8}T\d{6})Z", re.IGNORECASE)


class _Recurring:
    """Starts by a rule. It counts local time, so a window keeps its hour when clocks change."""

    def __init__(self, first: dt.datetime, rule: str | None, zone: ZoneInfo) -> None:
        self._zone = zone
        try:
            self._rule = rrulestr(_UNTIL.sub(self._until, rule or "FREQ=DAILY;COUNT=1"), dtstart=first, cache=True)
        except (ValueError, TypeError) as error:
            raise ValueError(f"rrule: {rule!r} is no recurrence rule: {error}") from error
        if rule is not None and any(f"FREQ={freq}" in rule.upper() for freq in FINE):
            raise ValueError(f"rrule: {rule!r} comes too often: hourly is the most")

    def before(self, t: float) -> float:
        found = self._rule.before(self._local(t), inc=True)
        while found is not None and self._epoch(found) > t:  # clocks were put forward over it
            found = self._rule.before(found)
        return -math.inf if found is None else self._epoch(found)

    def after(self, t: float) -> float:
        found = self._rule.after(self._local(t))
        while found is not None and self._epoch(found) <= t:  # clocks were put back over it
            found = self._rule.after(found)
        return math.inf if found is None else self._epoch(found)

    def _until(self, said: re.Match[str]) -> str:
        """Return an end in local time, as all is counted here; iCalendar has it in UTC."""
        end = dt.datetime.strptime(said[1], _COMPACT).replace(tzinfo=dt.UTC).astimezone(self._zone)
        return f"UNTIL={end.strftime(_COMPACT)}"

    def _local(self, t: float) -> dt.datetime:
        return dt.datetime.fromtimestamp(t, self._zone).replace(tzinfo=None)

    def _epoch(self, local: dt.datetime) -> float:
        return local.replace(tzinfo=self._zone).timestamp()


class _Holidays:
    """Starts of a country's public holidays, at midnight."""

    def __init__(self, country: str, zone: ZoneInfo) -> None:
        import holidays  # noqa: PLC0415 - few calendars need it, and it is large

        name, _, part = country.partition("-")
        try:
            self._days = holidays.country_holidays(name, subdiv=part or None)
        except NotImplementedError:
            raise ValueError(f"holidays: {country!r} is not known: write a country as DE, or a part as DE-BY") from None
        self._zone = zone

    def before(self, t: float) -> float:
        return self._nearest(t, -1)

    def after(self, t: float) -> float:
        return self._nearest(t, 1)

    def _nearest(self, t: float, step: int) -> float:
        day = dt.datetime.fromtimestamp(t, self._zone).date()
        for _ in range(800):
            midnight = dt.datetime(day.year, day.month, day.day, tzinfo=self._zone).timestamp()
            if day in self._days and (midnight <= t if step < 0 else midnight > t):
                return midnight
            day += dt.timedelta(days=step)
        return step * math.inf


def muted_until(windows: Mapping[str, Window], kind: str, t: float) -> float | None:
    """Return when muting of a kind ends that is on at a time, window after window; ``None`` if it is not on.

    Examples
    --------
    >>> morning = Window(name="m", start="2026-01-01T06:00", duration="6h")
    >>> noon = Window(name="n", start="2026-01-01T12:00", duration="1h")
    >>> at = dt.datetime(2026, 1, 1, 7, tzinfo=dt.UTC).timestamp()
    >>> (muted_until({"m": morning, "n": noon}, "spike", at) - at) / 3600
    6.0

    """
    until = t
    for _ in range(1 + len(windows)):
        ends = [end for window in windows.values() if window.mutes(kind) and (end := window.end_of(until)) is not None]
        latest = max(ends, default=until)
        if latest <= until:
            break
        until = latest
    return until if until > t else None
