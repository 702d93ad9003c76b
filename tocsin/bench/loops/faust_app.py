"""A plain Faust agent: one event at a time, as Faust's documentation shows it."""

from __future__ import annotations

from typing import Any

import faust

from tocsin.bench.loops.forest import Forests, Place, place


def run(at: Place) -> None:
    """Consume until ended."""
    app = faust.App(
        at.group,
        broker=f"kafka://{at.servers}",
        store="memory://",
        consumer_auto_offset_reset="earliest",
        topic_disable_leader=True,
        web_enabled=False,
        autodiscover=False,
    )
    raw = {"key_serializer": "raw", "value_serializer": "raw"}
    telemetry, alerts, dead_letters = (app.topic(name, **raw) for name in (at.telemetry, at.alerts, at.dead_letters))
    forests = Forests()

    async def score(events: Any) -> None:
        async for key, value in events.items():
            try:
                alert = forests.alert(value)
            except ValueError:
                await dead_letters.send(key=key, value=value)
                continue
            if alert is not None:
                await alerts.send(key=key, value=alert)

    app.agent(telemetry)(score)
    faust.Worker(app, loglevel="WARNING").execute_from_commandline()


if __name__ == "__main__":
    run(place())
