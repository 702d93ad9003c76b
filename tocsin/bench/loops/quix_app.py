"""An application of Quix Streams."""

from __future__ import annotations

from typing import Any

from quixstreams import Application
from quixstreams.models.topics import Topic

from tocsin.bench.loops.forest import Forests, Place, place


def run(at: Place) -> None:
    """Consume until ended."""
    app = Application(at.servers, consumer_group=at.group, auto_offset_reset="earliest", loglevel="WARNING")
    telemetry = app.topic(at.telemetry, value_deserializer="bytes")
    alerts = app.topic(at.alerts, value_serializer="bytes")
    dead_letters = app.topic(at.dead_letters, value_serializer="bytes")
    forests = Forests()

    def judge(value: bytes) -> list[bytes]:
        try:
            alert = forests.alert(value)
        except ValueError:
            return [value]
        return [] if alert is None else [alert]

    def where(value: bytes, *_: Any) -> Topic:
        return alerts if value.startswith(b"{") else dead_letters

    app.dataframe(telemetry).apply(judge, expand=True).to_topic(where)
    app.run()


if __name__ == "__main__":
    run(place())
