"""Metrics of a worker, as Prometheus reads them. Moved once per batch, never per event."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter as Count
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate, product

import msgspec
from prometheus_client import REGISTRY, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector

from alerts.alert import Severity, State
from alerts.held import REASONS
from streams.codec import Reason
from streams.processor import Output

disable_created_metrics()  # type: ignore[no-untyped-call]  # they would only double what Prometheus stores

LATENCIES = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)

EVENTS = Counter("tocsin_events_total", "Events by stream and what became of them.", ["stream", "outcome"])
EVENT_TO_ALERT = Histogram(
    "tocsin_event_to_alert_seconds",
    "From an event's Kafka timestamp to the acknowledgement of the alert or decision that it led to.",
    ["topic"],
    buckets=LATENCIES,
)
ALERTS = Counter("tocsin_alerts_total", "Alert changes published.", ["kind", "severity", "state"])
HELD = Counter("tocsin_alerts_held_total", "Alerts that did not fire, by what holds them back.", ["reason"])
FORECAST_ERROR = Histogram(
    "tocsin_forecast_error_ratio",
    "Errors of published forecasts, one event ahead, in units of those of the last value (naive) and of the value a day"
    " ago (seasonal).",
    ["against"],
    buckets=(0.25, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.25, 1.5, 2.0),
)
DEAD_LETTERS = Counter("tocsin_dead_letters_total", "Events that could not be taken, by reason.", ["reason"])
OUTPUTS = Counter("tocsin_outputs_total", "Records published by topic.", ["topic"])
REPEATS_AVOIDED = Counter(
    "tocsin_repeats_avoided_total", "Outputs not published again because a run before had published them."
)
DETECTOR_SECONDS = Histogram(
    "tocsin_detector_seconds",
    "Time to score and learn one event, from its bytes to its alerts; mean of a micro-batch.",
    ["detector"],
    buckets=(1e-6, 2.5e-6, 5e-6, 1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2),
)
MODELS = Gauge("tocsin_models", "Models in memory.", ["detector"])
MODEL_BYTES = Gauge("tocsin_model_bytes", "Mean size of the states written at the last checkpoint, serialised.")
LAG = Gauge("tocsin_consumer_lag", "Records not yet processed.", ["topic", "partition"])
BATCH_SECONDS = Histogram(
    "tocsin_batch_seconds", "Time to process a micro-batch, without publication.", ["stream"], buckets=LATENCIES
)
CHECKPOINT_SECONDS = Histogram("tocsin_checkpoint_seconds", "Time that a checkpoint took.", buckets=LATENCIES)
CHECKPOINT_AGE = Gauge(
    "tocsin_checkpoint_age_seconds", "Time since the oldest work that no checkpoint covers yet; 0 if there is none."
)
CHECKPOINT_STATES = Counter("tocsin_checkpoint_states_total", "States written at checkpoints.")
CHECKPOINT_BYTES = Counter("tocsin_checkpoint_bytes_total", "Bytes of state written at checkpoints.")
STATE_MEMORY = Gauge("tocsin_state_memory_bytes", "Memory that the states of sources and accounts take, about.")
STATE_MEMORY_LIMIT = Gauge("tocsin_state_memory_limit_bytes", "Memory that they may take: state.memory_megabytes.")
SOURCES_EVICTED = Counter(
    "tocsin_sources_evicted_total", "Sources, accounts and counterparties that left memory for want of room."
)
SOURCES_FORGOTTEN = Counter(
    "tocsin_sources_forgotten_total", "Sources and accounts forgotten since they were silent for so long."
)
PARTITIONS = Gauge("tocsin_partitions", "Partitions that this worker is assigned.", ["stream"])
REBALANCES = Counter("tocsin_rebalances_total", "Times that this worker's partitions were redistributed.")
READY = Gauge("tocsin_ready", "1 once this worker has recovered its state and takes events.")


class Scores(Collector):
    """A histogram that is moved by whole micro-batches: prometheus_client's own takes a microsecond or two a score."""

    NAME, HELP = "tocsin_anomaly_score", "Anomaly scores given."
    _labelnames = ("stream",)  # where prometheus_client's own metrics have them, for the page of all metrics
    BOUNDS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0)

    def __init__(self) -> None:
        self._counts: dict[str, list[int]] = {}
        self._sums: dict[str, float] = {}

    def observe(self, stream: str, scores: Sequence[float]) -> None:
        """Count the scores of a micro-batch."""
        counts = self._counts.setdefault(stream, [0] * (len(self.BOUNDS) + 1))
        for score in scores:
            counts[bisect_left(self.BOUNDS, score)] += 1
        self._sums[stream] = self._sums.get(stream, 0.0) + sum(scores)

    def collect(self) -> Iterator[HistogramMetricFamily]:
        """Yield the histogram as Prometheus reads it."""
        family = HistogramMetricFamily(self.NAME, self.HELP, labels=["stream"])
        for stream, counts in self._counts.items():
            buckets = zip((*map(str, self.BOUNDS), "+Inf"), accumulate(counts), strict=True)
            family.add_metric([stream], [(bound, float(count)) for bound, count in buckets], self._sums[stream])
        yield family


ANOMALY_SCORE = Scores()
REGISTRY.register(ANOMALY_SCORE)


class _Letter(msgspec.Struct):
    reason: str


class _Step(msgspec.Struct):
    what: str = "state"


class _Change(msgspec.Struct):
    kind: str
    severity: str
    state: str
    history: list[_Step] = []

    @property
    def counts(self) -> bool:
        """Whether it is another state or severity, and no comment, assignee or reminder."""
        return not self.history or self.history[-1].what in ("state", "severity")


class _Errors(msgspec.Struct):
    mase: float | None
    seasonal: float | None


class _Forecasts(msgspec.Struct):
    values: dict[str, _Errors]


_decode_forecasts = msgspec.json.Decoder(_Forecasts).decode
_decode_letter = msgspec.json.Decoder(_Letter).decode
_decode_change = msgspec.json.Decoder(_Change).decode


def start_at_zero(outcomes: Mapping[str, Iterable[str]], kinds: Iterable[str]) -> None:
    """Expose counters before anything is counted: Prometheus sees no increase in a series' first sample.

    Parameters
    ----------
    outcomes
        What may become of an event, by stream.
    kinds
        Kinds of alerts that are known beforehand.

    """
    for stream, found in outcomes.items():
        for outcome in found:
            EVENTS.labels(stream, outcome)
    for reason in Reason:
        DEAD_LETTERS.labels(reason)
    for held in REASONS:
        HELD.labels(held)
    for against in ("naive", "seasonal"):
        FORECAST_ERROR.labels(against)
    for labels in product(kinds, Severity, State):
        ALERTS.labels(*labels)


def observe_batch(stream: str, detector: str, records: int, seconds: float) -> None:
    """Note how long a processor took for a micro-batch."""
    BATCH_SECONDS.labels(stream).observe(seconds)
    DETECTOR_SECONDS.labels(detector).observe(seconds / records)


def observe_scores(stream: str, scores: Sequence[float]) -> None:
    """Note the scores that a micro-batch was given."""
    ANOMALY_SCORE.observe(stream, scores)


def set_models(found: Iterable[tuple[str, int]]) -> None:
    """Set how many models each partition's detector has in memory."""
    models: Count[str] = Count()
    for detector, number in found:
        models[detector] += number
    MODELS.clear()
    for detector, number in models.items():
        MODELS.labels(detector).set(number)


def set_lags(found: Iterable[tuple[str, int, int]]) -> None:
    """Set how many records wait in each partition that this worker has now, and forget the others."""
    LAG.clear()
    for topic, partition, lag in found:
        LAG.labels(topic, partition).set(lag)


def count_outputs(outputs: Iterable[Output]) -> None:
    """Count dead letters by their reasons, changes of alerts by what they are, and how forecasts have done."""
    for output in outputs:
        if output.topic == "dead-letters" and output.type == "tocsin.dead-letter.v1":
            DEAD_LETTERS.labels(_decode_letter(output.value).reason).inc()
        elif output.topic == "alerts" and output.type == "tocsin.alert.v1":
            change = _decode_change(output.value)
            if change.counts:
                ALERTS.labels(change.kind, change.severity, change.state).inc()
        elif output.topic == "forecasts" and output.type == "tocsin.forecast.v1":
            for value in _decode_forecasts(output.value).values.values():
                for against, ratio in (("naive", value.mase), ("seasonal", value.seasonal)):
                    if ratio is not None:
                        FORECAST_ERROR.labels(against).observe(ratio)
