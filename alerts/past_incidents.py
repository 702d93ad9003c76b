"""Incidents that are over, remembered for when another one looks alike."""

from __future__ import annotations

from collections.abc import Set

import msgspec

from alerts.incident import PastIncident

MOST_FEATURES = 64
"""Sources and kinds of an incident that are remembered."""

LEAST_ALIKE = 0.2
MOST_SIMILAR = 3
OF_CAUSE = "cause\x1f"


class _Past(msgspec.Struct, array_like=True):
    incident_id: str
    features: list[str]
    cause: str | None
    started_at: float
    lasted: float
    resolved_by: str | None


def features(alerts: Set[tuple[str, str]], cause: str | None, cause_kinds: Set[str]) -> frozenset[str]:
    """Return what an incident looks like: its pairs of source and kind, and what was unusual of its cause.

    Examples
    --------
    >>> sorted(features({("web", "level")}, "db", {"spike"}))
    ['cause\\x1fdb', 'cause\\x1fdb\\x1fspike', 'web\\x1flevel']

    """
    found = {f"{source}\x1f{kind}" for source, kind in sorted(alerts)[:MOST_FEATURES]}
    if cause is not None:
        found |= {f"{OF_CAUSE}{cause}", *(f"{OF_CAUSE}{cause}\x1f{kind}" for kind in cause_kinds)}
    return frozenset(found)


class PastIncidents:
    """The last incidents, and what resolved them.

    Two are alike by the share of features that they have in common (Jaccard); those of the cause count threefold.

    Parameters
    ----------
    remembered
        How many are kept.

    Examples
    --------
    >>> past = PastIncidents(100)
    >>> leak = features({("db", "trend"), ("web", "level")}, "db", {"trend"})
    >>> past.remember("i1", leak, "db", 0.0, 1800.0, "restarted by ann")
    >>> past.like(leak, "i2")[0].resolved_by
    'restarted by ann'

    """

    __slots__ = ("_past", "_remembered")

    def __init__(self, remembered: int) -> None:
        self._remembered = remembered
        self._past: dict[str, _Past] = {}

    def remember(
        self,
        incident_id: str,
        looks: frozenset[str],
        cause: str | None,
        started_at: float,
        lasted: float,
        resolved_by: str | None,
    ) -> None:
        """Keep an incident that is over; one that came back replaces what was kept of it."""
        self._past.pop(incident_id, None)
        self._past[incident_id] = _Past(incident_id, sorted(looks), cause, started_at, lasted, resolved_by)
        while len(self._past) > self._remembered:
            del self._past[next(iter(self._past))]

    def resolved_by(self, incident_id: str, text: str) -> None:
        """Note afterwards what helped."""
        if incident_id in self._past:
            self._past[incident_id].resolved_by = text

    def like(self, looks: frozenset[str], besides: str) -> tuple[PastIncident, ...]:
        """Return the incidents that looked most like this, most alike first, but for the one itself."""
        alike = [
            (_similarity(looks, frozenset(past.features)), past)
            for past in self._past.values()
            if past.incident_id != besides
        ]
        best = sorted((one for one in alike if one[0] >= LEAST_ALIKE), key=lambda one: (-one[0], -one[1].started_at))
        return tuple(
            PastIncident(
                incident_id=past.incident_id,
                similarity=similarity,
                cause=past.cause,
                started_at=past.started_at,
                lasted=past.lasted,
                resolved_by=past.resolved_by,
            )
            for similarity, past in best[:MOST_SIMILAR]
        )

    def snapshot(self) -> list[object]:
        """Return the state as plain values."""
        return [msgspec.to_builtins(past) for past in self._past.values()]

    def restore(self, state: object) -> None:
        """Take up what ``snapshot`` gave."""
        self._past = {past.incident_id: past for past in msgspec.convert(state, list[_Past])}


def _similarity(one: frozenset[str], other: frozenset[str]) -> float:
    union = sum(3 if feature.startswith(OF_CAUSE) else 1 for feature in one | other)
    common = sum(3 if feature.startswith(OF_CAUSE) else 1 for feature in one & other)
    return common / union if union else 0.0
