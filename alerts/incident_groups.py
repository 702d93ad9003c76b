"""Which alert is part of which incident: how they join, merge and split."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from alerts.alert import Alert
from alerts.incident import incident_id
from alerts.incident_record import Member, Record
from alerts.incident_settings import IncidentSettings
from alerts.relations import Relations, components

MOST_ALERTS = 50_000
"""Alerts that are kept, of all incidents; beyond that, the oldest incidents that are over go, then the oldest."""


class IncidentGroups:
    """All incidents that are kept, and the alerts that they are made of.

    Parameters
    ----------
    settings
        What belongs together.
    relations
        What alerts may have in common.

    """

    def __init__(self, settings: IncidentSettings, relations: Relations) -> None:
        self._settings, self._relations = settings, relations
        self.records: dict[str, Record] = {}
        self._home: dict[str, str] = {}

    def of_alert(self, alert_id: str) -> Record | None:
        """Return the incident that an alert is part of."""
        home = self._home.get(alert_id)
        return None if home is None else self.records[home]

    def of_node(self, node: str) -> list[Record]:
        """Return the incidents that a node of the graph may have to do with."""
        return [self.records[found] for found in self._relations.of_node(node)]

    def concerns(self, node: str, record: Record) -> bool:
        """Say whether a node of the graph may have to do with an incident."""
        return record.incident_id in self._relations.of_node(node)

    def join(self, alert: Alert, t: float) -> tuple[Record, list[Record]]:
        """Let a new alert be part of the incident that it is related to, or begin another; one that is over if need be.

        Returns
        -------
        tuple
            The incident, and those that turn out to be the same one, which are to be merged into it.

        """
        keys = self._relations.keys(alert)
        related = self._related(keys, t)
        lasting = sorted(
            (one for one in related if not one.state.over),
            key=lambda one: (not one.is_said, one.first_at, one.incident_id),
        )
        if lasting:
            record = lasting[0]
        elif related:
            record = max(related, key=lambda one: (one.resolved_at or 0.0, one.incident_id))
        else:
            named = incident_id(alert.alert_id)
            record = self.records[named] = Record(named, alert.alert_id, t, t, updated_at=t)
        self.put(record, alert.alert_id, Member.of(alert, t, keys))
        if t - record.last_at > self._settings.publish_every:
            record.repeats = 0  # after a pause, what is new is said soon
        record.last_at = max(record.last_at, t)
        return record, [other for other in lasting[1:] if other.incident_id not in record.apart]

    def put(self, record: Record, alert_id: str, member: Member) -> None:
        """Let an alert be part of an incident."""
        if alert_id not in record.members:
            self._home[alert_id] = record.incident_id
            self._relations.add(record.incident_id, member.keys)
        record.put(alert_id, member)

    def retract(self, record: Record, alert_id: str) -> None:
        """Let an alert that was wrong go; what it held together may fall apart."""
        self._relations.remove(record.incident_id, record.remove(alert_id).keys)
        del self._home[alert_id]
        record.unconnected, record.repeats = len(record.members) > 1, 0

    def merge(self, record: Record, other: Record) -> None:
        """Let the alerts of another incident be part of one."""
        self._relations.remove(other.incident_id, other.keys())
        for alert_id, member in other.members.items():
            self.put(record, alert_id, member)
        record.first_at, record.last_at = min(record.first_at, other.first_at), max(record.last_at, other.last_at)
        record.unconnected = record.unconnected or other.unconnected
        known = {change.change_id for change in record.changes}
        record.changes += [change for change in other.changes if change.change_id not in known]
        other.members, other.sources, other.active = {}, {}, 0
        del self.records[other.incident_id]

    def fall_apart(self, record: Record) -> list[Record]:
        """Return the incidents that split off since what held them together was retracted."""
        record.unconnected = False
        parts = components({alert_id: member.keys for alert_id, member in record.members.items()})
        kept = next((part for part in parts if record.began_with in part), parts[0])
        return [self.split(record, part) for part in parts if part is not kept]

    def split(self, record: Record, alert_ids: Sequence[str]) -> Record:
        """Let some alerts of an incident be one of their own."""
        first = alert_ids[0]
        named = incident_id(first, record.incident_id)
        part = Record(named, first, record.first_at, record.last_at, updated_at=record.updated_at)
        part.split_from = record.incident_id if record.is_said else None
        part.changes = list(record.changes)
        self.records[named] = part
        for alert_id in alert_ids:
            member = record.remove(alert_id)
            self._relations.remove(record.incident_id, member.keys)
            self.put(part, alert_id, member)
        return part

    def forget(self, record: Record) -> None:
        """Forget an incident and its alerts."""
        self._relations.remove(record.incident_id, record.keys())
        for alert_id in record.members:
            del self._home[alert_id]
        del self.records[record.incident_id]

    def surplus(self) -> list[Record]:
        """Return the incidents that are to be forgotten since there are too many alerts."""
        surplus = len(self._home) - MOST_ALERTS
        if surplus <= 0:
            return []
        oldest = sorted(self.records.values(), key=lambda one: (not one.state.over, one.last_at, one.incident_id))
        going: list[Record] = []
        for record in oldest[:-1]:
            going.append(record)
            surplus -= len(record.members)
            if surplus <= 0:
                break
        return going

    def restore(self, records: Iterable[Record]) -> None:
        """Take up the incidents that were kept."""
        for record in records:
            self.records[record.incident_id] = record
            for alert_id in record.members:
                self._home[alert_id] = record.incident_id
            self._relations.add(record.incident_id, record.keys())

    def _related(self, keys: tuple[str, ...], t: float) -> list[Record]:
        settings, own = self._settings, set(self._relations.own(keys))
        found = []
        for named in self._relations.others(keys):
            record = self.records[named]
            if t - record.last_at <= settings.window or (named in own and self._lasts(record, t)):
                found.append(record)
        return found

    def _lasts(self, record: Record, t: float) -> bool:
        ended = record.resolved_at
        return record.active > 0 or (ended is not None and t - ended <= self._settings.reopen_within)
