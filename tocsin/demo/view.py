"""The demo's live terminal view."""

from __future__ import annotations

import time
from collections.abc import Mapping
from statistics import median
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from tocsin.demo.observer import STREAMS, Observer
from tocsin.demo.producer import DemoProducer

COLOURS = {"critical": "bold red", "warning": "yellow", "info": "cyan"}
HEADINGS = ("events/s", "events in", "lag", "event to alert", "alerts", "payments held up", "dead letters")
WIDTH = 110


class View:
    """Renders what the producer sends and what the observer sees."""

    def __init__(self, producer: DemoProducer, observer: Observer) -> None:
        self._producer, self._observer = producer, observer
        self._started = time.monotonic()
        self._last, self._last_sent, self._rate = self._started, 0, 0.0

    def __rich__(self) -> RenderableType:
        """Return the view as it is now."""
        elapsed, duration = time.monotonic() - self._started, self._producer.duration
        return Group(
            Text("Tocsin: events in on Kafka, explained alerts out", style="bold"),
            # A bar ends without a new line; the padding gives it one.
            Padding(ProgressBar(total=duration, completed=min(elapsed, duration)), (0, 0, 1, 0), expand=False),
            self._figures(),
            *(
                Panel(self._newest(stream), title=f"newest alerts of {stream}", title_align="left", width=WIDTH)
                for stream in STREAMS
            ),
        )

    def _figures(self) -> Table:
        observer = self._observer
        latencies = observer.latencies[-100:]
        held_up = sum(decision != "approve" for decision in list(observer.decisions.values()))
        table = Table(box=None, padding=(0, 3, 0, 0))
        for heading in HEADINGS:
            table.add_column(heading, justify="right", header_style="dim", no_wrap=True)
        table.add_row(
            f"{self._events_per_second():,.0f}",
            f"{self._producer.sent:,}",
            f"{observer.metric('tocsin_consumer_lag'):,.0f}",
            f"{median(latencies) * 1000:.0f} ms" if latencies else "–",
            str(len(observer.alerts)),
            f"{held_up} of {len(observer.decisions):,}",
            str(sum(observer.dead_letters.values())),
        )
        return table

    def _events_per_second(self) -> float:
        now, sent = time.monotonic(), self._producer.sent
        if now - self._last >= 1.0:
            self._rate = (sent - self._last_sent) / (now - self._last)
            self._last, self._last_sent = now, sent
        return self._rate

    def _newest(self, stream: str) -> RenderableType:
        newest = list(self._observer.newest[stream])
        if not newest:
            return Text("none yet: what is normal is being learned", style="dim")
        lines = Table.grid(padding=(0, 2, 0, 0))
        lines.add_column(no_wrap=True)
        lines.add_column(overflow="fold")
        for alert in newest:
            lines.add_row(*_line(alert))
        return lines


def _line(alert: Mapping[str, Any]) -> tuple[Text, Text]:
    return Text(alert["severity"], style=COLOURS.get(alert["severity"], "")), Text(alert["summary"])
