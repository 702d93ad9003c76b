"""From bytes to an event, or to the reason why not."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Any, TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError

from streams.processor import Record
from streams.schemas import EventLimits


class Reason(StrEnum):
    """Why an event cannot be taken; the label values of ``tocsin_dead_letters_total``."""

    EMPTY = "empty"
    NOT_UTF8 = "not_utf8"
    NOT_JSON = "not_json"
    NOT_AN_OBJECT = "not_an_object"
    MISSING_FIELD = "missing_field"
    WRONG_TYPE = "wrong_type"
    NOT_FINITE = "not_finite"
    OUT_OF_RANGE = "out_of_range"
    TOO_LARGE = "too_large"
    TOO_OLD = "too_old"
    TOO_FAR_AHEAD = "too_far_ahead"
    KEY_MISMATCH = "key_mismatch"
    DETECTOR_ERROR = "detector_error"
    UNDELIVERED = "undelivered"


@dataclass(frozen=True, slots=True)
class Rejected:
    """An event that cannot be taken.

    Parameters
    ----------
    reason
        One of a small closed set.
    detail
        A sentence that names the field and the fix.

    """

    reason: Reason
    detail: str


E = TypeVar("E", bound=BaseModel)

_adapter = cache(TypeAdapter[Any])

_REASONS = {
    "missing": Reason.MISSING_FIELD,
    "finite_number": Reason.NOT_FINITE,
    "string_too_short": Reason.OUT_OF_RANGE,
    "string_too_long": Reason.OUT_OF_RANGE,
    "string_pattern_mismatch": Reason.OUT_OF_RANGE,
    "too_short": Reason.OUT_OF_RANGE,
    "too_long": Reason.OUT_OF_RANGE,
    "greater_than": Reason.OUT_OF_RANGE,
    "greater_than_equal": Reason.OUT_OF_RANGE,
    "less_than": Reason.OUT_OF_RANGE,
    "less_than_equal": Reason.OUT_OF_RANGE,
    "date_from_datetime_inexact": Reason.OUT_OF_RANGE,
    "value_error": Reason.OUT_OF_RANGE,
    "literal_error": Reason.OUT_OF_RANGE,
}


def decode(model: type[E], value: bytes | None, limits: EventLimits) -> E | Rejected:
    """Return the event that the bytes hold, or why they hold none.

    Parameters
    ----------
    model
        One of the input models.
    value
        A record's value.
    limits
        What an event may be.

    Examples
    --------
    >>> from streams.schemas import LabelEvent
    >>> decode(LabelEvent, b'{"id": "t1", "timestamp": 1, "label": "yes"}', EventLimits())
    Rejected(reason=<Reason.WRONG_TYPE: 'wrong_type'>, detail="label: Input should be a valid boolean, not 'yes'")

    """
    if not value:
        return Rejected(Reason.EMPTY, "the record has no value: send the event as JSON")
    if len(value) > limits.max_bytes:
        detail = f"{len(value):,} bytes are more than max_bytes ({limits.max_bytes:,}): send less, or raise the limit"
        return Rejected(Reason.TOO_LARGE, detail)
    try:
        event: E = _adapter(model).validate_json(value)
    except ValidationError as error:
        return explain(error, value)
    return event


def misplaced(record: Record, name: str, field: str) -> Rejected | None:
    """Say whether a record's key is another than the event's ``field``.

    State lives with the partition that the key decides, so a source under a wrong key would be learned in two
    places. A record without a key is taken: its producer chose the partition.
    """
    if record.key is None or record.key == name.encode():
        return None
    key = record.key[:64].decode(errors="replace")
    return Rejected(Reason.KEY_MISMATCH, f"key {key!r} is not {field} {name[:64]!r}: produce with the {field} as key")


def mistimed(time: float, newest: float, record: Record, limits: EventLimits) -> Rejected | None:
    """Say whether an event is too old beside its source's newest, or too far ahead of when it was produced."""
    if newest - time > limits.max_late:
        detail = (
            f"timestamp is {newest - time:,.0f} s older than the newest of this source, more than max_late"
            f" ({limits.max_late:,.0f} s): send in order, or raise the limit"
        )
        return Rejected(Reason.TOO_OLD, detail)
    if record.timestamp >= 0 and time - record.timestamp > limits.max_ahead:
        detail = (
            f"timestamp is {time - record.timestamp:,.0f} s ahead of when it was produced, more than max_ahead"
            f" ({limits.max_ahead:,.0f} s): set the producer's clock, or check the unit (seconds or milliseconds)"
        )
        return Rejected(Reason.TOO_FAR_AHEAD, detail)
    return None


def explain(error: ValidationError, value: bytes) -> Rejected:
    """Return why bytes are not what they should hold: the first thing that is wrong, and what to do."""
    first = error.errors(include_url=False, include_context=False)[0]
    kind, place = first["type"], ".".join(str(part) for part in first["loc"])
    if kind == "json_invalid":
        return _not_json(first["msg"], value)
    message = first["msg"].removeprefix("Value error, ")
    if not place and kind == "value_error":
        return Rejected(Reason.OUT_OF_RANGE, message)
    if not place:
        return Rejected(Reason.NOT_AN_OBJECT, f"the value is not a JSON object but {_shown(first['input'])}")
    if kind == "missing":
        return Rejected(Reason.MISSING_FIELD, f"{place}: the field is missing: add it")
    reason = _REASONS.get(kind, Reason.WRONG_TYPE)
    message = "must not hold control characters" if kind == "string_pattern_mismatch" else message
    return Rejected(reason, f"{place}: {message}, not {_shown(first['input'])}")


def _not_json(message: str, value: bytes) -> Rejected:
    try:
        value.decode()
    except UnicodeDecodeError as error:
        return Rejected(Reason.NOT_UTF8, f"byte {error.start} is not UTF-8: encode the event as UTF-8 JSON")
    return Rejected(Reason.NOT_JSON, f"{message}: send one JSON object per record")


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
