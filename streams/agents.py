"""The Faust agents: one for each input topic, so that no topic waits in another's queue."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from streams.app import App
from streams.scheduler import MicroBatch


def add_agents(app: App, topics: Iterable[str], process: Callable[[MicroBatch], Awaitable[None]]) -> None:
    """Let an agent hand each micro-batch of its topic over."""

    async def agent(batches: Any) -> None:
        async for batch in batches:
            await process(batch)

    for topic in topics:
        app.agent(app.input_topic(topic), name=f"streams.{topic}")(agent)
