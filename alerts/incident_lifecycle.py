"""The life of incidents: how alerts open, change and end them."""

from __future__ import annotations

import heapq

from alerts.alert import Alert, State
from alerts.happening import ChangeEvent, IncidentCommand
from alerts.incident import Happened, Incident, IncidentState
from alerts.incident_commands import carry_out
from alerts.incident_groups import IncidentGroups
from alerts.incident_record import MOST_CHANGES, Member, Record
from alerts.incident_settings import IncidentSettings
from alerts.incident_value import Teller

NEVER = float("inf")

MOST_DOUBLINGS = 5
"""Times that the wait between two values of an incident is doubled while nothing but its alerts changes."""

MOST_KNOWN_CHANGES = 1_000
"""Changes that are remembered for incidents to come."""


class IncidentLifecycle:
    """Follows alerts in the order of event time, and says of incidents what changes.

    Parameters
    ----------
    settings
        From how many alerts on, and how soon, an incident is said.
    groups
        Which alert is part of which incident.
    teller
        Puts it into words.

    """

    def __init__(self, settings: IncidentSettings, groups: IncidentGroups, teller: Teller) -> None:
        self._settings, self._groups, self._teller = settings, groups, teller
        self._timers: list[tuple[float, str]] = []
        self._now = -NEVER
        self._changes: dict[str, ChangeEvent] = {}
        self._said: list[Incident] = []

    @property
    def due(self) -> float:
        """Event time at which the next incident is to be looked at; infinite if none is."""
        return self._timers[0][0] if self._timers else NEVER

    @property
    def records(self) -> list[Record]:
        """All incidents that are kept."""
        return list(self._groups.records.values())

    @property
    def changes(self) -> list[ChangeEvent]:
        """The changes that are remembered."""
        return list(self._changes.values())

    def said(self) -> tuple[Incident, ...]:
        """Return what has been said since the last call."""
        said, self._said = tuple(self._said), []
        return said

    def restore(self, records: list[Record], changes: list[ChangeEvent]) -> None:
        """Take up incidents and changes."""
        self._groups.restore(records)
        self._changes = {change.change_id: change for change in changes}
        self._timers = [(one.timer, one.incident_id) for one in records if one.timer < NEVER]
        heapq.heapify(self._timers)

    def obey(self, command: IncidentCommand, t: float) -> None:
        """Do what an operator says; of an incident that is not known any more, nothing can be done."""
        self._now = t
        record = self._groups.records.get(command.incident_id)
        if record is None:
            return
        if command.verb == "merge":
            record = self._merge_as_said(record, command)
        elif command.verb == "split":
            self._split_as_said(record, command)
        else:
            carry_out(command, record, t)
        if record.state is IncidentState.RESOLVED and record.active:
            self._reopen(record, f"merged by {command.by}")
        elif record.is_said:
            self._say(record)

    def take(self, alert: Alert, t: float) -> None:
        """Take a change of an alert, at an event time."""
        self._now = t
        record = self._groups.of_alert(alert.alert_id)
        if record is None:
            if alert.state in {State.FIRING, State.ACKNOWLEDGED}:
                self._begin(alert)
        elif alert.version > record.members[alert.alert_id].version:
            if alert.state is State.RETRACTED:
                self._groups.retract(record, alert.alert_id)
            else:
                before = record.members[alert.alert_id]
                self._groups.put(record, alert.alert_id, Member.of(alert, before.raised_at, before.keys))
            self._touch(record)

    def _begin(self, alert: Alert) -> None:
        record, same = self._groups.join(alert, self._now)
        record.note(self._now, Happened.ALERT, f"{alert.source}: {record.members[alert.alert_id].what}")
        for other in same:
            self._merge(record, other)
        if record.state is IncidentState.RESOLVED:
            self._reopen(record, f"{alert.source} raised another alert")
        else:
            self._touch(record)
        for surplus in self._groups.surplus():
            self._give_up(surplus)

    def _reopen(self, record: Record, why: str) -> None:
        record.state, record.resolved_at, record.episode_at = IncidentState.OPEN, None, self._now
        record.reopened += 1
        record.note(self._now, Happened.REOPENED, why)
        self._say(record)

    def _give_up(self, record: Record) -> None:
        """Follow an incident no more, since there are too many alerts; it must not stay open for ever."""
        if record.is_said and not record.state.over:
            record.state, record.resolved_at = IncidentState.RESOLVED, self._now
            record.note(self._now, Happened.RESOLVED, "it is followed no more: there are too many alerts")
            self._say(record)
        self._groups.forget(record)

    def take_change(self, change: ChangeEvent, t: float) -> None:
        """Take a change that somebody made."""
        self._now = t
        self._changes[change.change_id] = change
        if len(self._changes) > MOST_KNOWN_CHANGES:
            del self._changes[next(iter(self._changes))]
        for record in self._groups.of_node(change.source):
            if not record.state.over:
                self._touch(record)

    def _touch(self, record: Record) -> None:
        """See to it that what has changed is said: at once if the state has, else soon."""
        if not record.is_said:
            if self._is_enough(record):
                record.say_at = min(record.say_at, max(record.first_at + self._settings.settle, self._now))
            elif not record.members:
                self._groups.forget(record)
                return
        elif not record.members or not (record.active or record.state.over or record.unconnected):
            self._say(record)
            return
        else:
            wait = self._settings.publish_every * 2 ** min(record.repeats, MOST_DOUBLINGS)
            record.say_at = min(record.say_at, max(record.updated_at + wait, self._now))
        self._schedule(record)

    def _is_enough(self, record: Record) -> bool:
        settings = self._settings
        return len(record.members) >= settings.min_alerts and len(record.sources) >= settings.min_sources

    def _schedule(self, record: Record) -> None:
        due = min(record.say_at, self._forget_at(record))
        if due < record.timer:
            record.timer = due
            heapq.heappush(self._timers, (due, record.incident_id))

    def _forget_at(self, record: Record) -> float:
        settings = self._settings
        if record.resolved_at is not None:
            return record.resolved_at + max(settings.reopen_within, settings.window)
        if record.is_said or record.active or record.say_at < NEVER:
            return NEVER
        return record.last_at + settings.window

    def look(self, t: float) -> None:
        """See to what is due first."""
        due, named = heapq.heappop(self._timers)
        self._now = t
        record = self._groups.records.get(named)
        if record is None or record.timer != due:
            return
        record.timer = NEVER
        if record.unconnected:
            for part in self._groups.fall_apart(record):
                self._split_off(record, part, "what held them together was retracted")
        if record.say_at <= due:
            if record.is_said or self._is_enough(record):
                repeats = record.repeats + record.is_said
                self._say(record)
                record.repeats = repeats
                return
            record.say_at = NEVER
        if self._forget_at(record) <= due:
            self._groups.forget(record)
        else:
            self._schedule(record)

    def _say(self, record: Record) -> None:
        """Publish what an incident is now; nothing else does."""
        t, record.say_at, record.repeats = self._now, NEVER, 0
        if not record.is_said:
            record.opened_at = t
            record.note(t, Happened.OPENED, f"{len(record.members)} alerts of {len(record.sources)} sources")
        if not record.members:
            record.state = IncidentState.RETRACTED
            record.note(t, Happened.RETRACTED, "all its alerts were wrong")
        elif not record.active and not record.state.over:
            record.state, record.resolved_at = IncidentState.RESOLVED, t
            record.note(t, Happened.RESOLVED, "all its alerts are over")
        self._gather_changes(record)
        causes = self._teller.causes(record)
        self._teller.note(record, causes, t)
        record.version, record.updated_at = record.version + 1, t
        self._said.append(self._teller.value(record, causes))
        if record.state is IncidentState.RESOLVED:
            self._teller.remember(record, causes)
        if record.state is IncidentState.RETRACTED:
            self._groups.forget(record)
        else:
            self._schedule(record)

    def _gather_changes(self, record: Record) -> None:
        """Let an incident remember the changes that may have to do with it."""
        known = {change.change_id for change in record.changes}
        earliest = record.first_at - self._settings.change_window
        for change in self._changes.values():
            if change.change_id in known or change.timestamp < earliest or len(record.changes) >= MOST_CHANGES:
                continue
            if self._groups.concerns(change.source, record):
                record.changes.append(change)
                said = f"{change.kind} {change.change_id} of {change.source}"
                record.note(change.timestamp, Happened.CHANGE, f"{said}: {change.summary}" if change.summary else said)

    def _merge(self, record: Record, other: Record) -> None:
        """Let one incident go on as part of another."""
        self._groups.merge(record, other)
        if other.is_said and not other.state.over:
            other.state, other.merged_into = IncidentState.MERGED, record.incident_id
            other.note(self._now, Happened.MERGED, f"into {record.incident_id}")
            other.version, other.updated_at = other.version + 1, self._now
            self._said.append(self._teller.value(other, ()))
            record.note(self._now, Happened.MERGED, f"{other.incident_id} is part of it")

    def _split_off(self, record: Record, part: Record, why: str) -> None:
        """Say that some alerts of an incident are one of their own."""
        record.note(self._now, Happened.SPLIT, f"{part.incident_id} is no part of it: {why}")
        part.note(self._now, Happened.SPLIT, f"from {record.incident_id}: {why}")
        if record.is_said:
            self._say(part)
        else:
            self._touch(part)

    def _merge_as_said(self, record: Record, command: IncidentCommand) -> Record:
        into = self._groups.records.get(command.text)
        if into is None or into is record:
            return record
        self._merge(into, record)
        return into

    def _split_as_said(self, record: Record, command: IncidentCommand) -> None:
        going = [one for one, member in record.members.items() if member.source in command.sources]
        if not 0 < len(going) < len(record.members):
            return
        part = self._groups.split(record, going)
        part.apart, record.apart = [record.incident_id], [*record.apart, part.incident_id]
        self._split_off(record, part, f"{command.by} said so")
