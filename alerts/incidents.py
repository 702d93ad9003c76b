"""Alerts, changes and commands become incidents: a pure state machine over event time."""

from __future__ import annotations

import heapq
from collections.abc import Iterable

from alerts.alert import Alert, State
from alerts.event_order import About, EventOrder
from alerts.happening import ChangeEvent, Happening, IncidentCommand, RareMoment
from alerts.incident import Incident, IncidentState
from alerts.incident_groups import IncidentGroups
from alerts.incident_record import MOST_CHANGES, Member, Record
from alerts.incident_settings import IncidentSettings
from alerts.incident_state import IncidentsState, packed, unpacked
from alerts.incident_value import Teller
from alerts.learned_topology import LearnedTopology
from alerts.past_incidents import PastIncidents
from alerts.relations import Relations
from alerts.topology import Topology

NEVER = float("inf")

MOST_KNOWN_CHANGES = 1_000
"""Changes that are remembered for incidents to come."""


class Incidents:
    """All incidents, from every change of every alert.

    It knows no clock. What is taken waits until the watermark has passed its time: the latest time of anything taken,
    or given to ``advance``, less ``lateness``. It is then followed in the order of times and ids. So partitions may be
    read in any order: as long as nothing comes later than ``lateness``, the same incidents result, bit for bit. What
    comes later still counts, as of the watermark.

    An incident is said ``settle`` seconds after its first alert, if there are enough; then at once when its state
    changes, and otherwise at most every ``publish_every`` seconds. So a storm of alerts leads to few values, and the
    cost of an alert does not grow with their number.

    Parameters
    ----------
    settings
        What belongs together, and what is known of causes.

    Examples
    --------
    >>> from alerts.alert import Severity
    >>> alert = Alert(
    ...     alert_id="a1", stream="telemetry", source="pump-7", kind="spike", name="flow", state=State.FIRING,
    ...     severity=Severity.WARNING, started_at=0.0, fired_at=0.0, updated_at=0.0, anomaly_score=0.9, p_value=1e-5,
    ...     summary="",
    ... )
    >>> incidents = Incidents(IncidentSettings())
    >>> incidents.take([alert]), [incident.summary for incident in incidents.advance(15.0)]  # doctest: +ELLIPSIS
    ((), ['pump-7: 1 alert since 1970-01-01 00:00:00; likeliest cause: pump-7 (spike of flow: about 1 in 100,000 ...'])

    """

    def __init__(self, settings: IncidentSettings) -> None:
        self._settings = settings
        self._learned = LearnedTopology(settings.topology.longest_lag) if settings.topology.learn else None
        topology = Topology(settings.topology, self._learned)
        self._past = PastIncidents(settings.remembered)
        self._groups = IncidentGroups(settings, Relations(topology, settings.topology.hops, settings.group_by))
        self._teller = Teller(settings, topology, self._past)
        self._order: EventOrder[Happening] = EventOrder(settings.lateness)
        self._timers: list[tuple[float, str]] = []
        self._now = -NEVER
        self._changes: dict[str, ChangeEvent] = {}
        self._said: list[Incident] = []

    def take(self, happenings: Iterable[Happening]) -> tuple[Incident, ...]:
        """Take every change of alerts, and what else bears on incidents, and return what changes.

        Returns
        -------
        tuple
            New values of incidents, in the order in which they changed; publish each under its ``incident_id``.

        """
        for happening in happenings:
            self._order.add(*_place(happening), happening)
        return self._follow()

    def advance(self, to: float) -> tuple[Incident, ...]:
        """Say that event time has reached ``to``, epoch seconds, whatever was taken, and return what changes.

        Without it, the last alerts would wait for the next. Call it every second or so with a time of which it is
        known that nothing older is still to come but by ``lateness``: that of the newest records, or the clock when
        all there is has been read.
        """
        self._order.reach(to)
        return self._follow()

    @property
    def active(self) -> int:
        """How many incidents have been said and are not over."""
        return sum(record.is_said and not record.state.over for record in self._groups.records.values())

    @property
    def watermark(self) -> float:
        """Event time up to which everything has been followed, epoch seconds."""
        return self._order.watermark

    def snapshot(self) -> bytes:
        """Return the state: compact, versioned, bounded."""
        newest, waiting = self._order.snapshot()
        return packed(
            IncidentsState(
                newest=newest,
                waiting=[(time, about, happening) for time, about, happening in waiting],
                now=self._now,
                records=list(self._groups.records.values()),
                changes=list(self._changes.values()),
                past=self._past.snapshot(),
                learned=None if self._learned is None else self._learned.snapshot(),
            )
        )

    def restore(self, state: bytes) -> None:
        """Take up what ``snapshot`` gave, with the same settings or others; only in place of a new one.

        Raises
        ------
        ValueError
            If it is no such state or of another format.

        """
        found = unpacked(state)
        self._order.restore(found.newest, found.waiting)
        self._now = found.now
        self._groups.restore(found.records)
        self._changes = {change.change_id: change for change in found.changes}
        self._past.restore(found.past)
        if self._learned is not None and found.learned is not None:
            self._learned.restore(found.learned)
        self._timers = [(one.timer, one.incident_id) for one in found.records if one.timer < NEVER]
        heapq.heapify(self._timers)

    def _follow(self) -> tuple[Incident, ...]:
        """Follow what has come and what is due, in the order of event time, as far as the watermark."""
        while True:
            due = self._timers[0][0] if self._timers else NEVER
            if min(due, self._order.next_time) > self._order.watermark:
                break
            if self._order.next_time <= due:
                self._now = max(self._now, self._order.next_time)
                self._take(self._order.pop())
            else:
                self._now = max(self._now, due)
                self._look_at(*heapq.heappop(self._timers))
        said, self._said = tuple(self._said), []
        return said

    def _take(self, happening: Happening) -> None:
        if isinstance(happening, Alert):
            self._take_alert(happening)
        elif isinstance(happening, ChangeEvent):
            self._take_change(happening)
        elif isinstance(happening, IncidentCommand):
            self._obey(happening)
        elif self._learned is not None:
            self._learned.saw(happening)

    def _take_alert(self, alert: Alert) -> None:
        record = self._groups.of_alert(alert.alert_id)
        if record is None:
            if alert.state in {State.FIRING, State.ACKNOWLEDGED}:
                self._begin(alert)
        elif alert.version > record.members[alert.alert_id].version:
            if alert.state is State.RETRACTED:
                self._groups.retract(record, alert.alert_id)
            else:
                self._groups.put(record, alert.alert_id, Member.of(alert, record.members[alert.alert_id].keys))
            self._touch(record)

    def _begin(self, alert: Alert) -> None:
        if self._learned is not None:
            self._learned.saw(RareMoment(alert.source, alert.started_at))
        record, same = self._groups.join(alert, self._now)
        record.note(self._now, "alert", f"{alert.source}: {alert.kind}{f' of {alert.name}' if alert.name else ''}")
        for other in same:
            self._merge(record, other)
        if record.state is IncidentState.RESOLVED:
            record.state, record.resolved_at, record.acknowledged = IncidentState.OPEN, None, False
            record.reopened += 1
            record.note(self._now, "reopened", f"{alert.source} raised another alert")
            self._say(record)
        else:
            self._touch(record)
        for surplus in self._groups.surplus():
            self._groups.forget(surplus)

    def _take_change(self, change: ChangeEvent) -> None:
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
            record.say_at = min(record.say_at, max(record.updated_at + self._settings.publish_every, self._now))
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

    def _look_at(self, due: float, named: str) -> None:
        record = self._groups.records.get(named)
        if record is None or record.timer != due:
            return
        record.timer = NEVER
        if record.unconnected:
            for part in self._groups.fall_apart(record):
                self._split_off(record, part, "what held them together was retracted")
        if record.say_at <= due:
            if record.is_said or self._is_enough(record):
                self._say(record)
                return
            record.say_at = NEVER
        if self._forget_at(record) <= due:
            self._groups.forget(record)
        else:
            self._schedule(record)

    def _say(self, record: Record) -> None:
        """Publish what an incident is now; nothing else does."""
        t, record.say_at = self._now, NEVER
        if not record.is_said:
            record.opened_at = t
            record.note(t, "opened", f"{len(record.members)} alerts of {len(record.sources)} sources")
        if not record.members:
            record.state = IncidentState.RETRACTED
            record.note(t, "retracted", "all its alerts were wrong")
        elif not record.active and not record.state.over:
            record.state, record.resolved_at = IncidentState.RESOLVED, t
            record.note(t, "resolved", "all its alerts are over")
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
                record.note(change.timestamp, "change", f"{said}: {change.summary}" if change.summary else said)

    def _merge(self, record: Record, other: Record) -> None:
        """Let one incident go on as part of another."""
        if other.is_said and not other.state.over:
            other.state, other.merged_into = IncidentState.MERGED, record.incident_id
            other.note(self._now, "merged", f"into {record.incident_id}")
            other.version, other.updated_at = other.version + 1, self._now
            self._said.append(self._teller.value(other, ()))
            record.note(self._now, "merged", f"{other.incident_id} is part of it")
        self._groups.merge(record, other)

    def _split_off(self, record: Record, part: Record, why: str) -> None:
        record.note(self._now, "split", f"{part.incident_id} is no part of it: {why}")
        part.note(self._now, "split", f"from {record.incident_id}: {why}")
        self._touch(part) if not record.is_said else self._say(part)

    def _obey(self, command: IncidentCommand) -> None:
        """Do what an operator says; of an incident that is not known any more, nothing can be done."""
        record = self._groups.records.get(command.incident_id)
        if command.verb == "resolved_by":
            self._past.resolved_by(command.incident_id, f"{command.text} ({command.by})")
        if record is None:
            return
        said = f"{command.by}: {command.text}" if command.text else command.by
        if command.verb == "acknowledge" and record.state is IncidentState.OPEN:
            record.state = IncidentState.ACKNOWLEDGED
            record.note(self._now, "acknowledged", said)
        elif command.verb == "assign":
            record.owner = command.text or None
            record.note(self._now, "owner", f"{command.text or 'nobody'} (by {command.by})")
        elif command.verb == "resolved_by":
            record.resolved_by = f"{command.text} ({command.by})"
            record.note(self._now, "note", f"resolved by {record.resolved_by}")
        elif command.verb == "note":
            record.note(self._now, "note", said)
        elif command.verb == "merge" and command.text in self._groups.records and command.text != record.incident_id:
            into = self._groups.records[command.text]
            self._merge(into, record)
            record = into
        elif command.verb == "split":
            going = [one for one, member in record.members.items() if member.source in command.sources]
            if 0 < len(going) < len(record.members):
                part = self._groups.split(record, going)
                part.apart, record.apart = [record.incident_id], [*record.apart, part.incident_id]
                self._split_off(record, part, f"{command.by} said so")
        if record.is_said:
            self._say(record)


def _place(happening: Happening) -> tuple[float, About]:
    """Return the time of something, and what orders it among others of the same time."""
    if isinstance(happening, Alert):
        return happening.updated_at, (1, happening.alert_id, happening.version)
    if isinstance(happening, ChangeEvent):
        return happening.timestamp, (0, happening.change_id, 0)
    if isinstance(happening, IncidentCommand):
        return happening.timestamp, (3, f"{happening.incident_id} {happening.verb} {happening.by} {happening.text}", 0)
    return happening.timestamp, (2, happening.source, 0)
