"""A long run at part of the load a worker can take: does memory stay flat, does the lag, and is every event scored?

Run from the repository: ``python benchmarks/soak.py --minutes 60 --plot docs/images/soak.svg``. It takes an embedded
Kafka, one worker, telemetry of 100 sources at half of the worker's highest rate, and 20 transactions a second.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from streams.topics import TopicSettings
from tocsin.bench.fleet import Fleet, fleet
from tocsin.bench.latency import Load, transactions
from tocsin.bench.stream import Marks, empty_outputs, fill
from tocsin.broker import EmbeddedKafka
from tocsin.plotting import plot_into

PARTITIONS = 4
PAYMENTS_PER_SECOND = 20
EVENTS_TO_FIND_THE_RATE = 200_000
LOOK_SECONDS = 10.0
BACK_SECONDS = 30 * 86_400.0
MEGABYTE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Look:
    """What the worker said of itself at one moment."""

    minutes: float
    resident_bytes: int
    lag: int
    scored: int
    decided: int


@dataclass(frozen=True, slots=True)
class Soak:
    """What came of it.

    Parameters
    ----------
    highest_rate, rate
        Telemetry events a second: the most that the worker takes, and what it was given.
    sent, scored
        Telemetry events.
    paid, decided
        Transactions.
    growth
        Bytes of resident memory an hour, by a straight line through the looks after the first sixth.
    complaints
        Warnings and errors in the worker's log.

    """

    highest_rate: float
    rate: float
    sent: int
    scored: int
    paid: int
    decided: int
    growth: float
    complaints: int
    looks: list[Look]

    def report(self) -> str:
        """Return what people read."""
        steady = self.looks[len(self.looks) // 6 :]
        memory = [look.resident_bytes / MEGABYTE for look in steady]
        lags = sorted(look.lag for look in steady)
        return "\n".join(
            (
                f"minutes: {self.looks[-1].minutes:.1f}",
                f"telemetry events/s: {self.rate:,.0f} of {self.highest_rate:,.0f} at most",
                f"events sent / scored: {self.sent:,} / {self.scored:,}",
                f"transactions sent / decided: {self.paid:,} / {self.decided:,}",
                f"resident memory, MiB: {memory[0]:.0f} first, {max(memory):.0f} most, {memory[-1]:.0f} last",
                f"growth, MiB an hour: {self.growth / MEGABYTE:+.1f}",
                f"lag, records: median {lags[len(lags) // 2]:,}, most {lags[-1]:,}, last {steady[-1].lag:,}",
                f"warnings and errors of the worker: {self.complaints}",
            )
        )

    def plot(self, file: Path) -> None:
        """Draw memory and lag over time."""
        minutes = [look.minutes for look in self.looks]
        with plot_into(file, 2, (7.0, 3.6)) as (_, (memory, lag)):
            memory.plot(minutes, [look.resident_bytes / MEGABYTE for look in self.looks], color="#4c566a")
            memory.set(ylabel="resident, MiB", ylim=(0, None))
            lag.plot(minutes, [look.lag for look in self.looks], color="#c1440e")
            lag.set(xlabel="minutes", ylabel="lag, records", ylim=(0, None))


def soak(minutes: float, share: float) -> Soak:
    """Find the highest rate, then give a share of it for so long."""
    with EmbeddedKafka() as broker, fleet(broker, "soak", PARTITIONS) as worker:
        load = Load(worker.kafka, PARTITIONS, BACK_SECONDS)
        highest = _highest_rate(worker, load)
        before = _look(worker, 0.0)
        looks, sent, paid = [], 0, 0
        began = time.monotonic()
        for second in range(round(minutes * 60)):
            _wait_until(began + second)
            events = load.make(round(share * highest))
            load.send("telemetry", events, share * highest * 1.1)
            load.send("transactions", _payments(paid))
            sent, paid = sent + len(events), paid + PAYMENTS_PER_SECOND
            if second % LOOK_SECONDS == 0:
                looks.append(_look(worker, (time.monotonic() - began) / 60))
        deadline = time.monotonic() + 60.0
        while (last := _look(worker, minutes)).scored - before.scored < sent and time.monotonic() < deadline:
            time.sleep(1.0)
        lines = (worker.folder / "worker.log").read_text(errors="replace").splitlines()
        complaints = [line for line in lines if '"level":"warning"' in line or '"level":"error"' in line]
        print(*complaints[:10], sep="\n", file=sys.stderr)
    scored, decided = last.scored - before.scored, last.decided - before.decided
    return Soak(highest, share * highest, sent, scored, paid, decided, _growth(looks), len(complaints), looks)


def _highest_rate(worker: Fleet, load: Load) -> float:
    empty_outputs(worker.kafka, TopicSettings(partitions=PARTITIONS))
    fill(worker.kafka, PARTITIONS, load.make(EVENTS_TO_FIND_THE_RATE))
    with Marks(worker.kafka, PARTITIONS) as marks:
        worker.start()
        times = marks.wait_for(2 * PARTITIONS, 300.0)
    if times is None:
        raise SystemExit(f"the worker did not take {EVENTS_TO_FIND_THE_RATE:,} events in 300 s")
    return EVENTS_TO_FIND_THE_RATE / (times[-1] - times[0])


def _look(worker: Fleet, minutes: float) -> Look:
    found = worker.metrics()

    def total(name: str) -> int:
        return round(sum(value for key, value in found.items() if key.startswith(name)))

    return Look(
        minutes,
        int(found["process_resident_memory_bytes"]),
        total("tocsin_consumer_lag"),
        total('tocsin_events_total{outcome="scored"'),
        sum(total(f'tocsin_events_total{{outcome="{verdict}"') for verdict in ("approve", "review", "decline")),
    )


def _payments(first: int) -> Iterator[tuple[int, bytes, bytes]]:
    return transactions(PAYMENTS_PER_SECOND, first)


def _growth(looks: list[Look]) -> float:
    steady = looks[len(looks) // 6 :]
    slope, _ = np.polyfit([look.minutes / 60 for look in steady], [look.resident_bytes for look in steady], 1)
    return float(slope)


def _wait_until(moment: float) -> None:
    time.sleep(max(0.0, moment - time.monotonic()))


def main() -> None:
    """Read the command line, run, and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--share", type=float, default=0.5, help="of the highest rate")
    parser.add_argument("--plot", type=Path)
    parser.add_argument("--json", action="store_true", help="end with one JSON object on the last line")
    options = parser.parse_args()
    found = soak(options.minutes, options.share)
    print(found.report())
    if found.scored < found.sent or found.decided < found.paid:
        print("not every event was scored and every transaction decided: this run says nothing", file=sys.stderr)
        sys.exit(1)
    if options.plot is not None:
        found.plot(options.plot)
    if options.json:
        print(json.dumps(asdict(found)))


if __name__ == "__main__":
    main()
