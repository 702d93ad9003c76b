"""Matchers mean what they mean in Alertmanager; `amtool`, of the same code, says what that is."""

from __future__ import annotations

import json
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.matchers import Matcher, MatcherError, parse_matcher, parse_matchers
from tests.debian import program

LABELS = {"source": "pump-7", "severity": "critical", "site": 'Süd, "alt"'}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('source="pump-7"', True),
        ("source=pump-7", True),
        ("source!=pump-7", False),
        ('source=~"pump-[0-9]+"', True),
        ('source=~"pump"', False),
        ('source!~"pump"', True),
        ('severity=~"warning|critical"', True),
        ('missing=""', True),
        ('missing!=""', False),
        ('missing=~".+"', False),
        ('site="Süd, \\"alt\\""', True),
        ('"site" =~ "S\\u00fcd.*"', True),
        (' { source = "pump-7" , severity != "info" , } ', True),
        ("{}", True),
    ],
)
def test_a_matcher_matches_as_in_alertmanager(text: str, expected: bool):
    assert all(matcher.matches(LABELS) for matcher in parse_matchers(text)) is expected


@pytest.mark.parametrize(
    "text", ["source", "source=", "=x", 'source="a', "source==a", 'a="b" c="d"', '{a="b"', 'a=~"("', 'a="\\q"', '""=x']
)
def test_what_is_no_matcher_is_refused_with_an_example_of_one(text: str):
    with pytest.raises(MatcherError) as refused:
        parse_matchers(text)
    assert text in str(refused.value) or "escape" in str(refused.value)


def test_one_place_takes_one_matcher():
    assert parse_matcher("a=b") == Matcher("a", "=", "b")
    with pytest.raises(MatcherError, match="holds 2 matchers"):
        parse_matcher("a=b,c=d")


@given(
    st.text(st.characters(exclude_categories=("Cs",)), min_size=1),
    st.sampled_from(("=", "!=")),
    st.text(st.characters(exclude_categories=("Cs",))),
)
def test_a_matcher_reads_what_it_writes(name: str, op: str, value: str):
    matcher = Matcher(name, op, value)
    assert parse_matchers(str(matcher)) == (matcher,)


def test_alertmanagers_own_tool_reads_a_route_as_we_do(tmp_path):
    from alerts.routing import Route, Router

    tree = {
        "receiver": "ops",
        "routes": [
            {"receiver": "both", "matchers": ['severity="critical"'], "continue": True},
            {"receiver": "pumps", "matchers": ['source=~"pump-.*"', 'kind!="silence"'], "routes": [
                {"receiver": "seven", "matchers": ["source=pump-7"]},
            ]},
        ],
    }  # fmt: skip
    names = ("ops", "both", "pumps", "seven")
    config = tmp_path / "alertmanager.json"
    config.write_text(json.dumps({"route": tree, "receivers": [{"name": name} for name in names]}))
    router = Router(Route.model_validate(tree))
    for labels in (
        {"source": "pump-7", "severity": "critical", "kind": "spike"},
        {"source": "pump-8", "severity": "info", "kind": "spike"},
        {"source": "pump-8", "severity": "critical", "kind": "silence"},
        {"source": "fan", "severity": "info", "kind": "spike"},
    ):
        said = [f"{name}={value}" for name, value in labels.items()]
        command = [program("amtool"), "config", "routes", "test", f"--config.file={config}", *said]
        shown = subprocess.run(command, capture_output=True, text=True, check=True)
        assert shown.stdout.strip().split(",") == [one.receiver for one in router.destinations(labels)]
