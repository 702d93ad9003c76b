"""What a worker's memory and its checkpoints come to, by the number of sources."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from tocsin.bench.fleet import Fleet, folder_bytes, for_each, plot_over_sources
from tocsin.evaluation.tables import Table

MEGABYTE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is measured.

    Parameters
    ----------
    sources
        Numbers of sources.
    events
        Events in all, for each number; at least ``rounds`` of each source.
    rounds
        Fewest events of each source.
    partitions
        Partitions of the topics.
    memory_megabytes
        The bound that the worker is given.

    """

    sources: tuple[int, ...] = (1_000, 10_000, 100_000)
    events: int = 200_000
    rounds: int = 5
    partitions: int = 4
    memory_megabytes: int = 1450


SHORT = Effort(sources=(200, 500), events=2_000, rounds=4, partitions=2)
"""Just enough to see that it runs."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What a number of sources took.

    Parameters
    ----------
    sources, events
        How many there were.
    idle_bytes
        Resident memory of the worker before the first event.
    peak_bytes, end_bytes
        Resident memory of the worker, the highest of four looks a second, and at the end.
    in_memory, evicted
        Sources that are in memory at the end, and how often one had left it.
    state_bytes
        Mean size of a stored state, packed.
    checkpoint_bytes
        Written to the changelog in all.
    store_bytes
        Size of the local RocksDB at the end.
    seconds
        From the first event sent to the last one stored.

    """

    sources: int
    events: int
    idle_bytes: int
    peak_bytes: int
    end_bytes: int
    in_memory: int
    evicted: int
    state_bytes: int
    checkpoint_bytes: int
    store_bytes: int
    seconds: float

    @property
    def bytes_per_source(self) -> float:
        """Resident memory beyond that of an idle worker, for each source."""
        return (self.end_bytes - self.idle_bytes) / self.sources

    @property
    def changelog_bytes_per_event(self) -> float:
        """Bytes written to the changelog for each event."""
        return self.checkpoint_bytes / self.events


@dataclass(frozen=True, slots=True)
class MemoryOfSources:
    """What the benchmark came to."""

    effort: Effort
    taken: list[Taken]

    def as_json(self) -> dict[str, Any]:
        """Return what programs read."""
        runs = [
            {
                **asdict(one),
                "bytes_per_source": round(one.bytes_per_source),
                "changelog_bytes_per_event": round(one.changelog_bytes_per_event),
            }
            for one in self.taken
        ]
        return {"memory_megabytes": self.effort.memory_megabytes, "partitions": self.effort.partitions, "runs": runs}

    def tables(self) -> list[Table]:
        """Return what people read."""
        columns = (
            *("sources", "events", "resident MiB, peak", "at the end", "KiB a source"),
            *("in memory", "evicted", "stored bytes a state", "changelog bytes an event", "events/s"),
        )
        rows = [
            (
                f"{one.sources:,}",
                f"{one.events:,}",
                f"{one.peak_bytes / MEGABYTE:,.0f}",
                f"{one.end_bytes / MEGABYTE:,.0f}",
                f"{one.bytes_per_source / 1024:.1f}",
                f"{one.in_memory:,}",
                f"{one.evicted:,}",
                f"{one.state_bytes:,}",
                f"{one.changelog_bytes_per_event:,.0f}",
                f"{one.events / one.seconds:,.0f}",
            )
            for one in self.taken
        ]
        bound = self.effort.memory_megabytes
        return [Table(f"Memory of one worker, state.memory_megabytes {bound}", columns, rows)]

    def plot(self, file: Path) -> None:
        """Draw resident memory over the number of sources."""
        lines = {
            "peak": [one.peak_bytes / MEGABYTE for one in self.taken],
            "end": [one.end_bytes / MEGABYTE for one in self.taken],
        }
        plot_over_sources(file, [one.sources for one in self.taken], lines, "resident memory, MiB")


def bench(effort: Effort, progress: Callable[[int, int], None] | None = None) -> MemoryOfSources:
    """Measure it, with a Kafka and a worker of its own for each number of sources."""
    bound = {"TOCSIN_STATE__MEMORY_MEGABYTES": str(effort.memory_megabytes)}
    measure = partial(_measure, effort=effort)
    return MemoryOfSources(effort, for_each("memory", effort.sources, effort.partitions, measure, progress, **bound))


def _measure(worker: Fleet, sources: int, effort: Effort) -> Taken:
    rounds = max(effort.rounds, effort.events // sources)
    worker.start()
    idle = int(worker.metrics()["process_resident_memory_bytes"])
    began = time.perf_counter()
    with _Peak(worker) as peak:
        events = worker.send(sources, rounds)
        worker.wait_until_stored()
    seconds = time.perf_counter() - began
    found = worker.metrics()
    end = int(found["process_resident_memory_bytes"])
    return Taken(
        sources,
        events,
        idle,
        max(peak.bytes, end),
        end,
        int(sum(value for name, value in found.items() if name.startswith('tocsin_models{detector="auto"'))),
        int(found["tocsin_sources_evicted_total"]),
        int(found["tocsin_model_bytes"]),
        int(found["tocsin_checkpoint_bytes_total"]),
        folder_bytes(worker.folder / "state"),
        seconds,
    )


class _Peak:
    """The highest resident memory while it is watched."""

    def __init__(self, worker: Fleet) -> None:
        self.bytes = 0
        self._worker, self._over = worker, threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> _Peak:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(0.25):
            try:
                found = self._worker.metrics()
            except OSError:  # it is busy, or ended, which is told elsewhere
                continue
            self.bytes = max(self.bytes, int(found["process_resident_memory_bytes"]))
