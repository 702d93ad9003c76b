"""Metrics of delivery. Labels hold names from the configuration only, never a source or an id."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import Counter, Gauge, Histogram

OUTCOMES = ("delivered", "failed", "dropped")
"""What may become of a notification at a sink."""

NOTIFICATIONS = Counter(
    "tocsin_notifications_total", "Notifications made; `suppressed` are noted and not sent.", ["receiver", "status"]
)
DELIVERIES = Counter(
    "tocsin_deliveries_total",
    "Notifications that a sink has taken (delivered), refused or not answered for too long (failed), or for which there"
    " was no room (dropped). The last two are dead letters.",
    ["sink", "outcome"],
)
RETRIES = Counter("tocsin_delivery_retries_total", "Attempts to deliver that failed and are repeated.", ["sink"])
WAITING = Gauge("tocsin_delivery_queue", "Notifications that wait for a sink.", ["sink"])
DELIVERY_SECONDS = Histogram(
    "tocsin_delivery_seconds",
    "From a notification to its delivery.",
    ["sink"],
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 3600),
)
RESENDS_FAILED = Counter(
    "tocsin_alertmanager_resends_failed_total", "Repetitions of what fires that Alertmanager did not take.", ["sink"]
)
TEMPLATES_FAILED = Counter(
    "tocsin_templates_failed_total", "Notifications in default words, since a template could not be rendered."
)
ACTIVE = Gauge("tocsin_notify_active", "1 while this process tells people, 0 while it stands by.")
ALERTS = Gauge("tocsin_notify_alerts", "Alerts that go on, or whose end is still to be told.")
INCIDENTS = Gauge("tocsin_incidents", "Incidents that go on.")
GROUPS = Gauge("tocsin_notify_groups", "Groups of alerts.")
SILENCES = Gauge("tocsin_silences", "Silences, those kept after their end included.")
ALERTS_DROPPED = Counter(
    "tocsin_notify_alerts_dropped_total", "Alerts that are not told, since notify.max_alerts were going on."
)
ACTIONS = Counter("tocsin_actions_total", "Changes of actions on incidents, by the state that they came to.", ["state"])
STEP_SECONDS = Histogram(
    "tocsin_notify_step_seconds",
    "Time to take in what has come and to write down what follows.",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)


def expect(sinks: Iterable[str]) -> None:
    """Let all that may happen at each sink be 0: of a counter that first appears with 1, no increase is seen."""
    for sink in sinks:
        RETRIES.labels(sink)
        for outcome in OUTCOMES:
            DELIVERIES.labels(sink, outcome)
