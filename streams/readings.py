"""An event of telemetry as the processor takes it, decoded in one step where nothing is unusual about it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
from pydantic import TypeAdapter, ValidationError

from streams.codec import Rejected, decode
from streams.schemas import EventLimits, TelemetryEvent

LATEST_SECONDS, LATEST_MILLISECONDS = 20_000_000_000, 253_402_300_799_999
"""Whole numbers up to the first are epoch seconds, then up to the second (the year 9999) milliseconds."""

LONGEST_NAME = 256
MOST_KNOWN = 10_000
_LENGTHS = (20, 24, 27)
"""Of times such as 2026-01-02T03:04:05Z: in seconds, milliseconds and microseconds."""


class Reading(msgspec.Struct, frozen=True, gc=False):
    """An event that can be taken.

    Parameters
    ----------
    source, event_id
        What it is of, and its own name.
    time
        Event time, epoch seconds.
    values
        The values that are there.
    sent
        How many values it has, with those that are missing.
    attributes
        Declared attributes, and unknown fields. Not to be changed: events with the same ones share them.

    """

    source: str
    time: float
    values: dict[str, float]
    sent: int
    event_id: str | None
    attributes: dict[str, Any]


class _Usual(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """An event with nothing unusual about it: no unknown field, no missing value."""

    source: str
    timestamp: str | int
    values: dict[str, float]
    event_id: str | None = None
    attributes: msgspec.Raw = msgspec.Raw(b"")


class ReadingDecoder:
    """Decodes events of telemetry, with the same result as ``codec.decode`` of ``TelemetryEvent``.

    The schema decides what an event is. But pydantic takes several times as long as msgspec, so what msgspec takes and
    is certain to mean the same is not shown to pydantic. Names and attributes that have been seen are known to be
    right.

    Parameters
    ----------
    limits
        What an event may be.

    Examples
    --------
    >>> decoder = ReadingDecoder(EventLimits())
    >>> decoder.decode(b'{"source": "pump-7", "timestamp": "2026-01-02T03:04:05Z", "values": {"flow": 7}}')
    Reading(source='pump-7', time=1767323045.0, values={'flow': 7.0}, sent=1, event_id=None, attributes={})
    >>> decoder.decode(b'{"source": "", "timestamp": 1767323045, "values": {"flow": 7}}').detail
    "source: String should have at least 1 character, not ''"

    """

    def __init__(self, limits: EventLimits) -> None:
        self._limits = limits
        self._names: set[str] = set()
        self._attributes: dict[bytes, dict[str, Any]] = {}

    def decode(self, value: bytes | None) -> Reading | Rejected:
        """Return the event that the bytes hold, or why they hold none."""
        if value and len(value) <= self._limits.max_bytes:
            try:
                usual = _decode(value)
            except (msgspec.MsgspecError, ValueError, RecursionError):
                pass
            else:
                if (reading := self._taken(usual)) is not None:
                    return reading
        event = decode(TelemetryEvent, value, self._limits)
        if isinstance(event, Rejected):
            return event
        values, name = event.readings, event.event_id
        return Reading(event.source, event.time, values, len(event.values), name, event.all_attributes)

    def _taken(self, usual: _Usual) -> Reading | None:
        """Return the event, ``None`` if the schema has to decide."""
        values = usual.values
        time = _epoch(usual.timestamp)
        if time is None or not values:
            return None
        names = self._names
        if not (usual.source in names and names.issuperset(values)) and not self._know(usual.source, *values):
            return None
        if usual.event_id is not None and not _is_name(usual.event_id):
            return None
        raw = bytes(usual.attributes)
        attributes = self._attributes_of(raw) if raw else _NONE
        if attributes is None:
            return None
        return Reading(usual.source, time, values, len(values), usual.event_id, attributes)

    def _know(self, *names: str) -> bool:
        if not all(map(_is_name, names)):
            return False
        if len(self._names) >= MOST_KNOWN:
            self._names.clear()
        self._names.update(names)
        return True

    def _attributes_of(self, raw: bytes) -> dict[str, Any] | None:
        found = self._attributes.get(raw)
        if found is None:
            try:
                found = _ATTRIBUTES.validate_json(raw)
            except ValidationError:
                return None
            if len(self._attributes) >= MOST_KNOWN:
                self._attributes.clear()
            self._attributes[raw] = found
        return found


_decode = msgspec.json.Decoder(_Usual).decode
_ATTRIBUTES: TypeAdapter[dict[str, Any]] = TypeAdapter(dict[str, Any])
_NONE: dict[str, Any] = {}


def _is_name(name: str) -> bool:
    """Say whether this is certainly a name: what is printable is no control character."""
    return 0 < len(name) <= LONGEST_NAME and name.isprintable()


def _epoch(timestamp: str | int) -> float | None:
    """Return epoch seconds where all that read such a time agree; ``None`` elsewhere."""
    if isinstance(timestamp, int):
        if LATEST_SECONDS < timestamp <= LATEST_MILLISECONDS:
            return timestamp / 1000
        return float(timestamp) if 0 <= timestamp <= LATEST_SECONDS else None
    if len(timestamp) not in _LENGTHS or timestamp[-1] != "Z" or not timestamp.isascii():
        return None
    if (timestamp[7], timestamp[10], timestamp[16]) != ("-", "T", ":") or timestamp[19] not in "Z.":
        return None
    try:
        return datetime.fromisoformat(timestamp).timestamp()
    except ValueError:
        return None
