"""What an alert claims, checked against the series that it is about: what a person would check on the plot."""

from __future__ import annotations

import numpy as np

from alerts.alert import Alert, State
from alerts.summary import clock, number
from tests.tocsin.claims_of_kinds import OF_KIND, Claim, Numbers, Seen

ABOUT_THE_SOURCE = frozenset({"silence", "arrival"})
"""Kinds that are about when events come, not about a value."""


def violations(alert: Alert, times: Numbers, values: Numbers) -> list[str]:
    """Return every claim of an alert that does not hold in the series of its source."""
    kind = alert.kind
    if kind not in OF_KIND:
        return [f"kind {kind!r} has no claims: add it to the table"]
    claims: list[Claim] = [*ALWAYS]
    if kind in ABOUT_THE_SOURCE:
        last = np.searchsorted(times, alert.updated_at + 1e-3)
        seen = Seen(alert, times[:last], values[:last])
    else:
        if alert.name is None or alert.name not in alert.values:
            return [f"names the value {alert.name!r}, of which it tells nothing"]
        row = _row_told(alert, times, values)
        if row is None:
            return [f"no event up to {clock(alert.updated_at)} has the value {alert.values[alert.name].value}"]
        seen = Seen(alert, times[: row + 1], values[: row + 1])
        claims += OF_A_VALUE
    return [wrong for claim in (*claims, *OF_KIND[kind]) if (wrong := claim(seen))]


def _row_told(alert: Alert, times: Numbers, values: Numbers) -> int | None:
    """Return the row that the alert's values are of: the last up to its change, since it began."""
    value = alert.values[alert.name or ""].value
    began = alert.history[0].at
    there = (times <= alert.updated_at + 1e-3) & (times >= began - 1e-3) & np.isclose(values, value, rtol=1e-12, atol=0)
    rows = np.flatnonzero(there)
    return int(rows[-1]) if len(rows) else None


# --- what holds for every alert


def it_starts_before_it_fires(seen: Seen) -> str | None:
    alert = seen.alert
    if alert.fired_at is not None and alert.started_at > alert.fired_at:
        return f"started at {clock(alert.started_at)}, after it fired at {clock(alert.fired_at)}"
    return None


def it_starts_within_the_series(seen: Seen) -> str | None:
    if len(seen.times) and seen.alert.started_at < seen.times[0] - 1e-3:
        return f"started at {clock(seen.alert.started_at)}, before the first event"
    return None


def its_summary_says_what_and_where(seen: Seen) -> str | None:
    alert = seen.alert
    wanted = [alert.source]
    if alert.kind not in ABOUT_THE_SOURCE:
        wanted += [alert.kind, number(seen.told.value), clock(alert.started_at)]
    missing = [text for text in wanted if text not in alert.summary]
    return f"summary lacks {missing}: {alert.summary}" if missing else None


# --- what holds for every alert about a value


def its_contributions_sum_to_one(seen: Seen) -> str | None:
    total = sum(value.contribution for value in seen.alert.values.values())
    return None if abs(total - 1.0) < 1e-6 else f"contributions sum to {total}"


def its_bounds_hold_the_expected(seen: Seen) -> str | None:
    for name, told in seen.alert.values.items():
        if told.expected is None or told.lower is None or told.upper is None:
            continue
        slack = 1e-9 * max(abs(told.lower), abs(told.upper))
        if not told.lower - slack <= told.expected <= told.upper + slack:
            return f"{name}: expected {told.expected:.6g} outside its bounds {told.lower:.6g} to {told.upper:.6g}"
    return None


def its_bounds_hold_most_of_what_was(seen: Seen) -> str | None:
    """Bounds that are far too narrow or wide are no help: no more than twice as wide as all there has been."""
    told = seen.told
    if told.lower is None or told.upper is None or len(seen.before) < 100:
        return None
    spread = float(np.ptp(seen.before))
    if spread and told.upper - told.lower > 2 * spread:
        return f"bounds {told.lower:.6g} to {told.upper:.6g} are {(told.upper - told.lower) / spread:.0f} x the spread"
    return None


def its_signals_name_its_kind(seen: Seen) -> str | None:
    named = [signal.kind for signal in seen.alert.signals]
    return None if seen.alert.kind in named else f"its signals {named} do not name it"


ALWAYS: tuple[Claim, ...] = (it_starts_before_it_fires, it_starts_within_the_series, its_summary_says_what_and_where)
OF_A_VALUE: tuple[Claim, ...] = (
    its_contributions_sum_to_one,
    its_bounds_hold_the_expected,
    its_bounds_hold_most_of_what_was,
    its_signals_name_its_kind,
)


def is_told_at_its_event(alert: Alert) -> bool:
    """Say whether a change of an alert tells of an event: the end of one repeats what its peak was."""
    return alert.state in {State.PENDING, State.FIRING}
