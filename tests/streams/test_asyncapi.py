"""The AsyncAPI document is a valid one, and what it says of the topics is what the code reads and writes."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from streams.asyncapi import asyncapi
from streams.publication import record_of
from streams.settings import KafkaSettings
from streams.topics import TopicSettings, topic_specs

REPOSITORY = Path(__file__).parents[2]
OFFICIAL = REPOSITORY / "tests" / "vendored" / "asyncapi-3.0.0.json.gz"


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return asyncapi(KafkaSettings(topic_prefix="plant-"), TopicSettings(replication_factor=3), "1.0")


@pytest.fixture(scope="module")
def examples() -> dict[str, dict[str, Any]]:
    """Of every topic a value as the page on topics shows it; outputs are made by the code that makes them live."""
    import sys

    sys.path.insert(0, str(REPOSITORY / "docs"))
    try:
        import generate_topics
    finally:
        sys.path.pop(0)
    return generate_topics.examples()


def payload(document: dict[str, Any], topic: str) -> jsonschema.Draft7Validator:
    (message,) = document["channels"][topic]["messages"].values()
    found = resolved(document, message)
    return jsonschema.Draft7Validator({**found["payload"], "components": document["components"]})


def resolved(document: dict[str, Any], node: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in node:
        target: Any = document
        for part in node["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        node = target
    return node


def references(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        if "$ref" in node:
            yield node
        for below in node.values():
            yield from references(below)
    elif isinstance(node, list):
        for below in node:
            yield from references(below)


def test_it_is_valid_by_the_official_schema_of_asyncapi(document: dict[str, Any]):
    unpacked = gzip.decompress(OFFICIAL.read_bytes())
    said = (OFFICIAL.parent / "README.md").read_text()
    assert hashlib.sha256(unpacked).hexdigest() in said
    schema = json.loads(unpacked)
    errors = list(jsonschema.Draft7Validator(schema).iter_errors(document))
    assert not errors, [(list(error.absolute_path), error.message[:200]) for error in errors]
    assert list(jsonschema.Draft7Validator(schema).iter_errors({**document, "info": {}}))


def test_every_reference_leads_somewhere(document: dict[str, Any]):
    found = list(references(document))
    assert found and all(resolved(document, node) is not None for node in found)


def test_there_is_a_channel_for_each_topic_as_it_is_created(document: dict[str, Any]):
    specs = {spec.name: spec for spec in topic_specs(TopicSettings(replication_factor=3))}
    assert list(document["channels"]) == list(specs)
    for name, channel in document["channels"].items():
        kafka = channel["bindings"]["kafka"]
        assert channel["address"] == kafka["topic"] == f"plant-{name}"
        assert (kafka["partitions"], kafka["replicas"]) == (specs[name].partitions, 3)
    alerts = document["channels"]["alerts"]["bindings"]["kafka"]["topicConfiguration"]
    assert alerts["cleanup.policy"] == ["compact"]


def test_what_tocsin_receives_others_send_and_the_other_way_round(document: dict[str, Any]):
    actions = {name: one["action"] for name, one in document["operations"].items()}
    assert (actions["receiveTelemetry"], actions["sendAlerts"], actions["sendDeadLetters"]) == (
        *("receive", "send"),
        "send",
    )


def test_a_value_of_each_topic_is_as_its_schema_says(document: dict[str, Any], examples: dict[str, Any]):
    assert examples.keys() == document["channels"].keys()
    for name, value in examples.items():
        jsonschema.Draft7Validator.check_schema(payload(document, name).schema)
        payload(document, name).validate(value)


@pytest.mark.parametrize(
    "wrong",
    [
        {"source": "pump-7", "timestamp": "2026-01-02T03:04:05Z"},
        {"source": "pump-7", "timestamp": "2026-01-02T03:04:05Z", "values": {"x": "high"}},
        {"source": "", "timestamp": 1767323045, "values": {"x": 1}},
    ],
)
def test_an_event_that_would_be_a_dead_letter_is_none_by_the_schema(document: dict[str, Any], wrong: dict[str, Any]):
    assert list(payload(document, "telemetry").iter_errors(wrong))
    assert not list(payload(document, "telemetry").iter_errors(wrong | {"source": "p", "values": {"x": 1.5}}))


def test_the_headers_are_those_that_outputs_have(document: dict[str, Any]):
    from streams.processor import Output, Record

    cause = Record("telemetry", 0, 7, 1767323045.0, b"pump-7", b"{}")
    _, _, headers = record_of(Output("alerts", b"a1", b"{}", "tocsin.alert.v1", cause), due=True)
    said = document["components"]["messageTraits"]["output"]["headers"]
    assert said["properties"].keys() == dict(headers).keys()
    jsonschema.Draft7Validator(said).validate({name: value.decode() for name, value in headers})


def test_what_is_made_for_people_holds_no_python(document: dict[str, Any]):
    told = [schema.get("description", "") for schema in document["components"]["schemas"].values()]
    assert not [text for text in told if re.search(r">>>|-----|``", text)]
