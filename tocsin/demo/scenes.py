"""What the demo produces: this machine, a water network, a spacecraft, card payments, and broken events.

A scene is an iterator of messages in the order of their times, so that one producer can interleave scenes.
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import psutil
from river import datasets

from tocsin.demo.cards import CardSimulator
from tocsin.demo.truth import WATER_SEGMENTS, Segment, Truth

WATER_SOURCE = "water-network"
SHUTTLE_SOURCE = "shuttle"
HOST_SOURCE = "this-machine"


@dataclass(frozen=True, slots=True)
class Message:
    """A record to produce ``at`` seconds after the start."""

    at: float
    topic: str
    key: str
    value: bytes


def water(duration: float, truth: Truth) -> Iterator[Message]:
    """Replay River's WaterFlow: two months of hourly flow through a real pipeline branch."""
    truth.segments.extend(WATER_SEGMENTS)
    rows = [(x["Time"].astimezone(UTC), flow) for x, flow in datasets.WaterFlow()]
    truth.record_times(WATER_SOURCE, [time.timestamp() for time, _ in rows])
    for i, (time, flow) in enumerate(rows):
        yield telemetry(duration * i / len(rows), WATER_SOURCE, time, {"flow": flow})


def shuttle(duration: float, truth: Truth, rows: int = 5_000) -> Iterator[Message]:
    """Replay the first rows of River's Shuttle: nine sensors of a spacecraft, anomalies labelled by UCI.

    The data carry no times; they are given one second each.
    """
    start = datetime(2026, 1, 1, tzinfo=UTC)
    for i, (x, anomalous) in enumerate(datasets.Shuttle().take(rows)):
        time = start + timedelta(seconds=i)
        if anomalous:
            truth.anomalous_record(SHUTTLE_SOURCE, time.timestamp())
        yield telemetry(duration * i / rows, SHUTTLE_SOURCE, time, x)


def cards(duration: float, truth: Truth, days: int = 60, seed: int = 7) -> Iterator[Message]:
    """Card payments with three kinds of fraud, simulated; a label for each a week (of their time) later."""
    simulator = CardSimulator(seed=seed, days=days)
    start, span = simulator.start.timestamp(), days * 86_400.0
    for topic, key, time, value in simulator.messages():
        if topic == "transactions":
            truth.transactions += 1
            if simulator.is_fraud(value["transaction_id"]):
                truth.frauds.add(value["transaction_id"])
        at = duration * (time - start) / span
        if at < duration:
            yield Message(at, topic, key, json.dumps(value).encode())


def broken(duration: float, seed: int = 7) -> Iterator[Message]:
    """Events as careless producers send them; each belongs in the dead letters."""
    chance = random.Random(seed)  # noqa: S311  a repeatable demo, not a secret
    now = datetime.now(UTC).isoformat()
    bad = (
        b"not json at all",
        b'{"source": "pump-1", "values": {"flow": 1.0}}',
        b'{"source": "pump-1", "timestamp": "yesterday", "values": {"flow": 1.0}}',
        b'{"source": "pump-1", "timestamp": "%s", "values": {"flow": NaN}}' % now.encode(),
        b'{"source": "pump-1", "timestamp": "%s", "values": {"flow": "high"}}' % now.encode(),
        b'{"source": "pump-1", "timestamp": "2999-01-01T00:00:00Z", "values": {"flow": 1.0}}',
        b"\xff\xfe\x00broken",
    )
    for i in range(len(bad) * 3):
        yield Message(
            duration * (i + chance.random()) / (len(bad) * 3), "telemetry", "pump-1", bad[i % len(bad)]
        )


def telemetry(at: float, source: str, time: datetime, values: dict[str, float]) -> Message:
    """Return a telemetry event as a message."""
    event = {"source": source, "timestamp": time.isoformat(), "values": values}
    return Message(at, "telemetry", source, json.dumps(event).encode())


class HostSampler:
    """This machine's own load, one reading per call, as rates since the call before.

    Examples
    --------
    >>> sorted(HostSampler().read())
    ['cpu_percent', 'disk_bytes_per_second', 'memory_percent', 'network_bytes_per_second']

    """

    def __init__(self) -> None:
        psutil.cpu_percent()
        self._before = self._counters()

    def read(self, seconds: float = 1.0) -> dict[str, float]:
        """Return the values since the last reading, ``seconds`` ago."""
        before, self._before = self._before, self._counters()
        disk, network = ((now - then) / seconds for now, then in zip(self._before, before, strict=True))
        return {
            "cpu_percent": psutil.cpu_percent(),
            "memory_percent": psutil.virtual_memory().percent,
            "disk_bytes_per_second": disk,
            "network_bytes_per_second": network,
        }

    @staticmethod
    def _counters() -> tuple[int, int]:
        disk, network = psutil.disk_io_counters(), psutil.net_io_counters()
        return (
            disk.read_bytes + disk.write_bytes if disk else 0,
            network.bytes_sent + network.bytes_recv if network else 0,
        )


def load_segment(start: float, end: float) -> Segment:
    """Return the mark of the load that the demo makes on this machine."""
    return Segment(HOST_SOURCE, start, end, "the processor load that the demo makes itself")


@contextlib.contextmanager
def processor_load() -> Iterator[None]:
    """Keep every processor of this machine busy for as long as the block runs."""
    context = multiprocessing.get_context("spawn")
    burners = [context.Process(target=_burn, daemon=True) for _ in range(os.cpu_count() or 1)]
    for burner in burners:
        burner.start()
    try:
        yield
    finally:
        for burner in burners:
            burner.terminate()
            burner.join()


def _burn() -> None:
    os.nice(10)  # the service under demonstration goes first
    while True:
        pass
