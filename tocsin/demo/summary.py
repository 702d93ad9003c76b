"""The demo's last words: what went in, what came out, and how right it was."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from tocsin.demo.observer import Observer
from tocsin.demo.truth import Truth


def summarise(truth: Truth, observer: Observer, events: int, seconds: float) -> dict[str, Any]:
    """Return the summary as one JSON object.

    Parameters
    ----------
    truth
        What is known of the events that were produced.
    observer
        What came out.
    events
        How many were produced, labels and broken ones included.
    seconds
        How long it took.

    """
    fired = list(observer.alerts.values())
    judged = truth.judge(fired)
    flagged = {name for name, decision in observer.decisions.items() if decision != "approve"}
    return {
        "duration_seconds": round(seconds, 1),
        "events_in": events,
        "events_per_second": round(events / seconds, 1),
        "alerts": len(fired),
        "alerts_by_kind": _counted(alert["kind"] for alert in fired),
        "alerts_by_source": _counted(alert["source"] for alert in fired if alert["stream"] == "telemetry"),
        "true_alerts": judged.true,
        "true_alerts_by_stream": _counted(alert["stream"] for alert in fired if truth.verdict(alert) == "true"),
        "false_alerts": judged.false,
        "unjudged_alerts": judged.unjudged,
        "known_anomalies": {"total": judged.total, "found": judged.found},
        "transactions": len(observer.decisions),
        "decisions": _counted(observer.decisions.values()),
        "frauds": {
            "total": len(truth.frauds),
            "found": len(truth.frauds & flagged),
            "false": len(flagged - truth.frauds),
        },
        "broken_events": truth.broken,
        "dead_letters": sum(observer.dead_letters.values()),
        "dead_letters_by_reason": _counted(observer.dead_letters.elements()),
        "event_to_alert_seconds": _quantiles(observer.latencies),
    }


def show(console: Console, summary: Mapping[str, Any]) -> None:
    """Print the summary as a table."""
    anomalies, frauds, latency = summary["known_anomalies"], summary["frauds"], summary["event_to_alert_seconds"]
    table = Table(title="What happened", title_justify="left", show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    table.add_row("events in", f"{summary['events_in']:,} ({summary['events_per_second']:,.0f} a second)")
    table.add_row("alerts", f"{summary['alerts']} ({_listed(summary['alerts_by_kind'])})")
    table.add_row("right or false", _right_or_false(summary))
    table.add_row("known anomalies found", f"{anomalies['found']} of {anomalies['total']}")
    table.add_row("payments decided", f"{summary['transactions']:,} ({_listed(summary['decisions'])})")
    table.add_row("frauds found", f"{frauds['found']} of {frauds['total']}; {frauds['false']} good payments held up")
    table.add_row("dead letters", f"{summary['dead_letters']} ({_listed(summary['dead_letters_by_reason'])})")
    if latency["p50"] is not None:
        figures = f"p50 {latency['p50'] * 1000:.0f} ms, p99 {latency['p99'] * 1000:.0f} ms"
        table.add_row("event to alert", figures)
    console.print()
    console.print(table)


def _right_or_false(summary: Mapping[str, Any]) -> str:
    said = f"{summary['true_alerts']} right, {summary['false_alerts']} false"
    unjudged = summary["unjudged_alerts"]
    return f"{said}, {unjudged} on what this machine does besides" if unjudged else said


def _counted(values: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(values).items()))


def _quantiles(latencies: Sequence[float]) -> dict[str, float | None]:
    if not latencies:
        return {"p50": None, "p99": None}
    p50, p99 = np.quantile(latencies, (0.5, 0.99))
    return {"p50": round(float(p50), 4), "p99": round(float(p99), 4)}


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.items()) or "none"
