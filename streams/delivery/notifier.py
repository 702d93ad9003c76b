"""Reads alerts, makes notifications and hands them to the sinks: one step after the other, each written as one."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import structlog
from aiokafka.errors import RequestTimedOutError

from alerts.action import Action
from alerts.actions import ActionCommand, Actions
from alerts.dispatch import Dispatcher, Outcome, StateFormatError
from alerts.happening import IncidentCommand
from alerts.incident import Incident
from alerts.incident_alert import as_alert
from alerts.incident_settings import IncidentSettings
from alerts.notification import Notification
from alerts.templates import Renderer, TemplateFailedError, Templates
from streams import metrics as common
from streams.codec import Rejected
from streams.dead_letters import dead_letter
from streams.delivery import metrics
from streams.delivery.action_runner import ActionRunner
from streams.delivery.decoding import alert_in, change_in, incident_command_in, silence_in
from streams.delivery.inbox import Inbox
from streams.delivery.incident_desk import IncidentDesk
from streams.delivery.ledger import Entry, Ledger
from streams.delivery.outbox import UNDELIVERED, Outbox
from streams.delivery.queues import Result, SinkQueue
from streams.delivery.settings import NotifySettings
from streams.delivery.sink import RepeatingSink, Sink, SinkError
from streams.lease import Lease
from streams.processor import Output, Record
from streams.settings import KafkaSettings

log = structlog.get_logger(__name__)

POSITIONS = "positions"
SILENCE_TYPE, INCIDENT_TYPE, ACTION_TYPE = "tocsin.silence.v1", "tocsin.incident.v1", "tocsin.action.v1"
TICK_SECONDS = 0.25
FINISH_SECONDS = 3.0


class Notifier:
    """The active process: it owns the states, and all writing goes through its loop.

    A step takes in what has come, asks what is due, and writes notifications, states and positions in one transaction;
    only then do sinks hear of them. What a sink has taken is written with the next step. So a crash loses nothing, and
    repeats at most what a sink had taken and that was not yet written: under the same id.

    Parameters
    ----------
    settings
        Whom to tell what.
    incidents
        How alerts become incidents.
    kafka
        The connection.
    lease
        The right to write and to tell.
    sinks
        By name, ``receiver/kind/number``.
    runner
        Does what actions say.

    """

    def __init__(
        self,
        settings: NotifySettings,
        incidents: IncidentSettings,
        kafka: KafkaSettings,
        lease: Lease,
        sinks: Mapping[str, Sink],
        runner: ActionRunner,
    ) -> None:
        self._settings, self._incidents, self._kafka, self._lease = settings, incidents, kafka, lease
        self._results: list[Result] = []
        self._runner = runner
        self._wake = runner.wake
        self._queues = {name: SinkQueue(name, sink, settings.retry, lease, self._done) for name, sink in sinks.items()}
        metrics.expect(self._queues)
        self._renderer, self._plain = Renderer(settings.templates), Renderer(Templates())
        self._now = 0.0
        self._finishing = False
        self.ready = False

    async def run(self) -> None:
        """Go on from what was written last, for ever."""
        ledger = Ledger(self._kafka, self._lease)
        async with contextlib.AsyncExitStack() as stack:
            stack.push_async_callback(ledger.close)
            await self._restore(await ledger.open())
            stack.push_async_callback(self._inbox.close)
            entries: list[Entry | Output] = []
            for record in await self._inbox.open():
                entries += self._take(record, fresh=record.offset >= self._inbox.positions.get(_place(record), 0))
            self._now = max(self._now, time.time())
            entries += self._acted(self._actions.interrupt(self._now))
            stack.push_async_callback(self._runner.close)
            self._outbox.hand_out(self._queues, self._results)
            self._deliveries = [asyncio.create_task(queue.run()) for queue in self._queues.values()]
            self._stepping = asyncio.create_task(self._steps(ledger, entries))
            repeating = [
                asyncio.create_task(self._repeat(name, queue.sink))  # type: ignore[arg-type]
                for name, queue in self._queues.items()
                if hasattr(queue.sink, "resend")
            ]
            tasks = [*self._deliveries, *repeating, self._stepping]
            stack.push_async_callback(_end, tasks)
            self.ready = True
            log.info("notifier_active", alerts=self._dispatcher.alerts, under_way=len(self._outbox))
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
            for task in done:
                task.result()

    async def finish(self) -> None:
        """End in order: what sinks are just taking is waited for and written down."""
        if not self.ready:
            return
        for queue in self._queues.values():
            queue.close()
        await self._runner.close(FINISH_SECONDS)
        if self._deliveries:
            await asyncio.wait(self._deliveries, timeout=FINISH_SECONDS)
        self._finishing = True
        self._wake.set()
        await asyncio.wait([self._stepping], timeout=FINISH_SECONDS)

    def refresh_metrics(self) -> None:
        """Bring gauges up to date."""
        if not self.ready:
            return
        metrics.ALERTS.set(self._dispatcher.alerts)
        metrics.INCIDENTS.set(self._desk.active)
        metrics.GROUPS.set(self._dispatcher.groups)
        metrics.SILENCES.set(len(self._dispatcher.silences))
        for name, queue in self._queues.items():
            metrics.WAITING.labels(name).set(len(queue))
        common.set_lags(self._inbox.lags())

    async def _restore(self, states: Mapping[str, bytes]) -> None:
        settings = self._settings
        self._dispatcher = Dispatcher(
            settings.route,
            settings.inhibit_rules,
            whole={receiver.name for receiver in settings.receivers if receiver.alertmanager},
            max_alerts=settings.max_alerts,
            keep_silences=settings.keep_silences,
            states=states,
        )
        self._desk = IncidentDesk(self._incidents, states, time.time())
        self._outbox = Outbox(
            {r.name: [name for name in self._queues if name.rsplit("/", 2)[0] == r.name] for r in settings.receivers},
            {r.name: [sink.topic for sink in r.kafka] for r in settings.receivers},
            states,
        )
        runbooks = self._incidents.runbooks if settings.actions.enabled else ()
        try:
            self._actions = Actions(runbooks, states)
        except ValueError as error:
            raise StateFormatError(str(error)) from error
        stored = msgspec.msgpack.decode(states[POSITIONS]) if POSITIONS in states else []
        self._inbox = Inbox(self._kafka, {(topic, partition): offset for topic, partition, offset in stored})

    async def _steps(self, ledger: Ledger, entries: list[Entry | Output]) -> None:
        fetching: asyncio.Task[list[Record]] | None = None
        try:
            while True:
                fetching = fetching or asyncio.create_task(self._inbox.fetch(TICK_SECONDS))
                woken = asyncio.create_task(self._wake.wait())
                await asyncio.wait({fetching, woken}, return_when=asyncio.FIRST_COMPLETED)
                woken.cancel()
                self._wake.clear()
                records: list[Record] = []
                if fetching.done():
                    records, fetching = fetching.result(), None
                with metrics.STEP_SECONDS.time():
                    await self._step(ledger, records, entries)
                entries = []
                if self._finishing and not self._results:
                    return
        finally:
            if fetching is not None:
                fetching.cancel()

    async def _step(self, ledger: Ledger, records: Sequence[Record], entries: list[Entry | Output]) -> None:
        self._now = max(self._now, time.time())
        for record in records:
            entries += self._take(record, fresh=True)
        for ended in self._runner.ended():
            entries += self._acted(
                self._actions.ended(ended.action_id, ok=ended.ok, detail=ended.detail, now=self._now)
            )
        if self._inbox.caught_up:
            entries += self._said(self._desk.advance(self._now))
            entries += self._acted(self._actions.advance(self._now))
        results, self._results = self._results, []
        for result in results:
            entries += self._outbox.note(result, self._now)
        made: list[tuple[int, Notification]] = []
        if self._inbox.caught_up:
            outcome = self._dispatcher.tick(self._now)
            entries += self._follows(outcome, made)
        states = [*self._dispatcher.changes(), *self._desk.changes(), *self._actions.changes(), *self._outbox.changes()]
        if records or entries:
            states.append((POSITIONS, self._positions()))
        if states:
            await ledger.write(entries, states)
        for run in self._actions.runs():  # now that it is written that they run
            self._runner.start(run)
        self._count(results, made, entries)
        for number, notification in made:
            for one in notification.deliveries:
                if one.state == "pending":
                    self._queues[one.sink].put(number, notification)

    def _take(self, record: Record, *, fresh: bool) -> list[Entry | Output]:
        """Take in a record; what cannot be read is a dead letter, once."""
        self._now = max(self._now, time.time())
        entries: list[Entry | Output] = []
        found: object = None
        if record.topic == "alerts" and record.value is not None:
            found = alert_in(record)
            if not isinstance(found, Rejected):
                entries += self._said(self._desk.take(found, self._now))
                if self._settings.tell != "incidents":
                    self._dispatcher.take(self._now, found)
        elif record.topic == "changes":
            change = change_in(record)
            entries += self._said(() if change is None else self._desk.take(change, self._now))
        elif record.topic == "commands":
            command = incident_command_in(record)
            if isinstance(command, ActionCommand):
                entries += self._acted(self._actions.obey(command, self._now))
            elif command is not None:
                entries += self._said(self._desk.take(command, self._now))
        elif record.topic == "silences" and record.key is not None:
            found = silence_in(record) if record.value is not None else None
            if not isinstance(found, Rejected):
                self._dispatcher.silence(record.key.decode(errors="replace"), found)
        if fresh:
            self._inbox.take(record)
            if isinstance(found, Rejected):
                entries.append(dead_letter(record, found))
        return entries

    def _said(self, incidents: Sequence[Incident]) -> list[Entry]:
        """Publish what incidents are now, and tell of them if they are what is told of."""
        if self._settings.tell != "alerts":
            for incident in incidents:
                self._dispatcher.take(self._now, as_alert(incident), incident)
        entries = [Entry("incidents", one.incident_id.encode(), one.encode(), INCIDENT_TYPE) for one in incidents]
        for incident in incidents:
            entries += self._acted(self._actions.see(incident, self._now))
        return entries

    def _acted(self, actions: Sequence[Action]) -> list[Entry]:
        """Publish what actions are now, and put it into the timelines of their incidents."""
        entries = [Entry("actions", one.action_id.encode(), one.encode(), ACTION_TYPE) for one in actions]
        for action in actions:
            metrics.ACTIONS.labels(action.state.value).inc()
            note = IncidentCommand(
                verb="note", incident_id=action.incident_id, timestamp=self._now, by="tocsin", text=action.sentence
            )
            entries += self._said(self._desk.take(note, self._now))
        return entries

    def _follows(self, outcome: Outcome, made: list[tuple[int, Notification]]) -> list[Entry]:
        entries = [Entry("silences", one.silence_id.encode(), one.encode(), SILENCE_TYPE) for one in outcome.ended]
        entries += [Entry("silences", key.encode(), None, SILENCE_TYPE) for key in outcome.forgotten]
        for notification in outcome.notifications:
            number, written, to_write = self._outbox.make(self._worded(notification))
            made.append((number, written))
            entries += to_write
        return entries

    def _worded(self, notification: Notification) -> Notification:
        if notification.status == "suppressed":
            return notification
        try:
            return self._renderer.render(notification)
        except TemplateFailedError as error:
            metrics.TEMPLATES_FAILED.inc()
            log.error("template_failed", error=str(error), notification=notification.notification_id)  # noqa: TRY400
            return self._plain.render(notification)

    def _positions(self) -> bytes:
        found = [(topic, partition, offset) for (topic, partition), offset in sorted(self._inbox.positions.items())]
        return msgspec.msgpack.encode(found)

    def _done(self, result: Result) -> None:
        self._results.append(result)
        self._wake.set()

    def _count(
        self, results: Sequence[Result], made: Sequence[tuple[int, Notification]], entries: Sequence[Entry | Output]
    ) -> None:
        for result in results:
            if result.state != "dropped" and result.sink in self._queues:
                self._queues[result.sink].written()
            metrics.DELIVERIES.labels(result.sink, result.state).inc()
            if result.state in UNDELIVERED:
                common.DEAD_LETTERS.labels("undelivered").inc()
        common.count_outputs(entry for entry in entries if isinstance(entry, Output))
        for _, notification in made:
            metrics.NOTIFICATIONS.labels(notification.receiver, notification.status).inc()
            for one in notification.deliveries:
                if one.state == "delivered":
                    metrics.DELIVERIES.labels(one.sink, one.state).inc()
            log.info(
                "notification_made",
                notification=notification.notification_id,
                receiver=notification.receiver,
                status=notification.status,
                firing=notification.firing,
                resolved=notification.resolved,
                suppressed=notification.suppressed_count,
            )
        metrics.ALERTS_DROPPED.inc(self._dispatcher.dropped)
        self._dispatcher.dropped = 0

    async def _repeat(self, name: str, sink: RepeatingSink) -> None:
        """Tell a sink that forgets of all that fires, at once and then time and again."""
        receiver = name.rsplit("/", 2)[0]
        while True:
            try:
                self._lease.check()
                if self._inbox.caught_up:
                    await sink.resend(lambda: self._dispatcher.told_and_firing(receiver), time.time())
            except SinkError as error:
                metrics.RESENDS_FAILED.labels(name).inc()
                log.warning("resend_failed", sink=name, error=str(error))
            except RequestTimedOutError:
                pass  # the group may have given this process up: it has nothing to say until that is known
            await asyncio.sleep(sink.resend_interval if self._inbox.caught_up else TICK_SECONDS)


def _place(record: Record) -> tuple[str, int]:
    return record.topic, record.partition


async def _end(tasks: Sequence[asyncio.Future[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
