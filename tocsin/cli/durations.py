"""Spans of time as people write them: `7d`, `12h`, `90s`."""

from __future__ import annotations

import re

import typer

SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}


def seconds(text: str) -> float:
    """Read a span of time.

    Parameters
    ----------
    text
        A number with a unit (``ms``, ``s``, ``m``, ``h``, ``d``, ``w``), several of them, or bare seconds.

    Raises
    ------
    typer.BadParameter
        If it is none.

    Examples
    --------
    >>> seconds("7d"), seconds("1h30m"), seconds("90")
    (604800.0, 5400.0, 90.0)

    """
    compact = text.replace(" ", "").lower()
    if re.fullmatch(r"\d+(\.\d+)?", compact):
        return float(compact)
    parts = re.findall(r"(\d+(?:\.\d+)?)(ms|s|m|h|d|w)", compact)
    if not parts or "".join(map("".join, parts)) != compact:
        raise typer.BadParameter(f"{text!r} is no span of time; write for example 7d, 12h, 1h30m or 90s")
    return sum(float(number) * SECONDS[unit] for number, unit in parts)
