"""Alerts, changes and commands become incidents: a pure state machine over event time."""

from __future__ import annotations

from collections.abc import Iterable

from alerts.alert import Alert
from alerts.happening import ChangeEvent, IncidentCommand, RareMoment
from alerts.incident import Incident
from alerts.incident_settings import IncidentSettings

Happening = Alert | ChangeEvent | IncidentCommand | RareMoment


class Incidents:
    """All incidents, from every change of every alert.

    It knows no clock. What is taken waits until the watermark has passed its time: the latest time of anything taken,
    or given to ``advance``, less ``lateness``. It is then followed in the order of times and ids. So partitions may be
    read in any order: as long as nothing comes later than ``lateness``, the same incidents result, bit for bit. What
    comes later still counts, as of the watermark.

    Parameters
    ----------
    settings
        What belongs together, and what is known of causes.

    """

    def __init__(self, settings: IncidentSettings) -> None:
        self._settings = settings

    def take(self, happenings: Iterable[Happening]) -> tuple[Incident, ...]:
        """Take every change of alerts, and what else bears on incidents, and return what changes.

        Returns
        -------
        tuple
            New values of incidents, in the order in which they changed; publish each under its ``incident_id``.

        """
        raise NotImplementedError

    def advance(self, to: float) -> tuple[Incident, ...]:
        """Say that event time has reached ``to``, epoch seconds, whatever was taken, and return what changes.

        Without it, the last alerts would wait for the next. Call it every second or so with a time of which it is
        known that nothing older is still to come but by ``lateness``: that of the newest records, or the clock when
        all there is has been read.
        """
        raise NotImplementedError

    @property
    def active(self) -> tuple[Incident, ...]:
        """Incidents that are not over, as they were last said, by id."""
        raise NotImplementedError

    @property
    def watermark(self) -> float:
        """Event time up to which everything has been followed, epoch seconds."""
        raise NotImplementedError

    def snapshot(self) -> bytes:
        """Return the state: compact, versioned, bounded."""
        raise NotImplementedError

    def restore(self, state: bytes) -> None:
        """Take up what ``snapshot`` gave, with the same settings or others.

        Raises
        ------
        ValueError
            If it is no such state or of another format.

        """
        raise NotImplementedError
