"""The demo's last words: what went in, what came out, and how right it was."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from tocsin.demo.observer import Observer
from tocsin.demo.producer import DemoProducer

# An alert may begin or end some records beside the mark it belongs to: six hourly readings of the water
# network, five of the shuttle's, five seconds of this machine.
SLACK = {"water-network": 6 * 3600.0, "shuttle": 5.0, "this-machine": 5.0}


def summarise(producer: DemoProducer, observer: Observer, seconds: float) -> dict[str, Any]:
    """Return the summary as one JSON object."""
    fired = list(observer.alerts.values())
    telemetry = [alert for alert in fired if alert["stream"] == "telemetry"]
    judged = producer.truth.judge([_interval(alert) for alert in telemetry], SLACK)
    flagged = {name for name, decision in observer.decisions.items() if decision != "approve"}
    frauds = producer.truth.frauds
    return {
        "duration_seconds": round(seconds, 1),
        "events_in": producer.sent,
        "events_per_second": round(producer.sent / seconds, 1),
        "alerts": len(fired),
        "alerts_by_kind": dict(sorted(Counter(alert["kind"] for alert in fired).items())),
        "alerts_by_source": dict(Counter(alert["source"] for alert in telemetry).most_common()),
        "known_anomalies": {"total": judged.total, "found": judged.found},
        "false_alerts": judged.false,
        "alerts_without_a_label": judged.unjudged,
        "transactions": len(observer.decisions),
        "frauds": {"total": len(frauds), "found": len(frauds & flagged), "false": len(flagged - frauds)},
        "decisions": dict(sorted(Counter(observer.decisions.values()).items())),
        "dead_letters": sum(observer.dead_letters.values()),
        "dead_letters_by_reason": dict(sorted(observer.dead_letters.items())),
        "event_to_alert_seconds": _quantiles(observer.latencies),
    }


def show(console: Console, summary: Mapping[str, Any]) -> None:
    """Print the summary for a person."""
    anomalies, frauds, latency = (
        summary["known_anomalies"],
        summary["frauds"],
        summary["event_to_alert_seconds"],
    )
    table = Table(title="What the demo saw", show_header=False, title_justify="left")
    table.add_row("events in", f"{summary['events_in']:,} in {summary['duration_seconds']:.0f} s")
    table.add_row("alerts", f"{summary['alerts']} ({_listed(summary['alerts_by_kind'])})")
    table.add_row("known anomalies found", f"{anomalies['found']} of {anomalies['total']}")
    table.add_row("false alerts on labelled sources", str(summary["false_alerts"]))
    table.add_row("alerts on sources without labels", str(summary["alerts_without_a_label"]))
    table.add_row("transactions decided", f"{summary['transactions']:,} ({_listed(summary['decisions'])})")
    table.add_row("frauds declined or sent to review", f"{frauds['found']} of {frauds['total']}")
    table.add_row("good transactions declined or sent to review", str(frauds["false"]))
    table.add_row("dead letters", f"{summary['dead_letters']} ({_listed(summary['dead_letters_by_reason'])})")
    if latency["p50"] is not None:
        table.add_row(
            "event to alert", f"p50 {latency['p50'] * 1000:.0f} ms, p99 {latency['p99'] * 1000:.0f} ms"
        )
    console.print(table)


def _interval(alert: Mapping[str, Any]) -> dict[str, Any]:
    started = _seconds(alert["started_at"])
    ended = _seconds(alert["resolved_at"] or alert["updated_at"])
    return {"source": alert["source"], "kind": alert["kind"], "start": started, "end": max(started, ended)}


def _seconds(time: str) -> float:
    return datetime.fromisoformat(time).timestamp()


def _quantiles(latencies: list[float]) -> dict[str, float | None]:
    if not latencies:
        return {"p50": None, "p99": None}
    p50, p99 = np.quantile(latencies, (0.5, 0.99))
    return {"p50": round(float(p50), 4), "p99": round(float(p99), 4)}


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items()) or "none"
