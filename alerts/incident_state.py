"""The stored form of all incidents."""

from __future__ import annotations

import zlib
from typing import Any

import msgspec
from pydantic import BaseModel

from alerts.alert import Alert
from alerts.event_order import About
from alerts.happening import ChangeEvent, Happening, IncidentCommand, RareMoment
from alerts.incident_record import Record

FORMAT = 1

_TYPES: dict[str, type[BaseModel]] = {
    "alert": Alert,
    "change": ChangeEvent,
    "command": IncidentCommand,
}


class IncidentsState(msgspec.Struct, array_like=True):
    """All that is known of incidents."""

    newest: float
    waiting: list[tuple[float, About, Any]]
    now: float
    records: list[Record]
    changes: list[ChangeEvent]
    past: Any
    learned: Any


def packed(state: IncidentsState) -> bytes:
    """Return a state as bytes, compressed."""
    waiting = [(time, about, _named(happening)) for time, about, happening in state.waiting]
    stored = msgspec.structs.replace(state, waiting=waiting)
    return zlib.compress(msgspec.msgpack.encode((FORMAT, stored), enc_hook=_plain), 1)


def unpacked(state: bytes) -> IncidentsState:
    """Return the state that ``packed`` gave as bytes.

    Raises
    ------
    ValueError
        If it is no such state, or of another format.

    Examples
    --------
    >>> unpacked(zlib.compress(msgspec.msgpack.encode((99, None))))
    Traceback (most recent call last):
    ValueError: the state of incidents has format 99, this program reads 1: run the version that wrote it, or reset it

    """
    try:
        found, stored = msgspec.msgpack.decode(zlib.decompress(state), type=tuple[int, msgspec.Raw])
        if found != FORMAT:
            raise ValueError(
                f"the state of incidents has format {found}, this program reads {FORMAT}: run the version that wrote"
                " it, or reset it"
            )
        known = msgspec.msgpack.decode(stored, type=IncidentsState, dec_hook=_made)
    except (zlib.error, msgspec.DecodeError) as error:
        raise ValueError(f"this is no state of incidents ({error}): reset it") from error
    known.waiting = [(time, about, _happening(named)) for time, about, named in known.waiting]
    return known


def _named(happening: Happening) -> tuple[str, Any]:
    if isinstance(happening, RareMoment):
        return "moment", msgspec.to_builtins(happening)
    return next(name for name, kind in _TYPES.items() if isinstance(happening, kind)), happening.model_dump()


def _happening(named: tuple[str, Any]) -> Happening:
    name, value = named
    if name == "moment":
        return msgspec.convert(value, RareMoment)
    found: Happening = _TYPES[name].model_validate(value)  # type: ignore[assignment]
    return found


def _plain(value: Any) -> Any:
    """Return the fields of what msgspec does not know; not as JSON, which rounds times to milliseconds."""
    return value.model_dump()


def _made(kind: type[BaseModel], value: Any) -> BaseModel:
    return kind.model_validate(value)
