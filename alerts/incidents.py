"""Alerts, changes and commands become incidents: a pure state machine over event time."""

from __future__ import annotations

from collections.abc import Iterable

from alerts.alert import Alert
from alerts.event_order import About, EventOrder
from alerts.happening import ChangeEvent, Happening, IncidentCommand, RareMoment
from alerts.incident import Incident
from alerts.incident_groups import IncidentGroups
from alerts.incident_lifecycle import NEVER, IncidentLifecycle
from alerts.incident_settings import IncidentSettings
from alerts.incident_state import IncidentsState, packed, unpacked
from alerts.incident_value import Teller
from alerts.learned_topology import LearnedTopology
from alerts.past_incidents import PastIncidents
from alerts.relations import Relations
from alerts.topology import Topology


class Incidents:
    """All incidents, from every change of every alert.

    It knows no clock. What is taken waits until the watermark has passed its time: the latest time of anything taken,
    or given to ``advance``, less ``lateness``. It is then followed in the order of times and ids. So partitions may be
    read in any order: as long as nothing comes later than ``lateness``, the same incidents result, bit for bit. What
    comes later still counts, as of the watermark.

    An incident is said ``settle`` seconds after its first alert, if there are enough; then at once when its state
    changes, and otherwise after ``publish_every`` seconds, while alerts go on coming each time after twice as long, up
    to 32 times. So a storm of alerts leads to few values, and the cost of an alert does not grow with their number.

    Parameters
    ----------
    settings
        What belongs together, and what is known of causes.

    Examples
    --------
    >>> from alerts.alert import Severity, State
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
        groups = IncidentGroups(settings, Relations(topology, settings.topology.hops, settings.group_by))
        self._life = IncidentLifecycle(settings, groups, Teller(settings, topology, self._past))
        self._order: EventOrder[Happening] = EventOrder(settings.lateness)
        self._now = -NEVER

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
        return sum(record.is_said and not record.state.over for record in self._life.records)

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
                records=self._life.records,
                changes=self._life.changes,
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
        self._life.restore(found.records, found.changes)
        self._past.restore(found.past)
        if self._learned is not None and found.learned is not None:
            self._learned.restore(found.learned)

    def _follow(self) -> tuple[Incident, ...]:
        """Follow what has come and what is due, in the order of event time, as far as the watermark."""
        while True:
            due, coming = self._life.due, self._order.next_time
            if min(due, coming) > self._order.watermark:
                return self._life.said()
            self._now = max(self._now, min(due, coming))
            if coming <= due:
                self._take(self._order.pop())
            else:
                self._life.look(self._now)

    def _take(self, happening: Happening) -> None:
        if isinstance(happening, Alert):
            if self._learned is not None and happening.version == 1:
                self._learned.saw(RareMoment(happening.source, happening.started_at))
            self._life.take(happening, self._now)
        elif isinstance(happening, ChangeEvent):
            self._life.take_change(happening, self._now)
        elif isinstance(happening, IncidentCommand):
            if happening.verb == "resolved_by":
                self._past.resolved_by(happening.incident_id, f"{happening.text}, by {happening.by}")
            self._life.obey(happening, self._now)
        elif self._learned is not None:
            self._learned.saw(happening)


def _place(happening: Happening) -> tuple[float, About]:
    """Return the time of something, and what orders it among others of the same time."""
    if isinstance(happening, Alert):
        return happening.updated_at, (1, happening.alert_id, happening.version)
    if isinstance(happening, ChangeEvent):
        return happening.timestamp, (0, happening.change_id, 0)
    if isinstance(happening, IncidentCommand):
        return happening.timestamp, (3, f"{happening.incident_id} {happening.verb} {happening.by} {happening.text}", 0)
    return happening.timestamp, (2, happening.source, 0)
