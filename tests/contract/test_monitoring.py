"""Prometheus, Alertmanager and the dashboards on a live service: everything they ask for is there."""

from __future__ import annotations

import json
import math
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from alerts.alert import Severity, State
from alerts.held import REASONS
from detectors.auto import KINDS
from streams import telemetry, transactions
from streams.codec import Reason
from tests.contract.conftest import Service
from tests.contract.monitored import DEPLOY, Message, Monitored, until
from tests.debian import program
from tocsin.broker import EmbeddedKafka

pytestmark = pytest.mark.slow

DASHBOARDS = sorted((DEPLOY / "grafana/dashboards").glob("*.json"))
RULES = [
    rule for group in yaml.safe_load((DEPLOY / "prometheus/rules.yml").read_text())["groups"] for rule in group["rules"]
]
VARIABLES = {"$__rate_interval": "3m", "$__range": "5m", "$instance": ".*"}

METRICS = {
    "tocsin_events": ("counter", {"stream", "outcome"}),
    "tocsin_event_to_alert_seconds": ("histogram", {"topic"}),
    "tocsin_detector_seconds": ("histogram", {"detector"}),
    "tocsin_anomaly_score": ("histogram", {"stream"}),
    "tocsin_alerts": ("counter", {"kind", "severity", "state"}),
    "tocsin_alerts_held": ("counter", {"reason"}),
    "tocsin_forecast_error_ratio": ("histogram", {"against"}),
    "tocsin_dead_letters": ("counter", {"reason"}),
    "tocsin_consumer_lag": ("gauge", {"topic", "partition"}),
    "tocsin_models": ("gauge", {"detector"}),
    "tocsin_model_bytes": ("gauge", set()),
    "tocsin_checkpoint_seconds": ("histogram", set()),
    "tocsin_checkpoint_age_seconds": ("gauge", set()),
}
STREAMS = {"telemetry", "transactions"}
VALUES: dict[str, set[str]] = {
    "stream": STREAMS,
    "outcome": {*telemetry.OUTCOMES, *transactions.OUTCOMES},
    "topic": STREAMS | {"alerts", "decisions", "scores", "forecasts", "dead-letters"},
    "partition": {"0", "1"},
    "detector": {"auto", "fraud"},
    "kind": {*KINDS, "silence", "range", "early_warning", "fraud"},
    "severity": set(Severity),
    "state": set(State),
    "reason": {*Reason, *REASONS},
    "against": {"naive", "seasonal"},
}
"""All values that each label may have."""


@pytest.fixture(scope="module")
def monitored(kafka: EmbeddedKafka, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Monitored]:
    folder = tmp_path_factory.mktemp("monitored")
    running = Monitored(Service(kafka.bootstrap_servers, f"{folder.name}-", folder))
    try:
        running.start()
        yield running
    finally:
        running.stop()


@pytest.fixture(scope="module")
def traffic(monitored: Monitored) -> list[Message]:
    return monitored.send_traffic()


@pytest.fixture(scope="module")
def families(monitored: Monitored, traffic: list[Message]) -> dict[str, Metric]:
    """The own metrics of both workers."""
    found: dict[str, Metric] = {}
    for worker in monitored.workers:
        for family in text_string_to_metric_families(worker.get("/metrics")):
            if family.name.startswith("tocsin_"):
                found.setdefault(family.name, family).samples += family.samples
    return found


def labels_of(family: Metric) -> set[str]:
    return {label for sample in family.samples for label in sample.labels} - {"le"}


def checked(name: str, *arguments: str | Path) -> str:
    done = subprocess.run([program(name), *map(str, arguments)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def substituted(expression: str, job: str) -> str:
    for name, value in {**VARIABLES, "$job": job}.items():
        expression = expression.replace(name, value)
    assert "$" not in expression
    return expression


def queries(dashboard: Path) -> dict[str, str]:
    """The expressions of a dashboard's panels, by panel and name."""
    board = json.loads(dashboard.read_text())
    job = job_of(board)
    return {
        f"{panel['title']}, {target['refId']}": substituted(target["expr"], job)
        for panel in board["panels"]
        for target in panel.get("targets", ())
    }


def job_of(board: dict[str, Any]) -> str:
    """The job that a dashboard shows unless another is chosen."""
    (job,) = (one["current"]["value"] for one in board["templating"]["list"] if one["name"] == "job")
    return job


def watched(rule: dict[str, Any]) -> list[str]:
    """What a rule looks at, without the comparisons that are false while all is well."""
    parts = [part.removeprefix("absent(") for part in re.split(r"\s+(?:and|or)\s+", rule["expr"])]
    selectors: list[str] = re.findall(r"\w+\{[^}]*\}", rule["expr"])
    return [re.split(r"\s+(?:==|>|<)\s", part)[0] for part in parts] + selectors


def without_data(monitored: Monitored, expressions: dict[str, str]) -> dict[str, str]:
    """The expressions that give no series, or one that is no number."""
    return {
        name: expression
        for name, expression in expressions.items()
        if not (series := monitored.prometheus.query(expression))
        or any(math.isnan(float(one["value"][1])) for one in series)
    }


def test_prometheus_accepts_its_configuration_and_rules() -> None:
    assert "SUCCESS" in checked("promtool", "check", "config", DEPLOY / "prometheus/prometheus.yml")
    assert f"{len(RULES)} rules found" in checked("promtool", "check", "rules", DEPLOY / "prometheus/rules.yml")


def test_alertmanager_accepts_its_configuration() -> None:
    assert "SUCCESS" in checked("amtool", "check-config", DEPLOY / "alertmanager/alertmanager.yml")


def test_each_rule_fires_when_it_should_and_only_then() -> None:
    assert "SUCCESS" in checked("promtool", "test", "rules", DEPLOY / "prometheus/rules.test.yml")
    tests = yaml.safe_load((DEPLOY / "prometheus/rules.test.yml").read_text())["tests"]
    fired = {case["alertname"] for test in tests for case in test["alert_rule_test"] if case["exp_alerts"]}
    assert fired == {rule["alert"] for rule in RULES}


@pytest.mark.parametrize("name", METRICS)
def test_a_metric_has_the_type_and_labels_of_the_contract(families: dict[str, Metric], name: str) -> None:
    kind, labels = METRICS[name]
    assert families[name].type == kind
    assert labels_of(families[name]) == labels


def test_everything_that_is_measured_moves(families: dict[str, Metric]) -> None:
    # No output comes twice while nothing crashes; nothing waits once everything is done; nobody holds back an alert;
    # memory suffices, and no source is old.
    resting = {
        *("tocsin_repeats_avoided", "tocsin_consumer_lag", "tocsin_checkpoint_age_seconds"),
        *("tocsin_alerts_held", "tocsin_sources_forgotten", "tocsin_sources_evicted"),
    }
    moved = {name for name, family in families.items() if any(sample.value > 0 for sample in family.samples)}
    assert families.keys() - moved <= resting


def test_no_label_holds_a_value_that_comes_from_events(families: dict[str, Metric]) -> None:
    for family in families.values():
        for sample in family.samples:
            for label, value in sample.labels.items():
                assert label == "le" or value in VALUES[label], sample


def test_what_the_events_led_to_is_counted(monitored: Monitored, traffic: list[Message]) -> None:
    def total(selector: str) -> float:
        (series,) = monitored.prometheus.query(f"sum({selector})")
        return float(series["value"][1])

    telemetry_events = sum(topic == "telemetry" for topic, _, _ in traffic)
    assert total('tocsin_events_total{stream="telemetry", outcome=~"scored|dead_letter"}') == telemetry_events
    assert total("tocsin_dead_letters_total") == 24
    assert total('tocsin_models{detector="auto"}') == 8
    decisions = total('tocsin_events_total{outcome=~"approve|review|decline"}')
    assert decisions == sum(topic == "transactions" for topic, _, _ in traffic)
    assert total('tocsin_anomaly_score_count{stream="transactions"}') == decisions
    for outcome in ("review", "decline", "label_learned"):
        assert total(f'tocsin_events_total{{stream="transactions", outcome="{outcome}"}}') > 0, outcome


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda path: path.stem)
def test_every_panel_of_a_dashboard_shows_data(monitored: Monitored, traffic: list[Message], dashboard: Path) -> None:
    assert without_data(monitored, queries(dashboard)) == {}


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda path: path.stem)
def test_the_variables_of_a_dashboard_have_values(monitored: Monitored, dashboard: Path) -> None:
    board = json.loads(dashboard.read_text())
    for variable in board["templating"]["list"]:
        if variable["type"] == "query":
            selector, label = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["definition"]).groups()  # type: ignore[union-attr]
            path = f"/api/v1/label/{label}/values"
            assert monitored.prometheus.get(path, **{"match[]": substituted(selector, job_of(board))})["data"], (
                variable["name"]
            )


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_a_rule_watches_something_that_is_there(
    monitored: Monitored, traffic: list[Message], rule: dict[str, Any]
) -> None:
    assert without_data(monitored, {part: part for part in watched(rule)}) == {}


def test_a_worker_that_stops_raises_an_alert_that_arrives(monitored: Monitored, traffic: list[Message]) -> None:
    assert monitored.prometheus.query('ALERTS{alertname=~"TocsinWorkerDown|TocsinNoWorker"}') == []
    stopped = monitored.workers[-1]
    assert stopped.stop() == 0
    instance = f"127.0.0.1:{stopped.port}"
    for dashboard in DASHBOARDS:
        (annotation,) = json.loads(dashboard.read_text())["annotations"]["list"]
        assert monitored.prometheus.wait_for(annotation["expr"])
    monitored.prometheus.wait_for(f'ALERTS{{alertname="TocsinWorkerDown", alertstate="firing", instance="{instance}"}}')
    (arrived,) = until(lambda: arrived_alerts(monitored, "TocsinWorkerDown"), "the alert in Alertmanager")
    assert arrived["labels"]["instance"] == instance
    assert arrived["status"]["state"] == "active"
    assert instance in arrived["annotations"]["summary"]


def arrived_alerts(monitored: Monitored, name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = monitored.alertmanager.get("/api/v2/alerts", filter=f"alertname={name}")
    return found
