"""Times as people write them, and spans of time: `7d`, `12h`, `90s`."""

from __future__ import annotations

from datetime import UTC, datetime

import typer


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
    from alerts.durations import duration  # noqa: PLC0415 - start-up time

    try:
        return float(duration(text.replace(" ", "").lower()))
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no span of time; write for example 7d, 12h, 1h30m or 90s") from None


def moment(text: str) -> float:
    """Read a time.

    Parameters
    ----------
    text
        ISO 8601, without a zone in UTC, or epoch seconds.

    Raises
    ------
    typer.BadParameter
        If it is none.

    Examples
    --------
    >>> moment("2026-01-02T03:04:05Z"), moment("2026-01-02 04:04:05+01:00"), moment("1767323045")
    (1767323045.0, 1767323045.0, 1767323045.0)

    """
    try:
        return float(text)
    except ValueError:
        pass
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no time: write 2026-01-02T03:04:05Z") from None
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
