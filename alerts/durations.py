"""Spans of time in settings: seconds, or as Alertmanager writes them."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, WithJsonSchema

SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}


def duration(value: Any) -> Any:
    """Return seconds; what is no text stays as it is.

    Raises
    ------
    ValueError
        If a text is no span of time.

    Examples
    --------
    >>> duration("1h30m"), duration("45s"), duration(5)
    (5400.0, 45.0, 5)

    """
    if not isinstance(value, str) or re.fullmatch(r"\d+(\.\d+)?", value):
        return value
    parts = re.findall(r"(\d+(?:\.\d+)?)(ms|s|m|h|d|w)", value)
    if not parts or "".join(map("".join, parts)) != value:
        raise ValueError(f"{value!r} is no span of time: write 30s, 5m, 1h30m, 7d or a number of seconds")
    return sum(float(number) * SECONDS[unit] for number, unit in parts)


Duration = Annotated[
    float,
    BeforeValidator(duration),
    Field(ge=0, allow_inf_nan=False),
    WithJsonSchema({"anyOf": [{"type": "number", "minimum": 0}, {"type": "string"}]}),
]
"""Seconds as a number, or text such as ``30s``, ``5m``, ``4h``."""
