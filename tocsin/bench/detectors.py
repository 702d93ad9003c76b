"""What a detector costs for each event, beside River's, in one run on one core."""

from __future__ import annotations

import gc
import random
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from detectors.base import Detector
from tocsin.bench.contenders import OTHERS, Contender, Event, of_detector
from tocsin.bench.one_core import on_one_core
from tocsin.bench.state_size import LargestState
from tocsin.evaluation.tables import Table, cell
from tocsin.plotting import plot_into

INTERVAL = 60.0
"""Seconds between events."""


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is measured.

    Parameters
    ----------
    warm_up
        Events that each model has learned before the clock runs.
    events, rounds
        Events of a round, and how many rounds; in each all detectors take turns.
    values
        How many values the events have.

    """

    warm_up: int = 1_000
    events: int = 1_000
    rounds: int = 9
    values: tuple[int, ...] = (1, 8)


SHORT = Effort(warm_up=300, events=100, rounds=3)
"""Enough to see that it runs."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What one detector costs.

    Parameters
    ----------
    microseconds
        Median processor time for an event, scored and learned, of all rounds.
    ratio
        That, beside the first detector's.
    state_bytes
        Size of the serialised state at the end.

    """

    microseconds: float
    ratio: float
    state_bytes: int


@dataclass(frozen=True, slots=True)
class DetectorCosts:
    """What came of it: costs by number of values and detector, and the largest states if they were measured."""

    detector: str
    effort: Effort
    costs: dict[int, dict[str, Cost]]
    largest: Sequence[LargestState] = ()

    def as_json(self) -> dict[str, Any]:
        """Return what programs read."""
        return {
            "detector": self.detector,
            "rounds": self.effort.rounds,
            "events": self.effort.events,
            "costs": {
                str(values): {name: asdict(cost) for name, cost in costs.items()}
                for values, costs in self.costs.items()
            },
            "largest_state": [asdict(one) for one in self.largest],
        }

    def tables(self) -> list[Table]:
        """Return what people read."""
        rows = [
            (name, str(values), cell(cost.microseconds), cell(cost.ratio, ".2f"), f"{cost.state_bytes:,}")
            for values, costs in self.costs.items()
            for name, cost in costs.items()
        ]
        columns = ("detector", "values", "µs/event", f"beside {self.detector}", "state, bytes")
        found = [Table("What an event costs, scored and learned, in processor time", columns, rows)]
        if self.largest:
            states = [(one.corpus, str(one.values), f"{one.state_bytes:,}", one.source) for one in self.largest]
            title = f"Largest state of {self.detector}, each file a source"
            found.append(Table(title, ("corpus", "values", "bytes", "source"), states))
        return found

    def plot(self, file: Path) -> None:
        """Draw the times as bars, one panel for each number of values.

        Parameters
        ----------
        file
            An .svg or .png file.

        """
        with plot_into(file, len(self.costs), (7.0, 1.8 * len(self.costs))) as (_, panels):
            for panel, (values, costs) in zip(panels, self.costs.items(), strict=True):
                times = [cost.microseconds for cost in costs.values()]
                own = ["#c1440e", *("#4c566a" for _ in times[1:])]
                bars = panel.barh(list(costs), times, color=own)
                panel.bar_label(bars, fmt="%.1f", padding=3)
                panel.invert_yaxis()
                panel.set_title(f"events of {values} {'value' if values == 1 else 'values'}", loc="left")
            panels[-1].set_xlabel("µs of processor time an event, scored and learned")


def bench(
    name: str, make: Callable[[], Detector], effort: Effort, progress: Callable[[int, int], None] | None = None
) -> DetectorCosts:
    """Time a detector beside River's.

    Parameters
    ----------
    name, make
        What it is called, and what makes one.
    effort
        How much is measured.
    progress
        Called with the rounds done and in all.

    """
    costs = {}
    with on_one_core():
        for number, values in enumerate(effort.values):
            models = {name: of_detector(make), **{other: made() for other, made in OTHERS.items()}}
            times = _times(models, values, effort, _offset(progress, number * effort.rounds, effort))
            medians = {one: statistics.median(taken) for one, taken in times.items()}
            costs[values] = {
                one: Cost(median, median / medians[name], len(models[one].state())) for one, median in medians.items()
            }
    return DetectorCosts(name, effort, costs)


def _offset(progress: Callable[[int, int], None] | None, done: int, effort: Effort) -> Callable[[int], None]:
    total = effort.rounds * len(effort.values)
    return lambda rounds: progress(done + rounds, total) if progress is not None else None


def _times(
    models: dict[str, Contender], values: int, effort: Effort, tell: Callable[[int], None]
) -> dict[str, list[float]]:
    """Return the microseconds an event of each model in each round; all see the same events."""
    stream = events(values, effort.warm_up + effort.events * effort.rounds)
    for model in models.values():
        _microseconds(model, stream[: effort.warm_up], 0)
    times: dict[str, list[float]] = {name: [] for name in models}
    order = list(models)
    for number in range(effort.rounds):
        first = effort.warm_up + number * effort.events
        for name in order:
            times[name].append(_microseconds(models[name], stream[first : first + effort.events], first))
        order.append(order.pop(0))  # nobody is always the one after the forest, whose data fill the cache
        tell(number + 1)
    return times


def _microseconds(model: Contender, stream: list[Event], first: int) -> float:
    step = model.step
    gc.collect()
    gc.disable()  # else one pays for another's garbage
    try:
        began = time.process_time()  # others may have the core for a while
        for number, x in enumerate(stream, first):
            step(x, number * INTERVAL)
        return (time.process_time() - began) / max(len(stream), 1) * 1e6
    finally:
        gc.enable()


def events(values: int, count: int) -> list[Event]:
    """Return events of so many values: waves with noise.

    Examples
    --------
    >>> sorted(events(2, 1)[0])
    ['v0', 'v1']

    """
    chance = random.Random(values)  # noqa: S311  nothing secret
    return [{f"v{k}": chance.gauss((i % 200) / 50, 1.0) for k in range(values)} for i in range(count)]
