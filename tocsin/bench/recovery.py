"""How long a worker takes to be ready again after kill -9, by the number of sources."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from tocsin.bench.fleet import Fleet, folder_bytes, for_each, plot_over_sources
from tocsin.evaluation.tables import Table


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is measured.

    Parameters
    ----------
    sources
        Numbers of sources.
    rounds
        Events of each source.
    repeats
        Restarts of each kind; the median counts.
    partitions
        Partitions of the topics.

    """

    sources: tuple[int, ...] = (1_000, 10_000, 100_000)
    rounds: int = 3
    repeats: int = 3
    partitions: int = 4


SHORT = Effort(sources=(200,), rounds=2, repeats=1, partitions=2)
"""Just enough to see that it runs."""


@dataclass(frozen=True, slots=True)
class Recovered:
    """How long it took with a number of sources, in seconds from the start of the process to ready.

    Parameters
    ----------
    sources, events
        How many there were.
    local_seconds
        With the local RocksDB, of each restart.
    changelog_seconds
        From the changelog topics alone, of each restart.
    store_bytes
        Size of the local RocksDB.
    changelog_bytes
        Written to the changelog in all, before compaction.

    """

    sources: int
    events: int
    local_seconds: tuple[float, ...]
    changelog_seconds: tuple[float, ...]
    store_bytes: int
    changelog_bytes: int


@dataclass(frozen=True, slots=True)
class Recovery:
    """What the benchmark came to."""

    effort: Effort
    recovered: list[Recovered]

    def as_json(self) -> dict[str, Any]:
        """Return what programs read."""
        runs = [
            {
                **asdict(one),
                "local_median": _median(one.local_seconds),
                "changelog_median": _median(one.changelog_seconds),
            }
            for one in self.recovered
        ]
        return {"partitions": self.effort.partitions, "runs": runs}

    def tables(self) -> list[Table]:
        """Return what people read."""
        columns = ("sources", "ready with local RocksDB, s", "from the changelog alone, s", "RocksDB MiB")
        rows = [
            (
                f"{one.sources:,}",
                f"{_median(one.local_seconds):.1f}",
                f"{_median(one.changelog_seconds):.1f}",
                f"{one.store_bytes / 1024 / 1024:,.0f}",
            )
            for one in self.recovered
        ]
        return [Table(f"Ready after kill -9, median of {self.effort.repeats}", columns, rows)]

    def plot(self, file: Path) -> None:
        """Draw the times over the number of sources."""
        lines = {
            "local RocksDB": [_median(one.local_seconds) for one in self.recovered],
            "changelog alone": [_median(one.changelog_seconds) for one in self.recovered],
        }
        plot_over_sources(file, [one.sources for one in self.recovered], lines, "seconds until ready")


def bench(effort: Effort, progress: Callable[[int, int], None] | None = None) -> Recovery:
    """Measure it, with a Kafka and a worker of its own for each number of sources."""
    measure = partial(_measure, effort=effort)
    return Recovery(effort, for_each("recovery", effort.sources, effort.partitions, measure, progress))


def _measure(worker: Fleet, sources: int, effort: Effort) -> Recovered:
    worker.start()
    events = worker.send(sources, effort.rounds)
    worker.wait_until_stored()
    written = int(worker.metrics()["tocsin_checkpoint_bytes_total"])
    stored = folder_bytes(worker.folder / "state")
    local, alone = [], []
    for _ in range(effort.repeats):
        worker.kill()
        local.append(worker.start())
    for _ in range(effort.repeats):
        worker.kill(forget=True)
        alone.append(worker.start())
    return Recovered(sources, events, tuple(local), tuple(alone), stored, written)


def _median(seconds: tuple[float, ...]) -> float:
    return round(sorted(seconds)[len(seconds) // 2], 2)
