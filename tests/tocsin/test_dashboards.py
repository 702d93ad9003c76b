"""The Grafana dashboards as files. No Debian package brings Grafana, so these checks stand in for loading them there;
`tests/contract/test_monitoring.py` runs every query against a real Prometheus.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import REGISTRY
from prometheus_client.metrics import MetricWrapperBase

from streams import metrics
from streams.delivery import metrics as of_delivery

DEPLOY = Path(__file__).parents[2] / "deploy"
DASHBOARDS = sorted((DEPLOY / "grafana" / "dashboards").glob("*.json"))
SAMPLES = {"counter": ("_total",), "histogram": ("_bucket", "_count", "_sum"), "gauge": ("",)}
OF_GRAFANA = {"__rate_interval", "__range", "__interval"}
OF_PROMETHEUS = {"up", "ALERTS"}


@pytest.fixture(params=DASHBOARDS, ids=lambda path: path.stem)
def dashboard(request: pytest.FixtureRequest) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(request.param.read_text())
    return found


def panels(dashboard: dict[str, Any]) -> Iterator[dict[str, Any]]:
    return (panel for panel in dashboard["panels"] if panel["type"] != "row")


def expressions(dashboard: dict[str, Any]) -> list[str]:
    shown = [target["expr"] for panel in panels(dashboard) for target in panel["targets"]]
    return shown + [annotation["expr"] for annotation in dashboard["annotations"]["list"]]


def sample_names() -> set[str]:
    """Every sample that a worker can expose, as Prometheus stores it: its own and those of its process."""
    known = [*vars(metrics).values(), *vars(of_delivery).values()]
    own = (metric for metric in known if isinstance(metric, MetricWrapperBase))
    families = [*REGISTRY.collect(), *(family for metric in own for family in metric.collect())]
    return {family.name + ending for family in families for ending in SAMPLES.get(family.type, ("",))}


def test_there_are_four_dashboards_with_ids_and_titles_of_their_own() -> None:
    dashboards = [json.loads(path.read_text()) for path in DASHBOARDS]
    assert len({dashboard["uid"] for dashboard in dashboards}) == 4
    assert len({dashboard["title"] for dashboard in dashboards}) == 4
    assert all("tocsin" in dashboard["tags"] for dashboard in dashboards)


def test_panels_have_an_id_of_their_own_a_title_and_a_description(dashboard: dict[str, Any]) -> None:
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(ids) == len(set(ids))
    for panel in panels(dashboard):
        assert panel["title"]
        assert len(panel["description"]) > 10, panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]


def test_panels_lie_within_the_grid_and_do_not_overlap(dashboard: dict[str, Any]) -> None:
    taken: dict[tuple[int, int], str] = {}
    for panel in dashboard["panels"]:
        at = panel["gridPos"]
        assert 0 <= at["x"] < at["x"] + at["w"] <= 24, panel["title"]
        cells = itertools.product(range(at["x"], at["x"] + at["w"]), range(at["y"], at["y"] + at["h"]))
        for cell in cells:
            assert taken.setdefault(cell, panel["title"]) == panel["title"], f"{taken[cell]} and {panel['title']}"


def test_thresholds_rise_from_a_base(dashboard: dict[str, Any]) -> None:
    for panel in panels(dashboard):
        steps = panel["fieldConfig"]["defaults"].get("thresholds", {}).get("steps", [{"value": None}])
        first, *others = [step["value"] for step in steps]
        assert first is None
        assert others == sorted(others)


def test_every_panel_asks_something_of_the_chosen_data_source(dashboard: dict[str, Any]) -> None:
    for panel in panels(dashboard):
        names = [target["refId"] for target in panel["targets"]]
        assert names and len(names) == len(set(names)), panel["title"]
        for part in (panel, *panel["targets"]):
            assert part["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        assert all(target["expr"] for target in panel["targets"])


def test_the_data_source_is_the_provisioned_one(dashboard: dict[str, Any]) -> None:
    provisioned = yaml.safe_load((DEPLOY / "grafana/provisioning/datasources/prometheus.yml").read_text())
    known = {source["uid"]: source["name"] for source in provisioned["datasources"]}
    (chosen,) = [v for v in dashboard["templating"]["list"] if v["type"] == "datasource"]
    assert known[chosen["current"]["value"]] == chosen["current"]["text"]


def test_every_variable_is_defined_and_every_query_is_of_the_chosen_workers(dashboard: dict[str, Any]) -> None:
    defined = {variable["name"] for variable in dashboard["templating"]["list"]}
    assert defined == {"datasource", "job", "instance"}
    used = set(re.findall(r"\$\{?(\w+)", json.dumps(dashboard)))
    assert used - OF_GRAFANA - {"__all"} <= defined
    for panel in panels(dashboard):
        for target in panel["targets"]:
            selected = re.findall(r"\w+\{([^}]*)\}", target["expr"])
            assert selected, target["expr"]
            assert all('job="$job", instance=~"$instance"' in labels for labels in selected), target["expr"]


def test_every_metric_is_one_that_a_worker_exposes(dashboard: dict[str, Any]) -> None:
    known = sample_names() | OF_PROMETHEUS
    asked = {name for expression in expressions(dashboard) for name in re.findall(r"(\w+)\{", expression)}
    asked |= {name for v in dashboard["templating"]["list"] for name in re.findall(r"\((\w+)", v.get("definition", ""))}
    assert asked - known == set()


def test_counters_are_read_as_rates_and_gauges_are_not(dashboard: dict[str, Any]) -> None:
    for expression in expressions(dashboard):
        for before, name in re.findall(r"(\w*)\(?\b(\w+)\{", expression):
            counts = name.endswith(("_total", "_bucket", "_count", "_sum"))
            assert (before in ("rate", "increase")) == counts, expression


def test_quantiles_are_taken_over_buckets_summed_by_le(dashboard: dict[str, Any]) -> None:
    for expression in expressions(dashboard):
        if "histogram_quantile" in expression:
            assert re.match(r"histogram_quantile\(0\.\d+, sum by \((\w+, )?le\) \(rate\(\w+_bucket\{", expression), (
                expression
            )


def test_the_rules_ask_only_for_metrics_that_a_worker_exposes() -> None:
    rules = yaml.safe_load((DEPLOY / "prometheus" / "rules.yml").read_text())
    known = sample_names() | OF_PROMETHEUS
    for rule in (rule for group in rules["groups"] for rule in group["rules"]):
        assert set(re.findall(r"(\w+)\{", rule["expr"])) <= known, rule["alert"]


def test_a_rule_says_what_to_do_and_names_panels_that_exist() -> None:
    rules = yaml.safe_load((DEPLOY / "prometheus" / "rules.yml").read_text())
    names = set()
    for path in DASHBOARDS:
        board = json.loads(path.read_text())
        names |= {board["title"], *(panel["title"] for panel in panels(board))}
    for rule in (rule for group in rules["groups"] for rule in group["rules"]):
        assert rule["labels"]["severity"] in ("info", "warning", "critical")
        assert set(rule["annotations"]) == {"summary", "description", "action"}
        assert set(re.findall(r'"([^"]+)"', rule["annotations"]["action"])) <= names, rule["alert"]
