"""Runs `tocsin notify`: from its settings to its exit code."""

from __future__ import annotations

import asyncio

import aiohttp
import structlog
from aiokafka.errors import KafkaError

from alerts.incident_settings import IncidentSettings
from alerts.notification import NotifiedAlert
from alerts.templates import Renderer, TemplateFailedError
from streams.changelog import TopicError
from streams.delivery import metrics
from streams.delivery.action_runner import ActionRunner
from streams.delivery.alertmanager import AlertmanagerSink
from streams.delivery.chat import AppriseSink
from streams.delivery.leadership import Leadership
from streams.delivery.ledger import changelog_topic, notify_group, prepare
from streams.delivery.notifier import Notifier
from streams.delivery.settings import NotifySettings
from streams.delivery.sink import Sink
from streams.delivery.webhook import WebhookSink
from streams.health import HealthServer
from streams.lease import LeaseLostError
from streams.settings import EngineSettings
from streams.stopping import run_until_stopped

log = structlog.get_logger(__name__)

PAUSE_SECONDS = 2.0
"""Before it begins anew when Kafka has failed it."""


def run_notifier(engine: EngineSettings, settings: NotifySettings, incidents: IncidentSettings) -> int:
    """Tell people until told to stop by SIGTERM or SIGINT, and return the exit code.

    Parameters
    ----------
    engine
        Connection, HTTP and log.
    settings
        Whom to tell what.
    incidents
        How alerts become incidents.

    Returns
    -------
    int
        0 after a clean stop, 1 after a failure.

    """
    return run_until_stopped(engine.log, lambda stopping: _run(engine, settings, incidents, stopping))


def check_services(settings: NotifySettings) -> None:
    """Find out whether Apprise knows its addresses.

    Raises
    ------
    ValueError
        If one is unknown; the message begins with the setting's path.

    """
    for place, receiver in enumerate(settings.receivers):
        for number, service in enumerate(receiver.apprise):
            try:
                AppriseSink(service)
            except ValueError as error:
                raise ValueError(f"notify.receivers.{place}.apprise.{number}.url: {error}") from None


def make_sinks(settings: NotifySettings, session: aiohttp.ClientSession) -> dict[str, Sink]:
    """Return the sinks by name, ``receiver/kind/number``."""
    renderer = Renderer(settings.templates)

    def link(alert: NotifiedAlert) -> str:
        try:
            return renderer.link(alert)
        except TemplateFailedError:
            metrics.TEMPLATES_FAILED.inc()
            return ""

    found: dict[str, Sink] = {}
    for receiver in settings.receivers:
        of_receiver: dict[str, list[Sink]] = {
            "alertmanager": [AlertmanagerSink(one, session, link) for one in receiver.alertmanager],
            "webhook": [WebhookSink(one, session) for one in receiver.webhook],
            "apprise": [AppriseSink(one) for one in receiver.apprise],
        }
        for kind, sinks in of_receiver.items():
            found |= {f"{receiver.name}/{kind}/{number}": sink for number, sink in enumerate(sinks)}
    return found


async def _run(
    engine: EngineSettings, settings: NotifySettings, incidents: IncidentSettings, stopping: asyncio.Event
) -> int:
    kafka = engine.kafka
    try:
        topics = [sink.topic for receiver in settings.receivers for sink in receiver.kafka]
        await prepare(kafka, [*topics, "actions"] if settings.actions.enabled else topics)
        async with aiohttp.ClientSession() as session:
            return await Process(engine, settings, incidents, session).run(stopping)
    except (TopicError, KafkaError, OSError) as error:
        log.error("notifier_failed", error=" ".join(str(error).split()))  # noqa: TRY400 - one line says it all
        return 1


class Process:
    """Stands by until the group makes it the active one.

    Parameters
    ----------
    engine, settings, incidents
        As above.
    session
        HTTP connections of the sinks.

    """

    def __init__(
        self,
        engine: EngineSettings,
        settings: NotifySettings,
        incidents: IncidentSettings,
        session: aiohttp.ClientSession,
    ) -> None:
        self._engine, self._settings, self._incidents, self._session = engine, settings, incidents, session
        kafka = engine.kafka
        self._leadership = Leadership(kafka, notify_group(kafka), changelog_topic(kafka))
        self._notifier: Notifier | None = None
        self._lost = asyncio.Event()
        self._leadership.lease.on_lost = self._lost.set
        self._joined = False

    async def run(self, stopping: asyncio.Event) -> int:
        """Work until told to stop, and return the exit code."""
        health = HealthServer(self._engine.http, self._unhealthy, self._unready, self._refresh)
        async with health:
            log.info("notifier_started", group=notify_group(self._engine.kafka))
            await self._leadership.start()
            self._joined = True
            working = asyncio.create_task(self._work())
            waiting = [asyncio.create_task(one.wait()) for one in (stopping, self._lost)]
            await asyncio.wait({working, *waiting}, return_when=asyncio.FIRST_COMPLETED)
            failure = working.exception() if working.done() else None
            if self._notifier is not None and failure is None and not self._lost.is_set():
                await self._notifier.finish()
            for task in (working, *waiting):
                task.cancel()
            await asyncio.gather(working, *waiting, return_exceptions=True)
            self._leadership.lease.release()
            await self._leadership.stop()
            if failure is not None:
                log.error("notifier_failed", error=str(failure), exc_info=failure)
            clean = failure is None and not self._lost.is_set()
            log.info("notifier_stopped", clean=clean)
            return 0 if clean else 1

    async def _work(self) -> None:
        leadership = self._leadership
        while True:
            await leadership.held.wait()
            leadership.idle.clear()
            leadership.lease.hold()
            try:
                await self._be_active()
            finally:
                self._notifier = None
                metrics.ACTIVE.set(0)
                leadership.lease.release()
                leadership.idle.set()

    async def _be_active(self) -> None:
        """Tell people until the group gives this process up; begin anew when Kafka has failed it."""
        leadership = self._leadership
        sinks = make_sinks(self._settings, self._session)
        runner = ActionRunner(self._settings.actions, self._session)
        self._notifier = Notifier(self._settings, self._incidents, self._engine.kafka, leadership.lease, sinks, runner)
        metrics.ACTIVE.set(1)
        active = asyncio.create_task(self._notifier.run())
        given_up = asyncio.create_task(leadership.given_up.wait())
        try:
            await asyncio.wait({active, given_up}, return_when=asyncio.FIRST_COMPLETED)
            if not active.done():
                await self._notifier.finish()
        finally:
            active.cancel()
            given_up.cancel()
            (ended, _) = await asyncio.gather(active, given_up, return_exceptions=True)
        if isinstance(ended, LeaseLostError) or not isinstance(ended, KafkaError):
            if isinstance(ended, Exception):
                raise ended
            return
        log.warning("notifier_begins_anew", error=str(ended) or type(ended).__name__)
        await asyncio.sleep(PAUSE_SECONDS)

    def _unhealthy(self) -> str | None:
        return "the group has given this process up" if self._lost.is_set() else None

    def _unready(self) -> str | None:
        if not self._joined:
            return "not yet in the group"
        if self._notifier is not None and not self._notifier.ready:
            return "reading what was written last"
        return None

    def _refresh(self) -> None:
        if self._notifier is not None:
            self._notifier.refresh_metrics()
