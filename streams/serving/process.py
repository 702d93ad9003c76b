"""Runs `tocsin serve`: from its settings to its exit code."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import structlog
from aiohttp import web
from aiokafka.errors import KafkaError

from streams.health import HealthServer
from streams.schemas import EventLimits
from streams.serving.gateway import Gateway
from streams.serving.server import DecisionServer
from streams.serving.settings import ServeSettings
from streams.settings import EngineSettings
from streams.stopping import run_until_stopped
from streams.traces import program

log = structlog.get_logger(__name__)

PAUSE_SECONDS = 2.0
"""Before it begins anew when Kafka has failed it."""


def run_server(engine: EngineSettings, settings: ServeSettings, limits: EventLimits) -> int:
    """Answer until told to stop by SIGTERM or SIGINT, and return the exit code.

    Parameters
    ----------
    engine
        Connection, HTTP and log.
    settings
        Who may ask, and for how long answers may take.
    limits
        What a transaction may be.

    Returns
    -------
    int
        0 after a clean stop, 1 after a failure.

    """
    return run_until_stopped(engine.log, lambda stopping: _run(engine, settings, limits, stopping))


async def _run(engine: EngineSettings, settings: ServeSettings, limits: EventLimits, stopping: asyncio.Event) -> int:
    serving = Serving(engine, settings, limits)
    health = HealthServer(engine.http, lambda: None, serving.unready, lambda: None)
    try:
        async with health:
            following = asyncio.create_task(serving.run())
            stop = asyncio.create_task(stopping.wait())
            await asyncio.wait({following, stop}, return_when=asyncio.FIRST_COMPLETED)
            for task in (following, stop):
                task.cancel()
            (failure, _) = await asyncio.gather(following, stop, return_exceptions=True)
    except OSError as error:  # a port that is taken
        failure = error
    if isinstance(failure, Exception):
        log.error("server_failed", error=" ".join(str(failure).split()))
        return 1
    log.info("server_stopped")
    return 0


class Serving:
    """Answers as long as Kafka can be reached, and begins anew when it can again.

    Parameters
    ----------
    engine, settings, limits
        As above.

    """

    def __init__(self, engine: EngineSettings, settings: ServeSettings, limits: EventLimits) -> None:
        self._engine, self._settings, self._limits = engine, settings, limits
        self._gateway: Gateway | None = None

    def unready(self) -> str | None:
        """Say why nobody should ask here yet."""
        return None if self._gateway is not None and self._gateway.ready else "not yet connected with Kafka"

    async def run(self) -> None:
        """Serve, for ever."""
        while True:
            self._gateway = Gateway(self._engine.kafka, self._settings.remember)
            try:
                async with self._listening(self._gateway):
                    await self._gateway.run()
            except KafkaError as error:
                log.warning("server_begins_anew", error=str(error) or type(error).__name__)
            await asyncio.sleep(PAUSE_SECONDS)

    @contextlib.asynccontextmanager
    async def _listening(self, gateway: Gateway) -> AsyncIterator[None]:
        app = DecisionServer(self._settings, self._limits, gateway, program()).app()
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        try:
            await web.TCPSite(runner, self._settings.host, self._settings.port).start()
            host, port = runner.addresses[0][:2]
            log.info("decisions_served", host=host, port=port)
            yield
        finally:
            await runner.cleanup()
