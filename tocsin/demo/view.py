"""The demo's live terminal view."""

from __future__ import annotations

import time

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from tocsin.demo.observer import Observer
from tocsin.demo.producer import DemoProducer

COLOURS = {"critical": "bold red", "warning": "yellow", "info": "cyan"}


class View:
    """Renders what the producer sends and what the observer sees."""

    def __init__(self, producer: DemoProducer, observer: Observer) -> None:
        self._producer, self._observer = producer, observer
        self._started = time.monotonic()
        self._last, self._last_sent, self._rate = self._started, 0, 0.0

    def __rich__(self) -> RenderableType:
        """Return the view as it is now."""
        elapsed = time.monotonic() - self._started
        return Group(
            Text("Tocsin: events in on Kafka, alerts out", style="bold"),
            ProgressBar(
                total=self._producer.duration, completed=min(elapsed, self._producer.duration), width=72
            ),
            self._figures(),
            Panel(self._newest(), title="newest alerts", title_align="left"),
        )

    def _figures(self) -> Table:
        observer, latencies = self._observer, self._observer.latencies[-200:]
        latency = f"{sorted(latencies)[len(latencies) // 2] * 1000:.0f} ms" if latencies else "–"
        flagged = sum(decision != "approve" for decision in observer.decisions.values())
        table = Table(box=None, padding=(0, 3, 0, 0))
        for heading in (
            "events/s",
            "events in",
            "lag",
            "event to alert",
            "alerts",
            "flagged payments",
            "dead letters",
        ):
            table.add_column(heading, justify="right")
        table.add_row(
            f"{self._events_per_second():,.0f}",
            f"{self._producer.sent:,}",
            f"{observer.metric('tocsin_consumer_lag'):,.0f}",
            latency,
            str(len(observer.alerts)),
            f"{flagged} of {len(observer.decisions):,}",
            str(sum(observer.dead_letters.values())),
        )
        return table

    def _events_per_second(self) -> float:
        now, sent = time.monotonic(), self._producer.sent
        if now - self._last >= 1.0:
            self._rate = (sent - self._last_sent) / (now - self._last)
            self._last, self._last_sent = now, sent
        return self._rate

    def _newest(self) -> RenderableType:
        lines = Text()
        for alert in list(self._observer.newest):
            lines.append(f"{alert['severity']:<9}", style=COLOURS.get(alert["severity"], ""))
            lines.append(f"{alert['summary']}\n")
        return lines or Text("none yet: detectors are learning what is normal", style="dim")
