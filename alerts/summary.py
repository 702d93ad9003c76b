"""The sentence that a person reads first."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from alerts.alert import Alert, AlertForeseen, AlertValue

# What a kind says of the value that drove it: …'s temperature <phrase>.
PHRASES = {
    "spike": "jumped to {value}, {side} the expected {expected}",
    "level": "has moved to {value}, {side} the expected {expected}",
    "trend": "has been moving, now at {value}, {side} the expected {expected}",
    "variance": "scatters as it does not usually, now at {value} (expected {expected})",
    "rare": "is {value}, such as there has hardly been (expected {expected})",
    "season": "is {value}, unusual for this time; {expected} is expected",
    "pattern": "moves as it never has, now at {value} (expected {expected})",
    "flatline": "has been stuck at {value}",
    "range": "is {value}, outside of its valid range",
    "joint": "is {value} where the other values make {expected} likely",
}

LATE = "Retracted: with events that came late, nothing is unusual."
EXPIRED = "Expired: the source has sent nothing for so long that it is forgotten."


def summarise(alert: Alert) -> str:
    """Return what happened in one sentence, for a person who knows the source but not the detector.

    Examples
    --------
    >>> number(93.1234), number(1e300), number(0.00012345), number(1234567.0)
    ('93.12', '1e+300', '0.0001234', '1,234,567')

    """
    if alert.kind == "silence":
        again = {"resolved": "It sent again at", "retracted": "Its events were only late; they came by"}
        if alert.expired:
            return f"{alert.summary} {EXPIRED}"
        if alert.feedback:
            return f"{alert.summary} {_because(alert)}"
        return f"{alert.summary} {again[alert.state]} {clock(alert.updated_at)}."
    if alert.foreseen is not None:
        return _foretold(alert, alert.foreseen)
    name = alert.name or next(iter(alert.values), None)
    value = alert.values.get(name) if name else None
    said = f"{alert.source}: " + (_of_value(alert.kind, name, value) if name and value else f"{alert.kind} anomaly")
    since = f" since {clock(alert.started_at)}"
    until = f" until {clock(alert.updated_at)}" if alert.state.over else ""
    how = f"({alert.kind}; {odds(alert.p_value)} normal events look like this)"
    if alert.kind == "range":
        how = f"({_valid(value)})" if value else "(range)"
    late = f" {LATE}" if alert.state == "retracted" and not alert.feedback else ""
    more = f"{' ' if alert.feedback else ''}{_because(alert)}{late}{f' {EXPIRED}' if alert.expired else ''}"
    return f"{said}{since}{until} {how}.{more}"


def _foretold(alert: Alert, foreseen: AlertForeseen) -> str:
    """Return the sentence of an early warning."""
    unit, name = foreseen.unit, alert.name
    if foreseen.event == "failure":
        what = f"{alert.source}: likely to fail"
    else:
        side = "above" if alert.direction > 0 else "below"
        what = f"{alert.source}: {name} is likely to get {side} {number(foreseen.limit or 0.0)}"
    when = "" if foreseen.median is None else f", in about {_span(foreseen.median, unit)}"
    if when and foreseen.soonest is not None:
        until = "more" if foreseen.latest is None else _span(foreseen.latest, unit)
        when += f" ({_span(foreseen.soonest, unit)} to {until})"
    sure = f"{foreseen.probability:.0%} within {_span(foreseen.within, unit)}"
    moves = "" if foreseen.per_hour is None else f"; it moves by {foreseen.per_hour:+.3g} an hour"
    because = f"; {'; '.join(foreseen.reasons)}" if foreseen.reasons else ""
    last = alert.history[-1] if alert.history else None
    over = f" {alert.state.value.capitalize()}: {last.note}." if alert.state.over and last and last.note else ""
    late = f" {EXPIRED}" if alert.expired else ""
    said = f" {_because(alert)}" if alert.feedback else ""
    return f"{what}{when} ({sure}{moves}{because}).{over}{said}{late}"


def _span(time: float, unit: str) -> str:
    return duration(time) if unit == "s" else f"{number(time)} {unit}{'' if unit.endswith('s') or time == 1 else 's'}"


def silence_sentence(source: str, last: float, allowed: float) -> str:
    """Return the sentence for a source that has stopped sending.

    Examples
    --------
    >>> silence_sentence("pump-7", 1767225600.0, 90.0)
    'pump-7: no event since 2026-01-01 00:00:00; it is usually quiet for at most 1 min 30 s.'

    """
    return f"{source}: no event since {clock(last)}; it is usually quiet for at most {duration(allowed)}."


def duration(seconds: float) -> str:
    """Return a length of time in words.

    Examples
    --------
    >>> duration(0.25), duration(90), duration(7200), duration(200_000)
    ('0.25 s', '1 min 30 s', '2 h', '2 d 7 h')

    """
    if seconds < 60:
        return f"{seconds:.3g} s"
    whole = round(seconds)
    parts = []
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)):
        count, whole = divmod(whole, size)
        if count:
            parts.append(f"{count:,} {unit}")
    return " ".join(parts[:2])


def clock(time: float) -> str:
    """Return epoch seconds as a person reads them, in UTC."""
    return datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%d %H:%M:%S")


def number(value: float) -> str:
    """Return a number with four significant digits, as a person would write it."""
    size = abs(value)
    if size >= 1e15 or 0 < size < 1e-5:
        return f"{value:.4g}"
    if size >= 1000:
        return f"{value:,.0f}"
    return f"{value:.4g}"


def odds(p_value: float) -> str:
    """Return how rare a p-value is, in words; beyond a million nobody knows.

    Examples
    --------
    >>> odds(0.00037), odds(1e-9)
    ('about 1 in 2,700', 'fewer than 1 in a million')

    """
    if p_value < 1e-6:
        return "fewer than 1 in a million"
    return f"about 1 in {float(f'{1 / p_value:.2g}'):,.0f}"


def _valid(value: AlertValue) -> str:
    if value.lower is None or value.upper is None:
        return (
            f"valid: at most {number(value.upper)}"
            if value.upper is not None
            else f"valid: at least {number(value.lower or 0.0)}"
        )
    return f"valid: {number(value.lower)} to {number(value.upper)}"


def _because(alert: Alert) -> str:
    return " ".join(f"{one.sentence[:1].upper()}{one.sentence[1:]}." for one in alert.feedback)


def _of_value(kind: str, name: str, value: AlertValue) -> str:
    phrase = PHRASES.get(kind, "is {value} where {expected} is expected")
    if value.expected is None:
        return f"{name} is {number(value.value)}"
    expected = number(value.expected)
    if value.lower is not None and value.upper is not None:
        expected += f" ({number(value.lower)} to {number(value.upper)})"
    side = "above" if value.value >= value.expected else "below"
    return f"{name} " + phrase.format(value=number(value.value), expected=expected, side=side)
