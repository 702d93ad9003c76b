"""What an alert of each kind claims, checked against the series that it is about.

A claim returns what is wrong, or nothing. A new kind needs a line in ``OF_KIND``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from alerts.alert import Alert, AlertValue
from alerts.summary import clock

DAY = 86_400.0
Numbers = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Seen:
    """An alert, and the series up to the event that it tells of, that event included."""

    alert: Alert
    times: Numbers
    values: Numbers

    @property
    def told(self) -> AlertValue:
        """What the alert says of the value that drove it."""
        assert self.alert.name is not None
        return self.alert.values[self.alert.name]

    @property
    def before(self) -> Numbers:
        return self.values[:-1]

    @property
    def since(self) -> int:
        """The first row that is not before the start the alert names."""
        return int(np.searchsorted(self.times, self.alert.started_at - 1e-3))


Claim = Callable[[Seen], str | None]


def not_long_ago(events: int) -> Claim:
    def claim(seen: Seen) -> str | None:
        lead = len(seen.values) - 1 - seen.since
        return f"started {lead} events before, at {clock(seen.alert.started_at)}" if lead > events else None

    claim.__name__ = f"it_started_at_most_{events}_events_before"
    return claim


def the_value_is_outside_its_bounds(seen: Seen) -> str | None:
    told = seen.told
    if told.lower is None or told.upper is None:
        return "there are no bounds"
    if told.lower <= told.value <= told.upper:
        return f"value {told.value:.6g} within its bounds {told.lower:.6g} to {told.upper:.6g}"
    return None


def the_value_stands_out_from_its_neighbours(seen: Seen) -> str | None:
    """Farther from the ten before than nine of ten values of late were from theirs."""
    if len(seen.before) < 20:
        return None
    recent = seen.before[-510:]
    middles = np.median(sliding_window_view(recent, 10)[:-1], axis=1)
    usual = float(np.quantile(np.abs(recent[10:] - middles), 0.9))
    distance = abs(seen.told.value - float(np.median(recent[-10:])))
    return (
        None
        if distance > usual
        else f"{distance:.6g} from its neighbours' median; of late 90 % were within {usual:.6g}"
    )


def the_value_is_on_the_named_side(seen: Seen) -> str | None:
    told, direction = seen.told, seen.alert.direction
    if told.expected is None or not direction:
        return None if direction == 0 else "a direction without an expected value"
    if (told.value - told.expected) * direction < 0:
        return f"direction {direction}, but value {told.value:.6g} beside expected {told.expected:.6g}"
    return None


def the_recent_mean_is_on_the_named_side(seen: Seen) -> str | None:
    told, direction = seen.told, seen.alert.direction
    if told.expected is None or not direction:
        return "no expected value or no direction"
    recent = float(np.mean(seen.values[-10:]))
    if (recent - told.expected) * direction < 0:
        return f"direction {direction}, but the recent mean is {recent:.6g} beside expected {told.expected:.6g}"
    return None


def the_level_has_moved(seen: Seen) -> str | None:
    """The last ten are farther from the 200 before than nine of ten such stretches of late were."""
    if len(seen.values) < 260:
        return None
    distances = np.abs(faded(seen.values, 0.1) - faded(seen.values, 0.005))[20:]
    of_late = distances[1:] / np.maximum(faded(distances, 0.005)[:-1], 1e-12)
    limit = float(np.quantile(distances[:-10], 0.9))
    if of_late[-1] >= float(np.quantile(of_late[:-10], 0.9)):
        return None
    return None if distances[-1] >= limit else f"the level is {distances[-1]:.6g} away; of late 90 % within {limit:.6g}"


def faded(values: Numbers, rate: float) -> Numbers:
    """Return the running means of a series: plain at first, then exponentially weighted."""
    means, mean = np.empty(len(values)), 0.0
    for n, value in enumerate(values.tolist(), 1):
        mean += (value - mean) * max(rate, 1.0 / n)
        means[n - 1] = mean
    return means


def the_last_fifty_have_moved_to_the_named_side(seen: Seen) -> str | None:
    """What a trend is: the mean of the last fifty beside that of the last thousand."""
    moved = float(faded(seen.values, 0.02)[-1] - faded(seen.values, 0.001)[-1])
    return f"direction {seen.alert.direction}, moved by {moved:.3g}" if moved * seen.alert.direction < 0 else None


def the_spread_has_changed(seen: Seen) -> str | None:
    if len(seen.values) < 260:
        return None
    deviations = np.abs(seen.values - faded(seen.values, 0.06))
    now, then = float(faded(deviations, 0.1)[-1]), float(np.mean(deviations[-210:-10]))
    grown = now > then
    if seen.alert.direction and (seen.alert.direction > 0) is not grown:
        return f"direction {seen.alert.direction}, but the spread went from {then:.6g} to {now:.6g}"
    return None if max(now, then) > 1.2 * min(now, then) else f"the spread went from {then:.6g} only to {now:.6g}"


def the_expected_is_usual_at_this_hour(seen: Seen) -> str | None:
    told = seen.told
    if told.expected is None:
        return "nothing is expected"
    day = seen.times[:-1] % DAY
    apart = np.abs((day - seen.times[-1] % DAY + DAY / 2) % DAY - DAY / 2)
    lately = seen.times[:-1] >= seen.times[-1] - 28 * DAY
    same = seen.before[(apart <= 3600) & lately]
    if len(same) < 3:
        return "there is no earlier day"
    low, high = np.quantile(same, (0.1, 0.9))
    slack = 0.1 * float(np.quantile(seen.before, 0.99) - np.quantile(seen.before, 0.01))
    week = (seen.times[:-1] - seen.times[-1] + DAY * 3.5) % (7 * DAY) - DAY * 3.5
    weekly = seen.before[np.abs(week) <= 3600]
    as_last_week = len(weekly) > 0 and weekly.min() <= told.expected <= weekly.max()
    if not low - slack <= told.expected <= high + slack and not as_last_week:
        return f"expected {told.expected:.6g}; at this hour it was {low:.6g} to {high:.6g}"
    usual = float(np.median(seen.before[(apart <= apart.min() + 300) & lately]))
    if abs(told.value - usual) < abs(told.expected - usual) and abs(told.expected - usual) > slack:
        return f"value {told.value:.6g} is nearer to the usual {usual:.6g} than the expected {told.expected:.6g}"
    return None


def the_shape_is_new(seen: Seen, length: int = 16) -> str | None:
    """The last stretch is farther from its nearest like than most earlier stretches are from theirs.

    As a pattern is told: of the values as they are, or of what is left of them beside their slow mean.
    """
    if len(seen.values) < 10 * length:
        return None
    left = seen.values - faded(seen.values, 0.005)
    told = [_newness(values[-5_000:], length) for values in (seen.values, left)]
    if any(distance >= limit for distance, limit in told):
        return None
    distance, limit = told[0]
    return f"shape {distance:.6g} from its nearest like; most are within {limit:.6g}"


def _newness(values: Numbers, length: int) -> tuple[float, float]:
    """Return the distance of the last stretch from its nearest like, and how far three of four are from theirs."""
    shapes = sliding_window_view(values, length)

    def nearest(row: int) -> float:
        earlier = shapes[: max(row - length, 1)]
        return float(np.sqrt(((earlier - shapes[row]) ** 2).sum(axis=1)).min())

    rows = np.linspace(4 * length, len(shapes) - length, 100).astype(int)
    limit = float(np.quantile([nearest(row) for row in rows], 0.75))
    return max(nearest(len(shapes) - 1 - back) for back in range(0, length, 4)), limit


def the_value_is_rare(seen: Seen) -> str | None:
    share = float(np.mean(seen.before[-5_000:] == seen.told.value))
    return f"{share:.1%} of the values before are the same" if share > 0.03 else None


def the_values_are_constant_since(seen: Seen) -> str | None:
    stretch = seen.values[seen.since :]
    if len(stretch) < 5:
        return f"only {len(stretch)} events since {clock(seen.alert.started_at)}"
    changes = int((stretch != seen.told.value).sum())
    return f"{changes} of {len(stretch)} values since {clock(seen.alert.started_at)} are others" if changes else None


def it_began_with_the_change_to_it(seen: Seen) -> str | None:
    if seen.since and seen.values[seen.since - 1] == seen.told.value:
        return f"the value was the same before {clock(seen.alert.started_at)} already"
    return None


def several_values_are_told_of(seen: Seen) -> str | None:
    return None if len(seen.alert.values) > 1 else "only one value is told of"


def the_gap_is_unusual(seen: Seen) -> str | None:
    gaps = np.diff(seen.times)
    if len(gaps) < 100:
        return None
    low, high = np.quantile(gaps[-1_000:-1], (0.01, 0.99))
    return f"a gap of {gaps[-1]:.6g} s is usual" if low < gaps[-1] < high else None


def nothing_came_since(seen: Seen) -> str | None:
    alert = seen.alert
    came = int(((seen.times > alert.started_at + 1e-3) & (seen.times < (alert.fired_at or alert.updated_at))).sum())
    if came:
        return f"{came} events came between {clock(alert.started_at)} and its firing"
    if not np.isclose(seen.times, alert.started_at, atol=1e-3).any():
        return f"no event at {clock(alert.started_at)}, which should be the last"
    return None


OF_KIND: dict[str, tuple[Claim, ...]] = {
    "spike": (
        not_long_ago(20),
        the_value_is_outside_its_bounds,
        the_value_stands_out_from_its_neighbours,
        the_value_is_on_the_named_side,
    ),
    "level": (not_long_ago(300), the_recent_mean_is_on_the_named_side, the_level_has_moved),
    "trend": (not_long_ago(1_000), the_last_fifty_have_moved_to_the_named_side),
    "variance": (not_long_ago(300), the_spread_has_changed),
    "season": (not_long_ago(300), the_expected_is_usual_at_this_hour, the_value_is_on_the_named_side),
    "pattern": (not_long_ago(300), the_shape_is_new),
    "rare": (not_long_ago(300), the_value_is_rare),
    "flatline": (the_values_are_constant_since, it_began_with_the_change_to_it),
    "joint": (not_long_ago(300), several_values_are_told_of, the_value_is_on_the_named_side),
    "correlation": (not_long_ago(300), several_values_are_told_of),
    "arrival": (the_gap_is_unusual,),
    "silence": (nothing_came_since,),
}
