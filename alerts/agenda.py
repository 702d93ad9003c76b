"""What the calendar holds: the windows that are open at a time, and those that come next."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterable, Iterator

from pydantic import BaseModel, ConfigDict, Field

from alerts.alert import Time
from alerts.calendars import Window
from alerts.policies import PolicyDocument, PolicyVersion


class Occurrence(BaseModel):
    """One time at which a window is open, and who said so."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    window: str = Field(description="Document and window, as alerts and scores name it")
    sources: str = Field(description="Which sources: a glob or, between slashes, a regular expression")
    starts_at: Time
    ends_at: Time
    open: bool = Field(description="Whether it is open at the time that was asked for")
    mute: bool
    kinds: tuple[str, ...] = Field((), description="Kinds of alerts that are muted; none named: all")
    freeze: bool
    author: str
    reason: str | None = None


def agenda(versions: Iterable[PolicyVersion], at: float, coming: int, source: str | None = None) -> list[Occurrence]:
    """Return the windows that are open at a time, and so many of those that come next, by when they begin.

    Parameters
    ----------
    versions
        What is in force.
    at
        The time, epoch seconds.
    coming
        How many that are not open yet.
    source
        Only those for this source; ``None`` is for any.

    Examples
    --------
    >>> night = Window(name="night", start="2026-01-01T22:00", duration="8h", rrule="FREQ=DAILY")
    >>> document = PolicyDocument(name="pumps", source="pump-*", calendar=(night,))
    >>> version = PolicyVersion(name="pumps", version=1, author="ann", at=0, policy=document)
    >>> at = night.start.timestamp() + 86400.0
    >>> [(one.window, one.open, (one.starts_at - at) / 3600) for one in agenda([version], at, 1, "pump-7")]
    [('pumps/night', True, 0.0), ('pumps/night', False, 24.0)]
    >>> agenda([version], at, 1, "fan-1")
    []

    """
    about = [
        (version, version.policy, window)
        for version in versions
        if version.policy is not None and (source is None or version.policy.matches(source))
        for window in version.policy.calendar
    ]
    times = heapq.merge(*(_occurrences(*one, at) for one in about), key=lambda one: (one.starts_at, one.window))
    found = list(itertools.islice(times, coming + len(about)))  # each of them is open once at most
    opened = [one for one in found if one.open]
    return [*opened, *[one for one in found if not one.open][:coming]]


def _occurrences(version: PolicyVersion, document: PolicyDocument, window: Window, at: float) -> Iterator[Occurrence]:
    sources = f"/{document.source_re}/" if document.source_re is not None else document.source or "*"
    for start, end in window.times(at):
        yield Occurrence(
            window=f"{document.name}/{window.name}",
            sources=sources,
            starts_at=start,
            ends_at=end,
            open=start <= at,
            mute=window.mute,
            kinds=window.kinds,
            freeze=window.freeze,
            author=version.author,
            reason=version.reason,
        )
