"""What the demo produces: this machine, a water network, a spacecraft, card payments, and broken events.

A scene is an iterator of messages in the order in which they are to be produced, so that one producer can interleave
scenes. Events that are replayed keep their own times, in the past; only how fast they come is the demo's.
"""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from tocsin.demo.cards import DAY, CardSimulator
from tocsin.demo.truth import WATER_SEGMENTS, Segment, Truth

WATER_SOURCE = "water-network"
SHUTTLE_SOURCE = "shuttle"
BROKEN_SOURCE = "pump-1"

SHUTTLE_EPISODES = 5
SHUTTLE_EPISODE_RECORDS = 70
"""As many labelled records as the data have: 7 % of 5,000."""


@dataclass(frozen=True, slots=True)
class Message:
    """A record to produce ``at`` seconds after the start."""

    at: float
    topic: str
    key: str
    value: bytes


def water(duration: float, truth: Truth, suffix: str = "") -> Iterator[Message]:
    """Replay River's WaterFlow: two months of hourly flow through a real pipeline branch."""
    from river import datasets  # noqa: PLC0415 - start-up time

    source = WATER_SOURCE + suffix
    truth.mark(source, WATER_SEGMENTS, slack=6 * 3600.0)
    rows = [(x["Time"].astimezone(UTC), flow) for x, flow in datasets.WaterFlow()]
    truth.note_times(source, [time.timestamp() for time, _ in rows])
    for i, (time, flow) in enumerate(rows):
        yield telemetry(duration * i / len(rows), source, time, {"flow": flow})


def shuttle(duration: float, truth: Truth, rows: int = 5_000, suffix: str = "") -> Iterator[Message]:
    """Replay records of River's Shuttle: nine sensors of a spacecraft, with a class for each record.

    NASA recorded them in the order of time, but they were published in random order and without times. So labelled
    records stand alone between normal ones, which no spacecraft does. Here each fault lasts: normal records in
    their order, and between them five episodes of labelled records in theirs. Each record gets a second.
    """
    source, start = SHUTTLE_SOURCE + suffix, datetime(2026, 1, 1, tzinfo=UTC)
    begun: float | None = None
    marks: list[Segment] = []
    for i, (values, anomalous) in enumerate(_shuttle_rows(rows)):
        time = start + timedelta(seconds=i)
        if anomalous:
            begun = time.timestamp() if begun is None else begun
        elif begun is not None:
            marks.append(Segment(begun, time.timestamp() - 1.0, "records of classes other than Rad Flow"))
            begun = None
            truth.mark(source, marks, slack=10.0)
        yield telemetry(duration * i / rows, source, time, values)


def _shuttle_rows(rows: int) -> Iterator[tuple[Mapping[str, float], bool]]:
    from river import datasets  # noqa: PLC0415 - start-up time

    normal = (x for x, anomalous in datasets.Shuttle() if not anomalous)
    labelled = (x for x, anomalous in datasets.Shuttle() if anomalous)
    calm = (rows - SHUTTLE_EPISODES * SHUTTLE_EPISODE_RECORDS) // (SHUTTLE_EPISODES + 1)
    for _ in range(SHUTTLE_EPISODES):
        yield from ((x, False) for x in itertools.islice(normal, calm))
        yield from ((x, True) for x in itertools.islice(labelled, SHUTTLE_EPISODE_RECORDS))
    yield from ((x, False) for x in itertools.islice(normal, calm))


def cards(duration: float, truth: Truth, days: int = 90, seed: int = 7, suffix: str = "") -> Iterator[Message]:
    """Card payments with three kinds of fraud, simulated; a label for each a week (of their time) later."""
    simulator = CardSimulator(seed=seed, days=days)
    start, span = simulator.start.timestamp(), days * DAY
    for topic, key, time, value in simulator.messages():
        at = duration * (time - start) / span
        if at >= duration:
            return  # what is left are labels that come after the last payment
        if topic == "transactions":
            name = str(value["transaction_id"])
            truth.payment(name + suffix, key + suffix, time, fraud=simulator.is_fraud(name))
        named = {name: text + suffix for name, text in value.items() if name in NAMES and isinstance(text, str)}
        yield Message(at, topic, key + suffix, json.dumps(value | named).encode())


NAMES = frozenset({"transaction_id", "account", "counterparty", "id"})


def broken(duration: float, truth: Truth, seed: int = 7, times: int = 3) -> Iterator[Message]:
    """Events as careless producers send them; each belongs in the dead letters."""
    chance = random.Random(seed)  # noqa: S311  a repeatable demo, not a secret
    now = datetime.now(UTC).isoformat().encode()
    event = b'{"source": "pump-1", "timestamp": "%s", "values": {"flow": %s}}'
    bad = (
        b"not json at all",
        b'{"source": "pump-1", "values": {"flow": 1.0}}',
        event % (b"yesterday", b"1.0"),
        event % (now, b"NaN"),
        event % (now, b'"high"'),
        event % (b"2999-01-01T00:00:00Z", b"1.0"),
        b"\xff\xfe\x00broken",
    )
    truth.broken += len(bad) * times
    for i, value in enumerate(bad * times):
        yield Message(duration * (i + chance.random()) / (len(bad) * times), "telemetry", BROKEN_SOURCE, value)


def telemetry(at: float, source: str, time: datetime, values: Mapping[str, float]) -> Message:
    """Return a telemetry event as a message."""
    event = {"source": source, "timestamp": time.isoformat(), "values": values}
    return Message(at, "telemetry", source, json.dumps(event).encode())
