"""Fits the formulas of docs/how-to/capacity.md to measurements, and extrapolates them.

tocsin bench throughput --json | tail -1 > throughput.json
tocsin bench memory --json | tail -1 > memory.json
tocsin bench recovery --json | tail -1 > recovery.json
python benchmarks/capacity.py throughput.json memory.json recovery.json --write docs/how-to/capacity.md
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

DEFAULT = "tocsin, default detector"
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
MEGABYTE, GIGABYTE = 2**20, 2**30

SCALES = (
    (10_000, 10_000),
    (100_000, 100_000),
    (1_000_000, 1_000_000),
    (10_000_000, 1_000_000),
    (10_000_000, 10_000_000),
)
"""Sources and events a second."""


@dataclass(frozen=True, slots=True)
class Line:
    """A straight line fitted to measurements: ``at_none + each * count``."""

    at_none: float
    each: float

    def at(self, count: float) -> float:
        """Return its value."""
        return self.at_none + self.each * count

    @classmethod
    def through(cls, counts: Sequence[float], values: Sequence[float]) -> Line:
        """Fit by least squares; relative to the values, so that the small ones count as well."""
        if len(counts) < 2:
            return cls(0.0, values[0] / counts[0])
        each, at_none = np.polyfit(counts, values, 1, w=1 / np.asarray(values))
        return cls(float(at_none), float(each))


@dataclass(frozen=True, slots=True)
class Constants:
    """What was measured, of one process.

    Parameters
    ----------
    rate
        Most events a second.
    state_bytes
        Of a stored source.
    memory
        Resident bytes by sources in memory.
    local, changelog
        Seconds to be ready after kill -9, by sources: with the local store, and from Kafka alone.

    """

    rate: float
    state_bytes: float
    memory: Line
    local: Line
    changelog: Line

    @classmethod
    def of(cls, throughput: dict[str, Any], memory: dict[str, Any], recovery: dict[str, Any]) -> Constants:
        """Fit to what the three benchmarks have printed."""
        kept = [run for run in memory["runs"] if run["in_memory"] == run["sources"]]
        runs = recovery["runs"]
        sources = [run["sources"] for run in runs]
        return cls(
            rate=throughput["events_per_second"][DEFAULT],
            state_bytes=max(run["state_bytes"] for run in memory["runs"]),
            memory=Line.through([run["in_memory"] for run in kept], [run["end_bytes"] for run in kept]),
            local=Line.through(sources, [run["local_median"] for run in runs]),
            changelog=Line.through(sources, [run["changelog_median"] for run in runs]),
        )


@dataclass(frozen=True, slots=True)
class Plan:
    """What a load asks for.

    Parameters
    ----------
    sources, rate
        The load: sources, and events a second.
    measured
        Of one process.
    load
        Share of its highest rate that a process is planned for.
    checkpoint_seconds
        Time between checkpoints.

    """

    sources: int
    rate: float
    measured: Constants
    load: float = 0.5
    checkpoint_seconds: float = 5.0

    @property
    def processes(self) -> int:
        """How many processes take the load."""
        return math.ceil(self.rate / (self.load * self.measured.rate))

    @property
    def sources_each(self) -> float:
        """Sources of one process."""
        return self.sources / self.processes

    @property
    def memory_bytes(self) -> float:
        """Resident memory of a process that keeps all its sources there."""
        return self.measured.memory.at(self.sources_each)

    @property
    def changelog_rate(self) -> float:
        """Bytes a second that all checkpoints write: each source that had an event since the last one, once."""
        events = self.rate / self.sources * self.checkpoint_seconds
        return self.sources * -math.expm1(-events) * self.measured.state_bytes / self.checkpoint_seconds

    @property
    def state_bytes(self) -> float:
        """All states, once."""
        return self.sources * self.measured.state_bytes


def report(measured: Constants) -> str:
    """Return what goes into the guide, as Markdown."""
    lines = [
        "| constant | of one process | from |",
        "|---|---|---|",
        f"| `R` | {measured.rate:,.0f} events/s of 4 values, default detector | `tocsin bench throughput` |",
        f"| `s` | {measured.state_bytes:,.0f} bytes a stored source | `tocsin bench memory` |",
        f"| `m0`, `m` | {measured.memory.at_none / MEGABYTE:,.0f} MiB, {measured.memory.each / 1024:.1f} KiB a source "
        "in memory | the same |",
        f"| `l0`, `l` | {_line(measured.local)} | `tocsin bench recovery`, local store |",
        f"| `c0`, `c` | {_line(measured.changelog)} | the same, changelog alone |",
        "",
        "| sources | events/s | processes | memory each | all state | changelog | ready, local | ready, from Kafka |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for sources, rate in SCALES:
        plan = Plan(sources, rate, measured)
        each = plan.sources_each
        lines.append(
            f"| {sources:,} | {rate:,} | {plan.processes:,} | {plan.memory_bytes / MEGABYTE:,.0f} MiB"
            f" | {plan.state_bytes / GIGABYTE:,.1f} GiB | {plan.changelog_rate / MEGABYTE:,.0f} MiB/s"
            f" | {measured.local.at(each):.0f} s | {measured.changelog.at(each):.0f} s |"
        )
    return "\n".join(lines)


def _line(line: Line) -> str:
    return f"{line.at_none:.1f} s, {1000 * line.each:.2f} s for 1,000 sources"


def main(
    throughput: Annotated[Path, typer.Argument(help="JSON that `tocsin bench throughput --json` ends with.")],
    memory: Annotated[Path, typer.Argument(help="The same of `tocsin bench memory`.")],
    recovery: Annotated[Path, typer.Argument(help="The same of `tocsin bench recovery`.")],
    write: Annotated[Path | None, typer.Option(help="A page to put the tables into, between its markers.")] = None,
) -> None:
    """Fit the formulas of the capacity guide to measurements, and extrapolate them."""
    found = [json.loads(path.read_text().splitlines()[-1]) for path in (throughput, memory, recovery)]
    tables = report(Constants.of(*found))
    if write is None:
        print(tables)
        return
    before, _, rest = write.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    write.write_text(f"{before}{BEGIN}\n\n{tables}\n\n{END}{after}")


if __name__ == "__main__":
    typer.run(main)
