"""What a worker's metrics say, beside the monitoring of a live service in `tests/contract`."""

from __future__ import annotations

from prometheus_client import REGISTRY

from alerts.held import REASONS
from streams import metrics
from streams.processor import Output, Record

AGAINST = ("naive", "seasonal")


def value(name: str, **labels: str) -> float | None:
    return REGISTRY.get_sample_value(name, labels)


def test_counters_are_there_before_anything_is_counted() -> None:
    metrics.start_at_zero({"quiet": ["scored"]}, ["rare"])
    assert value("tocsin_events_total", stream="quiet", outcome="scored") == 0
    assert value("tocsin_alerts_total", kind="rare", severity="critical", state="firing") == 0
    assert value("tocsin_dead_letters_total", reason="not_json") is not None
    assert all(value("tocsin_alerts_held_total", reason=held) is not None for held in REASONS)


def test_the_lag_of_a_partition_that_another_worker_has_now_is_forgotten() -> None:
    metrics.set_lags([("telemetry", 0, 5), ("telemetry", 1, 7)])
    metrics.set_lags([("telemetry", 1, 6)])
    assert value("tocsin_consumer_lag", topic="telemetry", partition="0") is None
    assert value("tocsin_consumer_lag", topic="telemetry", partition="1") == 6


def test_models_are_added_up_over_the_partitions() -> None:
    metrics.set_models([("auto", 3), ("fraud", 1), ("auto", 4)])
    assert value("tocsin_models", detector="auto") == 7
    assert value("tocsin_models", detector="fraud") == 1


def test_every_score_is_counted_where_it_lies() -> None:
    metrics.observe_scores("scored", [0.05, 0.2, 0.97])
    assert value("tocsin_anomaly_score_bucket", stream="scored", le="0.1") == 1
    assert value("tocsin_anomaly_score_bucket", stream="scored", le="0.9") == 2
    assert value("tocsin_anomaly_score_count", stream="scored") == 3


def test_how_forecasts_have_done_is_counted_beside_naive_ones() -> None:
    told = b'{"source": "a", "values": {"x": {"mase": 0.65, "seasonal": null, "horizons": []}}}'
    cause = Record("telemetry", 0, 0, 0.0, b"a", b"")
    before = {against: value("tocsin_forecast_error_ratio_count", against=against) or 0.0 for against in AGAINST}
    metrics.count_outputs([Output("forecasts", b"a", told, "tocsin.forecast.v1", cause)])
    after = {against: value("tocsin_forecast_error_ratio_count", against=against) or 0.0 for against in AGAINST}
    assert after == {"naive": before["naive"] + 1, "seasonal": before["seasonal"]}
