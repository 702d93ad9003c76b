"""The AsyncAPI 3 document of all topics, made from the types that the code encodes and decodes.

https://www.asyncapi.com/docs/reference/specification/v3.0.0
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import msgspec
from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from streams.publication import DUE, POSITION
from streams.settings import KafkaSettings
from streams.topic_values import CONTENTS, Content, documented
from streams.topics import TopicSettings, TopicSpec, topic_specs

BINDING = "0.5.0"
"""Version of AsyncAPI's binding to Kafka."""

SCHEMAS = "#/components/schemas/"

DESCRIPTION = """Tocsin watches event streams on Kafka, learns what is normal while it runs, and raises explained
alerts.
Operations are Tocsin's: what it receives you send, what it sends you receive."""


def asyncapi(kafka: KafkaSettings, topics: TopicSettings, version: str) -> dict[str, Any]:
    """Return the document.

    Parameters
    ----------
    kafka
        The brokers and the topics' prefix.
    topics
        How topics are created.
    version
        Of Tocsin.

    Examples
    --------
    >>> document = asyncapi(KafkaSettings(topic_prefix="plant-"), TopicSettings(), "1.0")
    >>> document["channels"]["alerts"]["address"], document["operations"]["sendAlerts"]["action"]
    ('plant-alerts', 'send')

    """
    specs = topic_specs(topics)
    payloads, schemas = _schemas()
    found = {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Tocsin",
            "version": version,
            "description": " ".join(DESCRIPTION.split()),
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": dict(_servers(kafka)),
        "channels": {spec.name: _channel(spec, kafka) for spec in specs},
        "operations": dict(_operation(spec, CONTENTS[spec.name]) for spec in specs),
        "components": {
            "messages": {_name(spec.name): _message(spec, payloads[spec.name]) for spec in specs},
            "messageTraits": {
                "output": {"headers": _headers(caused=True)},
                "note": {"headers": _headers(caused=False)},
            },
            "schemas": schemas,
        },
    }
    plain: dict[str, Any] = json.loads(json.dumps(found))  # no tuples, and no object twice, which YAML would refer to
    return plain


def _servers(kafka: KafkaSettings) -> Iterator[tuple[str, dict[str, Any]]]:
    secure = kafka.security_protocol != "PLAINTEXT"
    for number, server in enumerate(kafka.servers):
        found: dict[str, Any] = {"host": server, "protocol": "kafka-secure" if secure else "kafka"}
        if kafka.security_protocol.startswith("SASL"):
            kind = {"PLAIN": "plain", "SCRAM-SHA-256": "scramSha256", "SCRAM-SHA-512": "scramSha512"}
            found["security"] = [{"type": kind[kafka.sasl_mechanism]}]
        yield f"kafka{number or ''}", found


def _channel(spec: TopicSpec, kafka: KafkaSettings) -> dict[str, Any]:
    configuration: dict[str, Any] = {
        name: int(value) if value.removeprefix("-").isdigit() else value for name, value in spec.config.items()
    }
    configuration["cleanup.policy"] = spec.config["cleanup.policy"].split(",")
    return {
        "address": kafka.topic(spec.name),
        "description": f"{spec.purpose[:1].upper()}{spec.purpose[1:]}.",
        "messages": {_name(spec.name): {"$ref": f"#/components/messages/{_name(spec.name)}"}},
        "bindings": {
            "kafka": {
                "topic": kafka.topic(spec.name),
                "partitions": spec.partitions,
                "replicas": spec.replication_factor,
                "topicConfiguration": configuration,
                "bindingVersion": BINDING,
            }
        },
    }


def _operation(spec: TopicSpec, content: Content) -> tuple[str, dict[str, Any]]:
    verb = "receive" if content.is_input else "send"
    name = verb + "".join(part.title() for part in spec.name.split("-"))
    return name, {
        "action": verb,
        "channel": {"$ref": f"#/channels/{spec.name}"},
        "messages": [{"$ref": f"#/channels/{spec.name}/messages/{_name(spec.name)}"}],
    }


def _message(spec: TopicSpec, payload: dict[str, Any]) -> dict[str, Any]:
    content = CONTENTS[spec.name]
    found: dict[str, Any] = {
        "name": _name(spec.name),
        "title": spec.purpose.rsplit(", ", 1)[0],
        "contentType": "application/json",
        "payload": payload,
        "bindings": {"kafka": {"key": {"type": "string", "description": content.key}, "bindingVersion": BINDING}},
    }
    if not content.is_input:
        trait = "note" if spec.name in ("notifications", "incidents") else "output"
        found["traits"] = [{"$ref": f"#/components/messageTraits/{trait}"}]
    return found


def _name(topic: str) -> str:
    """Return the name of a topic's message: that of its type, but for `Event` and `Record`."""
    return CONTENTS[topic].model.__name__.removesuffix("Record").removesuffix("Event")


def _headers(*, caused: bool) -> dict[str, Any]:
    """Return the headers of outputs: CloudEvents 1.0 in Kafka's binary mode; ``caused`` if by one record."""
    said = {
        "ce_specversion": {"type": "string", "const": "1.0"},
        "ce_id": {"type": "string", "description": "The same if it is ever sent again"},
        "ce_source": {"type": "string", "format": "uri-reference", "description": "`/tocsin/` and the input topic"},
        "ce_type": {"type": "string", "description": "Type and version of the value, as `tocsin.alert.v1`"},
        "ce_time": {"type": "string", "format": "date-time", "description": "When its cause was produced"},
        "ce_subject": {"type": "string", "description": "The key"},
        "content-type": {"type": "string", "const": "application/json"},
    }
    needed = list(said)
    if caused:
        said[POSITION] = {
            "type": "string",
            "description": "Topic, partition and offset of the record that caused it: `telemetry/0/1234`",
        }
        said[DUE] = {"type": "string", "const": "1", "description": "There if it fell due as time passed"}
    return {"type": "object", "properties": said, "required": needed}


def _schemas() -> tuple[dict[str, dict[str, Any]], dict[str, Any]]:
    """Return the payload's schema of each topic, and all schemas that these refer to."""
    modes: list[tuple[type[BaseModel], JsonSchemaMode]] = []
    structs: list[type] = []
    for content in CONTENTS.values():
        if issubclass(content.model, BaseModel):
            modes.append((content.model, "validation" if content.is_input else "serialization"))
        else:
            structs.append(content.model)
    of_models, definitions = models_json_schema(modes, ref_template=SCHEMAS + "{model}")
    of_structs, components = msgspec.json.schema_components(structs, ref_template=SCHEMAS + "{name}")
    found = {model: schema for (model, _), schema in of_models.items()} | dict(zip(structs, of_structs, strict=True))
    schemas = {**definitions["$defs"], **components}
    for content in CONTENTS.values():
        _say(schemas[found[content.model]["$ref"].removeprefix(SCHEMAS)], content.model)
    for schema in schemas.values():
        schema["description"] = " ".join(schema.get("description", "").split("\n\n")[0].split()).replace("``", "`")
    return {name: found[content.model] for name, content in CONTENTS.items()}, dict(sorted(schemas.items()))


def _say(schema: dict[str, Any], model: type) -> None:
    """Put what a docstring says of a type and of its parameters where a reader of the schema finds it."""
    schema["description"], of_each = documented(model)
    for name, text in of_each.items():
        if name in schema["properties"]:
            schema["properties"][name].setdefault("description", text)
