"""Notifications under way: made and written down, and not yet taken by all sinks of their receiver."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from alerts.notification import Delivery, Notification
from streams.codec import Reason
from streams.dead_letters import DeadLetter
from streams.delivery.ledger import Entry
from streams.delivery.queues import Result, SinkQueue

PREFIX = "notification/"
TYPE = "tocsin.notification.v1"
UNDELIVERED = ("failed", "dropped")


class Outbox:
    """What sinks have still to take, with each one's state.

    Parameters
    ----------
    sinks
        Names of the sinks of each receiver, in the order of the configuration.
    topics
        Kafka topics of each receiver.
    states
        From ``changes``, by key.

    """

    def __init__(
        self,
        sinks: Mapping[str, Sequence[str]],
        topics: Mapping[str, Sequence[str]],
        states: Mapping[str, bytes],
    ) -> None:
        self._sinks, self._topics = sinks, topics
        self._under_way: dict[int, Notification] = {}
        self._changed: set[int] = set()
        for key in sorted(states):
            if key.startswith(PREFIX):
                number = int(key.removeprefix(PREFIX))
                self._under_way[number] = Notification.model_validate_json(msgspec.msgpack.decode(states[key]))
        self._next = max(self._under_way, default=-1) + 1

    def __len__(self) -> int:
        return len(self._under_way)

    def make(self, notification: Notification) -> tuple[int, Notification, list[Entry]]:
        """Take in a new notification; return its number, how it is written, and what is to be written now."""
        wanted = notification.status != "suppressed"
        sinks = self._sinks.get(notification.receiver, ()) if wanted else ()
        topics = self._topics.get(notification.receiver, ()) if wanted else ()
        by_kafka = [
            Delivery(sink=f"{notification.receiver}/kafka/{i}", state="delivered", attempts=1, at=notification.at)
            for i, _ in enumerate(topics)
        ]
        pending = [Delivery(sink=sink, state="pending") for sink in sinks]
        notification = notification.model_copy(update={"deliveries": (*pending, *by_kafka)})
        number = self._next
        self._next += 1
        if pending:
            self._under_way[number] = notification
            self._changed.add(number)
        entries = [_entry(notification)]
        entries += [_entry(notification, topic) for topic in topics]
        return number, notification, entries

    def note(self, result: Result, now: float) -> list[Entry]:
        """Take in what became of a delivery, and return what is to be written: the new value, and a dead letter."""
        notification = self._under_way[result.number]
        delivery = Delivery(sink=result.sink, state=result.state, attempts=result.attempts, at=now, error=result.error)
        found = tuple(delivery if one.sink == result.sink else one for one in notification.deliveries)
        notification = notification.model_copy(update={"deliveries": found})
        self._changed.add(result.number)
        if any(one.state == "pending" for one in found):
            self._under_way[result.number] = notification
        else:
            del self._under_way[result.number]
        entries = [_entry(notification)]
        if result.state in UNDELIVERED:
            entries.append(_dead_letter(notification, delivery))
        return entries

    def pending(self) -> Iterator[tuple[int, str, Notification]]:
        """Yield what is still to be delivered, in order: number, sink, notification."""
        for number, notification in sorted(self._under_way.items()):
            for one in notification.deliveries:
                if one.state == "pending":
                    yield number, one.sink, notification

    def hand_out(self, queues: Mapping[str, SinkQueue], done: list[Result]) -> None:
        """Let all that is pending wait for its sink again; what is for one that is gone fails."""
        for number, sink, notification in list(self.pending()):
            if sink in queues:
                queues[sink].put(number, notification)
            else:
                done.append(Result(number, sink, "failed", 0, "this sink is no longer configured"))

    def changes(self) -> Iterator[tuple[str, bytes | None]]:
        """Yield the states that have changed since the last call; ``None`` for one that is gone."""
        for number in sorted(self._changed):
            notification = self._under_way.get(number)
            state = None if notification is None else msgspec.msgpack.encode(notification.encode())
            yield f"{PREFIX}{number:012}", state
        self._changed.clear()


def _entry(notification: Notification, topic: str = "notifications") -> Entry:
    return Entry(topic, notification.notification_id.encode(), notification.encode(), TYPE)


def _dead_letter(notification: Notification, delivery: Delivery) -> Entry:
    reason = Reason.UNDELIVERED
    letter = DeadLetter(
        reason=reason,
        detail=f"{delivery.sink}, {delivery.attempts} attempts: {delivery.error}",
        topic="notifications",
        partition=-1,
        offset=-1,
        timestamp=notification.at,
        value=base64.b64encode(notification.encode()).decode(),
    )
    key = notification.notification_id.encode()
    return Entry("dead-letters", key, letter.model_dump_json().encode(), "tocsin.dead-letter.v1")
