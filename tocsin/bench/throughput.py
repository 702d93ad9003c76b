"""How many events a second Tocsin takes, beside what others would write, on the same topic in the same run."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from streams.settings import KafkaSettings
from streams.topics import TopicSettings
from tocsin.bench.contestants import CONFLUENT, CONTESTANTS, DEFAULT, FAUST, TOCSIN, BenchError, Contestant, running
from tocsin.bench.stream import SOURCES, Marks, empty_outputs, fill, telemetry
from tocsin.evaluation.tables import Table, cell
from tocsin.plotting import plot_into

SLOWEST = 500
"""Events a second below which a contestant is given up."""

START_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is measured.

    Parameters
    ----------
    events
        Events in the topic, which each contestant consumes from the beginning.
    rounds
        How often; in each round all take turns.
    partitions
        Partitions of the topic.
    sources
        Sources of the events.

    """

    events: int = 100_000
    rounds: int = 3
    partitions: int = 4
    sources: int = SOURCES


SHORT = Effort(events=2_000, rounds=1, sources=10)
"""Enough to see that it runs."""


@dataclass(frozen=True, slots=True)
class Throughput:
    """What came of it: events a second of each contestant in each round."""

    effort: Effort
    rates: dict[str, list[float]]

    @property
    def medians(self) -> dict[str, float]:
        """Median of each contestant's rounds."""
        return {name: statistics.median(rates) for name, rates in self.rates.items()}

    @property
    def ratios(self) -> dict[str, float]:
        """How many times as many events a second, medians of the ratios within each round."""
        pairs = {
            "same_model_vs_confluent": (TOCSIN, CONFLUENT),
            "same_model_vs_faust": (TOCSIN, FAUST),
            "default_vs_confluent": (DEFAULT, CONFLUENT),
        }
        return {
            name: statistics.median(a / b for a, b in zip(self.rates[one], self.rates[other], strict=True))
            for name, (one, other) in pairs.items()
        }

    def as_json(self) -> dict[str, Any]:
        """Return what programs read."""
        return {
            "events": self.effort.events,
            "rounds": self.effort.rounds,
            "partitions": self.effort.partitions,
            "model": "river.HalfSpaceTrees(n_trees=10, height=8) behind MinMaxScaler, one for each source",
            "events_per_second": self.medians,
            "rounds_events_per_second": self.rates,
            "ratios": self.ratios,
        }

    def tables(self) -> list[Table]:
        """Return what people read."""
        base = self.rates[CONFLUENT]
        rows = [
            (
                name,
                f"{median:,.0f}",
                f"{min(self.rates[name]):,.0f} – {max(self.rates[name]):,.0f}",
                cell(statistics.median(a / b for a, b in zip(self.rates[name], base, strict=True)), ".2f"),
            )
            for name, median in self.medians.items()
        ]
        title = (
            f"{self.effort.events:,} events of 4 values from {self.effort.sources} sources, {self.effort.rounds} rounds"
        )
        return [Table(title, ("", "events/s", "range", f"beside the {CONFLUENT}"), rows)]

    def plot(self, file: Path) -> None:
        """Draw the medians as bars.

        Parameters
        ----------
        file
            An .svg or .png file.

        """
        with plot_into(file, size=(7.0, 2.4)) as (_, (panel,)):
            own = ["#c1440e" if name.startswith(TOCSIN) else "#4c566a" for name in self.medians]
            bars = panel.barh(list(self.medians), list(self.medians.values()), color=own)
            panel.bar_label(bars, fmt="{:,.0f}", padding=3)
            panel.invert_yaxis()
            panel.set_xlabel("events a second, one process")


def bench(kafka: KafkaSettings, effort: Effort, progress: Callable[[int, int], None] | None = None) -> Throughput:
    """Let every contestant consume the same topic, taking turns.

    Parameters
    ----------
    kafka
        A Kafka without topics of this prefix.
    effort
        How much is measured.
    progress
        Called with the runs done and in all.

    Raises
    ------
    BenchError
        If a contestant does not get to the end.

    """
    settings = TopicSettings(partitions=effort.partitions)
    empty_outputs(kafka, settings)
    fill(kafka, effort.partitions, telemetry(effort.events, sources=effort.sources))
    rates: dict[str, list[float]] = {contestant.name: [] for contestant in CONTESTANTS}
    for done, contestant in enumerate(_in_turn(effort.rounds), 1):
        empty_outputs(kafka, settings)
        rates[contestant.name].append(rate(contestant, kafka, effort))
        if progress is not None:
            progress(done, effort.rounds * len(CONTESTANTS))
    return Throughput(effort, rates)


def rate(contestant: Contestant, kafka: KafkaSettings, effort: Effort) -> float:
    """Return the events a second between the first and the last mark of a contestant."""
    seconds = START_SECONDS + effort.events / SLOWEST
    with Marks(kafka, effort.partitions) as marks, running(contestant, kafka, effort.partitions):
        times = marks.wait_for(2 * effort.partitions, seconds)
    if times is None:
        raise BenchError(f"the contestant {contestant.name!r} did not get through the topic within {seconds:.0f} s")
    return effort.events / max(times[-1] - times[0], 1e-3)


def _in_turn(rounds: int) -> Iterator[Contestant]:
    """Yield the contestants of each round, every other time in the opposite order."""
    for number in range(rounds):
        yield from CONTESTANTS if number % 2 == 0 else reversed(CONTESTANTS)
