"""What is said of an incident: its record, diagnosed and put into words."""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING

from alerts.advice import advice
from alerts.diagnosis import Diagnosis
from alerts.incident import Cause, Happened, Incident, IncidentAlert, IncidentState, TimelineEntry
from alerts.incident_record import Member, Record
from alerts.incident_settings import IncidentSettings
from alerts.past_incidents import PastIncidents, features
from alerts.summary import clock
from alerts.topology import Topology

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class Teller:
    """Makes values of incidents.

    Parameters
    ----------
    settings
        What is known of causes.
    topology
        What depends on what.
    past
        Incidents that are over.

    """

    def __init__(self, settings: IncidentSettings, topology: Topology, past: PastIncidents) -> None:
        self._settings, self._topology, self._past = settings, topology, past
        self._diagnosis = Diagnosis(topology, settings.topology.cause_hops, settings.diagnosis)

    def causes(self, record: Record) -> tuple[Cause, ...]:
        """Return what may have caused an incident."""
        return self._diagnosis.causes(record.observed(self._settings.diagnosis.longest_lag), record.changes)

    def note(self, record: Record, causes: Sequence[Cause], t: float) -> None:
        """Note what is thought the cause if that has changed, and who takes care if nobody does yet."""
        first = causes[0].source if causes else None
        if first is not None and first != record.cause:
            record.note(t, Happened.CAUSE, f"likeliest cause: {first}")
        record.cause = first
        if record.owner is None:
            record.owner = self._owner(record, causes)
            if record.owner is not None:
                record.note(t, Happened.OWNER, record.owner)

    def value(self, record: Record, causes: tuple[Cause, ...]) -> Incident:
        """Return an incident as it is said."""
        kinds: dict[str, set[str]] = {}
        for member in record.members.values():
            kinds.setdefault(member.source, set()).add(member.kind)
        entries = sorted((*record.beginning, *record.ending), key=lambda entry: entry.at)
        return Incident(
            incident_id=record.incident_id,
            version=record.version,
            state=record.state,
            severity=record.severity,
            owner=record.owner,
            started_at=min((member.started_at for member in record.members.values()), default=record.first_at),
            opened_at=record.opened_at,
            updated_at=record.updated_at,
            resolved_at=record.resolved_at,
            merged_into=record.merged_into,
            split_from=record.split_from,
            reopened=record.reopened,
            alert_count=len(record.members),
            active_count=record.active,
            source_count=len(record.sources),
            alerts=self._listed(record, causes),
            causes=causes,
            advice=advice(
                self._settings.runbooks, causes, kinds, {change.change_id: change.kind for change in record.changes}
            ),
            similar=self._past.like(_looks(record, causes), record.incident_id),
            timeline=tuple(TimelineEntry(at=one.at, what=one.what, detail=one.detail) for one in entries),
            summary=summarise(record, causes),
        )

    def remember(self, record: Record, causes: tuple[Cause, ...]) -> None:
        """Keep an incident that is resolved, and what seems to have resolved it."""
        ended = record.resolved_at or record.updated_at
        first = causes[0].source if causes else None
        helped = record.resolved_by
        if helped is None:
            undone = [one for one in record.changes if one.source == first and one.timestamp > record.opened_at]
            helped = f"{undone[-1].kind} {undone[-1].change_id}: {undone[-1].summary}" if undone else None
        started = min((member.started_at for member in record.members.values()), default=record.first_at)
        looks = _looks(record, causes)
        self._past.remember(record.incident_id, looks, first, started, max(ended - started, 0.0), helped)

    def _owner(self, record: Record, causes: Sequence[Cause]) -> str | None:
        """Return who takes care of the likeliest cause, or else of the first source of which somebody does."""
        for source in (*(cause.source for cause in causes), *record.sources):
            owner = self._topology.node(source).owner
            if owner is not None:
                return owner
        return None

    def _listed(self, record: Record, causes: Sequence[Cause]) -> tuple[IncidentAlert, ...]:
        rank = {cause.source: place for place, cause in enumerate(causes)}

        def place(of: tuple[str, Member]) -> tuple[int, float, str]:
            return rank.get(of[1].source, len(rank)), of[1].started_at, of[0]

        return tuple(
            IncidentAlert(
                alert_id=alert_id,
                source=member.source,
                kind=member.kind,
                name=member.name,
                state=member.state,
                severity=member.severity,
                started_at=member.started_at,
                p_value=member.p_value,
            )
            for alert_id, member in heapq.nsmallest(self._settings.listed_alerts, record.members.items(), key=place)
        )


def _looks(record: Record, causes: Sequence[Cause]) -> frozenset[str]:
    first = causes[0].source if causes else None
    alerts = {(member.source, member.kind) for member in record.members.values()}
    return features(alerts, first, {kind for source, kind in alerts if source == first})


def summarise(record: Record, causes: Sequence[Cause]) -> str:
    """Return what is wrong and why in one sentence."""
    sources, alerts = len(record.sources), len(record.members)
    if record.state is IncidentState.MERGED:
        return f"It goes on as part of incident {record.merged_into}."
    if not alerts:
        return "All its alerts were retracted: nothing was wrong."
    started = min(member.started_at for member in record.members.values())
    who = next(iter(record.sources)) if sources == 1 else f"{sources:,} sources"
    count = "1 alert" if alerts == 1 else f"{alerts:,} alerts"
    until = f" until {clock(record.resolved_at)}" if record.resolved_at is not None else ""
    return f"{who}: {count} since {clock(started)}{until}; {_because(causes, record)}."


def _because(causes: Sequence[Cause], record: Record) -> str:
    if not causes:
        return "no cause is known"
    cause = causes[0]
    said: Mapping[str, str] = {one.kind: one.detail for one in cause.evidence}
    detail = said["contribution"]
    if len(record.sources) > 1 and "position" in said:
        detail = f"{detail}; {said['position']}"
    change = f", after {said['change']}" if "change" in said else ""
    return f"likeliest cause: {cause.source} ({detail}){change}"
