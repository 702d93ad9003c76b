"""What is kept of an incident while it lasts."""

from __future__ import annotations

import math
from collections.abc import Iterator

import msgspec

from alerts.alert import Alert, Severity, State
from alerts.diagnosis import Observed
from alerts.happening import ChangeEvent
from alerts.incident import Happened, IncidentState

LONGEST_TIMELINE = 60
"""Entries of a timeline; of a longer one, the first and the last half."""

MOST_CHANGES = 50
"""Changes that an incident remembers."""


WINDOWED = frozenset({"joint", "variance", "pattern"})
"""Kinds that compare windows: from when on something was wrong they say too vaguely for a lag to be told."""


SLIGHT = 1 / 3
"""Share of the weight of the heaviest burst of alerts that a later one must have to be what goes on now."""

LEAST_P = 1e-8


class Member(msgspec.Struct, array_like=True):
    """One alert of an incident."""

    source: str
    kind: str
    name: str | None
    state: State
    severity: Severity
    version: int
    started_at: float
    p_value: float
    raised_at: float
    keys: tuple[str, ...] = ()

    @classmethod
    def of(cls, alert: Alert, raised_at: float, keys: tuple[str, ...]) -> Member:
        """Return what is kept of an alert: when it was raised, and what it may have in common with others."""
        return cls(
            alert.source,
            alert.kind,
            alert.name,
            alert.state,
            alert.severity,
            alert.version,
            alert.started_at,
            alert.p_value,
            raised_at,
            keys,
        )

    @property
    def began(self) -> float:
        """When it began, as well as can be told."""
        return self.raised_at if self.kind in WINDOWED else self.started_at

    @property
    def what(self) -> str:
        """What is unusual, in words."""
        return f"{self.kind} of {self.name}" if self.name else self.kind


class Entry(msgspec.Struct, array_like=True, frozen=True):
    """One thing that happened."""

    at: float
    what: Happened
    detail: str


class Record(msgspec.Struct, array_like=True):
    """One incident, whether or not it has been said yet.

    Parameters
    ----------
    incident_id, began_with
        Its id, and the id of the alert that it began with.
    first_at, last_at, episode_at
        Event time of its first alert, of the last one that began, and of the one with which it was opened last.
    members, active
        Its alerts by id, and how many of them are not over.
    version
        Of the last value said; 0 before the first.
    sources
        How many alerts each of its sources has raised.
    say_at, timer
        Event time at which it is due to be said, and to be looked at; infinite if it is not.
    repeats
        How often it has been said again since its state changed last.
    apart
        Incidents with which it is not to be merged, since somebody has split them.
    unconnected
        Whether an alert was retracted since it was last seen to hang together.

    """

    incident_id: str
    began_with: str
    first_at: float
    last_at: float
    episode_at: float = float("-inf")
    state: IncidentState = IncidentState.OPEN
    members: dict[str, Member] = {}
    active: int = 0
    version: int = 0
    opened_at: float = 0.0
    updated_at: float = 0.0
    resolved_at: float | None = None
    severity: Severity = Severity.INFO
    owner: str | None = None
    cause: str | None = None
    merged_into: str | None = None
    split_from: str | None = None
    reopened: int = 0
    beginning: list[Entry] = []
    ending: list[Entry] = []
    resolved_by: str | None = None
    say_at: float = float("inf")
    timer: float = float("inf")
    unconnected: bool = False
    repeats: int = 0
    apart: list[str] = []
    changes: list[ChangeEvent] = []
    sources: dict[str, int] = {}

    @property
    def is_said(self) -> bool:
        """Whether it has been published."""
        return self.version > 0

    def keys(self) -> Iterator[str]:
        """Yield all that its alerts may have in common with others."""
        for member in self.members.values():
            yield from member.keys

    def note(self, at: float, what: Happened, detail: str) -> None:
        """Put something into the timeline."""
        entries = self.beginning if len(self.beginning) < LONGEST_TIMELINE // 2 else self.ending
        entries.append(Entry(at, what, detail))
        if len(self.ending) > LONGEST_TIMELINE // 2:
            del self.ending[0]

    def put(self, alert_id: str, member: Member) -> None:
        """Take an alert in, or what has become of it."""
        before = self.members.get(alert_id)
        self.active += (not member.state.over) - (before is not None and not before.state.over)
        self.members[alert_id] = member
        if before is None:
            self.sources[member.source] = self.sources.get(member.source, 0) + 1
        if member.severity is not self.severity and member.severity.rank > self.severity.rank:
            self.severity = member.severity

    def remove(self, alert_id: str) -> Member:
        """Let an alert go."""
        member = self.members.pop(alert_id)
        self.active -= not member.state.over
        self.sources[member.source] -= 1
        if not self.sources[member.source]:
            del self.sources[member.source]
        return member

    def observed(self, gap: float) -> dict[str, Observed]:
        """Return what is known of each source, as far as it is about what goes on now.

        Of an incident that has been opened again, only what is new counts; of one in which alerts began in several
        bursts, more than ``gap`` seconds apart, the last one, unless it is much slighter than another.
        """
        strongest: dict[str, Member] = {}
        began: dict[str, float] = {}
        for member in _last_burst(self._present(), gap):
            source = member.source
            best = strongest.get(source)
            if best is None or member.p_value < best.p_value:
                strongest[source] = member
            began[source] = min(began.get(source, member.began), member.began)
        return {name: Observed(began[name], one.p_value, one.what) for name, one in strongest.items()}

    def _present(self) -> list[Member]:
        return [one for one in self.members.values() if not one.state.over or one.raised_at >= self.episode_at]


def _last_burst(members: list[Member], gap: float) -> list[Member]:
    """Return the last alerts with no gap between their beginnings, of those that weigh enough."""
    bursts: list[list[Member]] = []
    last = float("-inf")
    for member in sorted(members, key=lambda one: one.began):
        if not bursts or member.began - last > gap:
            bursts.append([])
        bursts[-1].append(member)
        last = member.began
    heaviest = max((_weight(burst) for burst in bursts), default=0.0)
    return next((burst for burst in reversed(bursts) if _weight(burst) >= SLIGHT * heaviest), [])


def _weight(members: list[Member]) -> float:
    return sum(-math.log10(max(one.p_value, LEAST_P)) for one in members)
