"""How many events a new source needs until its scores are usable, alone and with what its peers have learned."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from detectors.base import Detector
from tocsin.bench.simulated import INTERVAL, TYPES, simulated
from tocsin.evaluation.tables import Table, cell
from tocsin.plotting import plot_into

RARE, FACTOR = 0.01, 3.0
"""p-values are calibrated if the share of those at most ``RARE`` is within this factor of it."""

SIGMAS, FOUND = 8.0, 1e-3
"""A spike of so many standard deviations is found if its p-value is at most this."""

WITHOUT, WITH = "without", "with_peers"
NUMBERED = 1_000_000
"""Peers have numbers from here on, so that none is a source."""


@dataclass(frozen=True, slots=True)
class Fleet:
    """What is simulated.

    Parameters
    ----------
    sources
        How many sources start, of all types together.
    ages
        Ages, in events, at which they are looked at.
    peers, mature
        Peers of each type, and events that each of them has learned.

    """

    sources: int = 10_000
    ages: tuple[int, ...] = (1, 2, 3, 5, 8, 12, 20, 30, 50, 75, 100, 150, 200, 300)
    peers: int = 20
    mature: int = 3_000


SHORT = Fleet(sources=20, ages=(1, 5, 20, 60), peers=2, mature=400)
"""Enough to see that it runs."""


@dataclass(slots=True)
class _Tally:
    """Counts of one type and way of starting, by age."""

    events: Counter[int] = field(default_factory=Counter)
    rare: Counter[int] = field(default_factory=Counter)
    found: Counter[int] = field(default_factory=Counter)
    sources: int = 0

    def calibrated(self, age: int) -> bool:
        share = self.rare[age] / max(self.events[age], 1)
        return RARE / FACTOR <= share <= RARE * FACTOR


@dataclass(frozen=True, slots=True)
class Readiness:
    """How far sources are at an age.

    Parameters
    ----------
    usable
        Share of sources whose scores are usable.
    calibration
        Share of p-values up to 0.01, which should be 0.01, since the age before.
    found
        Share of sources in which the spike would be found.

    """

    usable: float
    calibration: float
    found: float


@dataclass(frozen=True, slots=True)
class ColdStart:
    """What came of it: readiness by way of starting and age; with peers only where the detector has priors."""

    detector: str
    fleet: Fleet
    ready: dict[str, dict[int, Readiness]]

    def usable_at(self, way: str, share: float) -> int | None:
        """Return the age from which on that share of sources is usable; ``None`` if not at the oldest looked at."""
        since = None
        for age, ready in self.ready[way].items():
            since = None if ready.usable < share else age if since is None else since
        return since

    def as_json(self) -> dict[str, Any]:
        """Return what programs read."""
        return {
            "detector": self.detector,
            "sources": self.fleet.sources,
            "peers": self.fleet.peers,
            "types": list(TYPES),
            "ages": [
                {"age": age, **{way: asdict(ready[age]) for way, ready in self.ready.items()}}
                for age in self.fleet.ages
            ],
            "usable_at": {
                way: {"half": self.usable_at(way, 0.5), "most": self.usable_at(way, 0.9)} for way in self.ready
            },
        }

    def tables(self) -> list[Table]:
        """Return what people read."""
        columns = ["age, events"]
        for way in self.ready:
            name = way.replace("_", " ")
            columns += [f"usable {name}", f"p ≤ {RARE}", "spike found"]
        rows = [
            (
                str(age),
                *(
                    text
                    for ready in self.ready.values()
                    for text in (
                        cell(ready[age].usable, ".0%"),
                        cell(ready[age].calibration, ".2%"),
                        cell(ready[age].found, ".0%"),
                    )
                ),
            )
            for age in self.fleet.ages
        ]
        title = f"{self.fleet.sources:,} sources start with {self.detector}: how many have usable scores"
        if WITH not in self.ready:
            title += " (it learns nothing from peers)"
        return [Table(title, columns, rows)]

    def plot(self, file: Path) -> None:
        """Draw the share of usable sources over their age.

        Parameters
        ----------
        file
            An .svg or .png file.

        """
        with plot_into(file, size=(6.0, 2.8)) as (_, (panel,)):
            for way, color in ((WITHOUT, "#4c566a"), (WITH, "#c1440e")):
                if way in self.ready:
                    shares = [ready.usable for ready in self.ready[way].values()]
                    panel.plot(self.fleet.ages, shares, "o-", color=color, label=way.replace("_", " "), markersize=3)
            panel.set_xscale("log")
            panel.set_ylim(-0.02, 1.02)
            panel.set_xlabel("age, events")
            panel.set_ylabel("share of sources usable")
            panel.legend(frameon=False)


def bench(
    name: str, make: Callable[[], Detector], fleet: Fleet, progress: Callable[[int, int], None] | None = None
) -> ColdStart:
    """Start sources of every type, with and without what peers have learned, on the same events.

    Parameters
    ----------
    name, make
        What the detector is called, and what makes one.
    fleet
        What is simulated.
    progress
        Called with the sources done and in all.

    """
    kinds = list(TYPES)
    priors = {kind: _priors(kind, make, fleet) for kind in kinds}
    ways = (WITHOUT, WITH) if any(priors.values()) else (WITHOUT,)
    tallies = {(way, kind): _Tally() for way in ways for kind in kinds}
    for number in range(fleet.sources):
        kind = kinds[number % len(kinds)]
        for way in ways:
            detector = make()
            if way == WITH:
                detector.adopt(priors[kind])
            _start(detector, make, kind, number, fleet.ages, tallies[way, kind])
        if progress is not None:
            progress(number + 1, fleet.sources)
    ready = {way: {age: _ready([tallies[way, kind] for kind in kinds], age) for age in fleet.ages} for way in ways}
    return ColdStart(name, fleet, ready)


def _priors(kind: str, make: Callable[[], Detector], fleet: Fleet) -> list[bytes]:
    """Return what mature peers of a type have to give."""
    given = []
    for number in range(fleet.peers):
        source, detector = simulated(kind, NUMBERED + number), make()
        for i in range(fleet.mature):
            detector.process_one({"value": source.next_value(i)}, i * INTERVAL)
        prior = detector.prior()
        if prior is not None:
            given.append(prior)
    return given


def _start(
    detector: Detector, make: Callable[[], Detector], kind: str, number: int, ages: tuple[int, ...], tally: _Tally
) -> None:
    """Let a source live up to the oldest age, and note what is asked at each."""
    source = simulated(kind, number)
    tally.sources += 1
    age = 0
    for until in ages:
        while age < until:
            p_value = detector.process_one({"value": source.next_value(age)}, age * INTERVAL).p_value
            tally.events[until] += 1
            tally.rare[until] += p_value <= RARE
            age += 1
        aside = make()
        aside.restore(detector.snapshot())
        spike = {"value": source.next_value(age) + SIGMAS * source.sigma}
        tally.found[until] += aside.process_one(spike, age * INTERVAL).p_value <= FOUND


def _ready(tallies: list[_Tally], age: int) -> Readiness:
    sources = sum(tally.sources for tally in tallies)
    return Readiness(
        usable=sum(tally.found[age] for tally in tallies if tally.calibrated(age)) / sources,
        calibration=sum(tally.rare[age] for tally in tallies) / sum(tally.events[age] for tally in tallies),
        found=sum(tally.found[age] for tally in tallies) / sources,
    )
