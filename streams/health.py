"""Answers `/healthz`, `/readyz` and `/metrics` over HTTP."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType

import structlog
from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from streams.settings import HttpSettings

log = structlog.get_logger(__name__)

Trouble = Callable[[], str | None]
"""Says what is wrong; ``None`` if nothing is."""


class HealthServer:
    """A worker's web server, for probes and Prometheus.

    Parameters
    ----------
    settings
        Where to listen.
    unhealthy, unready
        Say why the worker should be restarted, and why it takes no events yet.
    refresh
        Called before each scrape, to bring gauges up to date.

    """

    def __init__(
        self, settings: HttpSettings, unhealthy: Trouble, unready: Trouble, refresh: Callable[[], None]
    ) -> None:
        self._settings = settings
        self._unhealthy = unhealthy
        self._unready = unready
        self._refresh = refresh
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> HealthServer:
        app = web.Application()
        app.router.add_get("/healthz", lambda request: _answer(self._unhealthy()))
        app.router.add_get("/readyz", lambda request: _answer(self._unhealthy() or self._unready()))
        app.router.add_get("/metrics", self._metrics)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._settings.host, self._settings.port)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        log.info("http_started", host=host, port=port)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _metrics(self, request: web.Request) -> web.Response:
        self._refresh()
        return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})


async def _answer(trouble: str | None) -> web.Response:
    return web.Response(text="ok\n") if trouble is None else web.Response(text=f"{trouble}\n", status=503)
