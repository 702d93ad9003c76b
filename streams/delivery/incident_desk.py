"""Makes incidents of the alerts that the notifier reads, in the same transactions."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from alerts.alert import Alert
from alerts.dispatch import StateFormatError
from alerts.happening import ChangeEvent, IncidentCommand
from alerts.incident import Incident
from alerts.incident_settings import IncidentSettings
from alerts.incidents import Incidents

PREFIX = "incidents/"
PART_BYTES = 1024 * 1024
"""Most of a state in one record: Kafka takes no record of any size."""


class IncidentDesk:
    """Keeps the incidents of all alerts, and tells their time.

    Incidents are followed in event time, which recorded alerts have left long behind the clock. So time goes on from
    the newest alert at the pace of the clock: what is due with no further alert comes due all the same.

    Parameters
    ----------
    settings
        What belongs together, and what is known of causes.
    states
        What was stored, by key.
    now
        Epoch seconds.

    Raises
    ------
    alerts.dispatch.StateFormatError
        If what was stored is of another format.

    """

    def __init__(self, settings: IncidentSettings, states: Mapping[str, bytes], now: float) -> None:
        self._incidents = Incidents(settings)
        self._newest, self._heard = -math.inf, now
        self._changed = False
        parts = sorted(key for key in states if key.startswith(PREFIX))
        self._stored = len(parts)
        if parts:
            try:
                self._incidents.restore(b"".join(states[key] for key in parts))
            except ValueError as error:
                raise StateFormatError(str(error)) from error
            self._newest = self._incidents.watermark + settings.lateness

    @property
    def active(self) -> int:
        """Incidents that have been said and are not over."""
        return self._incidents.active

    def take(self, happening: Alert | ChangeEvent | IncidentCommand, now: float) -> tuple[Incident, ...]:
        """Take in what has been read, and return the incidents that it changes.

        What people say has the time of the clock, and counts no later than what the alerts have come to; what is
        planned counts from when it is said. So none of it makes the alerts to come late.
        """
        if isinstance(happening, Alert):
            if happening.updated_at > self._time(now):
                self._newest, self._heard = happening.updated_at, now
        else:
            latest = self._time(now) if self._newest > -math.inf else now
            happening = happening.model_copy(update={"timestamp": min(happening.timestamp, latest)})
        self._changed = True
        return self._incidents.take([happening])

    def advance(self, now: float) -> tuple[Incident, ...]:
        """Say that all has been read that there is, and return the incidents that change as time passes."""
        said = self._incidents.advance(self._time(now)) if self._newest > -math.inf else ()
        self._changed = self._changed or bool(said)
        return said

    def changes(self) -> Iterator[tuple[str, bytes | None]]:
        """Yield the state in parts if it has changed since the last call; ``None`` for a part that is gone."""
        if not self._changed:
            return
        self._changed = False
        state = self._incidents.snapshot()
        parts = [state[start : start + PART_BYTES] for start in range(0, len(state), PART_BYTES)]
        for number, part in enumerate(parts):
            yield _key(number), part
        for number in range(len(parts), self._stored):
            yield _key(number), None
        self._stored = len(parts)

    def _time(self, now: float) -> float:
        return self._newest + max(now - self._heard, 0.0)


def _key(number: int) -> str:
    return f"{PREFIX}{number:04d}"
