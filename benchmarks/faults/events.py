"""Mixed events, the same for the same seed: telemetry with anomalies, payments, labels, and what is malformed."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Iterator
from itertools import islice
from typing import Any, NamedTuple

from tocsin.demo.cards import CardSimulator

START = 1_767_225_600.0  # 2026-01-01T00:00:00Z
STEP = 60.0
TELEMETRY, PAYMENTS = 0.72, 0.16
"""Shares of all events; about as many labels as payments follow, with those about telemetry, and the rest is broken."""

PORTIONS = 40
"""Labels are sent before the events of their portion: only to later records does a label apply."""


class Message(NamedTuple):
    """A record to produce."""

    topic: str
    key: bytes | None
    value: bytes | None


class Portion(NamedTuple):
    """Labels, and the events that come after them."""

    labels: list[Message]
    events: list[Message]


class Machine:
    """A source: its values have a period and noise, and now and then something is wrong for a while."""

    def __init__(self, number: int, chance: random.Random) -> None:
        self.name = f"machine-{number:03d}"
        self._chance = chance
        self._values = ("temperature", "flow", "load")[: 3 if number % 8 == 0 else 1]
        self._level = chance.uniform(-50, 50)
        self._period = chance.choice((24, 60, 144, 288))
        self._named = number % 2 == 0
        self._count = 0
        self._time = START + number
        self._wrong, self._left = "", 0

    def event(self) -> tuple[dict[str, Any], str]:
        """Return the next event, and what is wrong with it; "" if nothing is."""
        self._count += 1
        self._time += STEP
        if self._left:
            self._left -= 1
        else:
            self._wrong = ""
            if self._chance.random() < 0.002:
                self._wrong = self._chance.choice(("spike", "level", "stuck", "gap"))
                self._left = {"spike": 0, "gap": 0, "level": 80, "stuck": 60}[self._wrong]
                self._time += 6 * 3600 * (self._wrong == "gap")
        values = {name: self._reading(place) for place, name in enumerate(self._values)}
        event: dict[str, Any] = {"source": self.name, "timestamp": round(self._time, 3), "values": values}
        if self._named:
            event["event_id"] = f"{self.name}/{self._count}"
        return event, self._wrong

    def _reading(self, place: int) -> float:
        if self._wrong == "stuck":
            return self._level
        usual = self._level + 5 * math.sin(self._count / self._period * math.tau + place) + self._chance.gauss(0, 0.5)
        return round(usual + {"spike": 40, "level": 12}.get(self._wrong, 0), 4)


def mixed(count: int, sources: int = 400, seed: int = 5) -> list[Portion]:
    """Return about ``count`` events in portions.

    Parameters
    ----------
    count
        Of all topics together.
    sources
        How many sources send telemetry; a fifth as many cards pay.
    seed
        The same seed gives the same events.

    """
    chance = random.Random(seed)
    machines = [Machine(number, chance) for number in range(sources)]
    payments = _payments(int(count * PAYMENTS), seed)
    per_portion = math.ceil(count * (TELEMETRY + PAYMENTS) / PORTIONS)
    portions = []
    labelled: list[Message] = []
    for number in range(PORTIONS):
        labels, labelled = labelled, []
        events, paid = [], set()
        for _ in range(per_portion):
            if chance.random() < PAYMENTS / (TELEMETRY + PAYMENTS):
                topic, key, _, value = next(payments)
                while topic == "labels":
                    # Not before its payment is in Kafka: other partitions would know that or not, as it happens.
                    (labelled if value["id"] in paid else labels).append(_message(topic, key, value))
                    topic, key, _, value = next(payments)
                paid.add(value["transaction_id"])
                events.append(_message(topic, key, value))
            else:
                event, wrong = chance.choice(machines).event()
                events.append(_message("telemetry", event["source"], event))
                if wrong and chance.random() < 0.3:
                    labelled.append(_label(event, wrong, len(labelled), number))
            if chance.random() < 0.01:
                events.append(_broken(chance, events[-1]))
        portions.append(Portion(labels, events))
    return portions


def _payments(count: int, seed: int) -> Iterator[tuple[str, str, float, dict[str, object]]]:
    days = 60
    customers = math.ceil(count / days / 1.8) + 5
    simulator = CardSimulator(seed=seed, days=days, customers=customers, terminals=2 * customers, fraud_rate=5)
    return islice(simulator.messages(), 2 * count + 1000)


def _label(event: dict[str, Any], wrong: str, number: int, portion: int) -> Message:
    about: dict[str, Any] = {"label": wrong in ("level", "gap"), "timestamp": event["timestamp"] + STEP, "by": "ann"}
    if "event_id" in event:
        about["id"] = event["event_id"]
    else:
        about |= {"id": f"verdict-{portion}-{number}", "source": event["source"], "at": event["timestamp"]}
    return _message("labels", about["id"], about)


def _broken(chance: random.Random, near: Message) -> Message:
    """Return a record that cannot be taken, or one that is there already."""
    kind = chance.randrange(6)
    if kind == 0:
        return near
    if kind == 1:
        return Message(near.topic, b"someone else", near.value)
    value = (b"{", None, b"\xff\x00\xfe", b'{"source": "machine-000", "timestamp": 1, "values": {"x": "NaN"}}')[
        kind - 2
    ]
    return Message(near.topic, near.key, value)


def _message(topic: str, key: str, value: object) -> Message:
    return Message(topic, key.encode(), json.dumps(value).encode())
