"""Writes the page on topics: what each carries, field by field, from the types that the code decodes and encodes."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any

import msgspec
import numpy as np
from msgspec.structs import replace
from pydantic import BaseModel

from alerts.action import ActionState, proposed
from alerts.alert import Alert
from alerts.dispatch import Dispatcher
from alerts.incident_settings import IncidentSettings
from alerts.incidents import Incidents
from alerts.notification import Delivery
from alerts.routing import Route
from alerts.silences import Silence, SilenceChange
from alerts.templates import Renderer, Templates
from detectors.rul import History
from detectors.rul.packed import Schema, pack
from detectors.rul.validation import train
from detectors.transactions.rules import table
from streams.fleet_book import ModelVersion
from streams.processor import Output, Record
from streams.rule_book import ListChange, RuleVersion
from streams.topic_values import CONTENTS, Content, documented
from streams.topics import DAY_MS, TopicSettings, topic_specs
from tocsin.config import Configuration
from tocsin.wiring import make_processor

TIME = 1767323045.0

EVENTS: dict[str, dict[str, Any]] = {
    "telemetry": {
        "source": "pump-7",
        "timestamp": "2026-01-02T03:04:05Z",
        "values": {"temperature": 71.2, "pressure": None},
        "attributes": {"site": "A"},
        "event_id": "pump-7-000123",
    },
    "transactions": {
        "transaction_id": "tx-1",
        "timestamp": "2026-01-02T03:04:05Z",
        "account": "card-7",
        "counterparty": "shop-3",
        "amount": 12.5,
        "currency": "EUR",
    },
    "labels": {"id": "tx-1", "timestamp": "2026-01-09T03:04:05Z", "label": True, "by": "disputes"},
    "policies": {
        "name": "pumps",
        "version": 3,
        "author": "ann",
        "reason": "noisy while they are filled",
        "at": "2026-01-02T03:04:05Z",
        "policy": {
            "name": "pumps",
            "source": "pump-*",
            "default": {"fire_after": 60, "gates": {"direction": "above", "min_deviation": 2}},
            "values": {"temperature": {"min": -40, "max": 120, "severity": "critical"}},
            "owner": "plant-a",
            "runbook": "https://wiki.example/pumps",
        },
    },
    "changes": {
        "change_id": "d42",
        "kind": "deploy",
        "source": "checkout",
        "timestamp": "2026-01-02T03:04:05Z",
        "summary": "checkout 2.7",
        "by": "ann",
    },
    "promotions": {
        "order": "promote",
        "model": "calm",
        "timestamp": "2026-01-02T03:04:05Z",
        "by": "ann",
        "reason": "12 % less loss in all partitions",
    },
    "commands": {
        "alert_id": "1a3d819cb05b264e8214",
        "source": "pump-7",
        "command": "acknowledge",
        "by": "ann",
        "comment": "I am on it",
        "timestamp": "2026-01-02T03:04:05Z",
    },
}

INTRODUCTION = """# Topics

All values are JSON in UTF-8. `kafka.topic_prefix` is put before every name. `tocsin topics create` creates what is
missing; sizes and times below are the defaults of `topics` in the [configuration](configuration.md).

Times in are ISO 8601 (without a zone: UTC), epoch seconds, or epoch milliseconds. Times out are ISO 8601 in UTC.
Unknown fields of telemetry and transactions are kept among the attributes. An event that cannot be taken goes to
`dead-letters`.

The same for programs is [`asyncapi.yaml`](asyncapi.yaml), or `tocsin asyncapi` with your own prefix and brokers;
[clients](../how-to/clients.md) in Python, Java and with kcat show how to use them.

What a record leads to goes to the partition of the same number as the record. Each output has these headers:

| header | value |
|---|---|
| `ce_id`, `ce_source`, `ce_type`, `ce_time`, … | [CloudEvents 1.0](https://cloudevents.io); `ce_subject` is the key |
| `content-type` | `application/json` |
| `tocsin-position` | topic, partition and offset of the record that caused it: `telemetry/0/1234` |
| `tocsin-due` | `1` if it fell due as time passed, such as a silence; else absent |
"""


def topics() -> str:
    """Return every topic with its settings, its fields and an example."""
    shown = examples()
    shown["scores"]["trace"]["data"] = "…"
    parts = [INTRODUCTION]
    for spec in topic_specs(TopicSettings()):
        parts.append(f"## {spec.name}\n\n{spec.purpose.capitalize()}. {_kept(spec.config)}\n")
        content = CONTENTS[spec.name]
        parts.append(f"Key: {content.key}.\n")
        parts.append("\n".join(["| field | type | meaning |", "|---|---|---|", *_rows(content)]) + "\n")
        parts.append(f"```json\n{json.dumps(shown[spec.name], indent=2, ensure_ascii=False)}\n```\n")
    return "\n".join(parts)


def examples() -> dict[str, dict[str, Any]]:
    """Return an example of a value of each topic."""
    found = {**EVENTS, **outputs(), "silences": silence(), "actions": action(), **said_of_decisions(), **foretold()}
    return found | {"notifications": notification(found["alerts"]), "incidents": incident(found["alerts"])}


def outputs() -> dict[str, dict[str, Any]]:
    """Return an example of each output, made by the code that makes them live."""
    make = make_processor(Configuration())
    usual = [EVENTS["telemetry"] | {"timestamp": TIME + 10 * i, "values": _reading(i)} for i in range(500)]
    telemetry = make("telemetry", 0, {}).process(_records("telemetry", [*usual, {"source": "pump-7"}])).outputs
    suspicious = EVENTS["transactions"] | {"amount": 5_000.0, "counterparty": "shop-9"}
    paid = _payments(1000)
    last = suspicious | {"transaction_id": "tx-1000", "timestamp": TIME + 3600 * 1000}
    decided = make("transactions", 0, {}).process(_records("transactions", [*paid, last])).outputs
    found = {name: _last(name, [*telemetry, *decided]) for name in ("scores", "dead-letters", "decisions")}
    return found | {"alerts": _last("alerts", telemetry), "models": model()}


def model() -> dict[str, Any]:
    """Return an example of what is told of a challenger, once it has been judged by a thousand labels."""
    paid = _payments(2000)
    said = {"transactions": {"challengers": {"calm": {"model": {"learning_rate": 0.05}}}}}
    shard = make_processor(Configuration.model_validate(said))("transactions", 0, {})
    labels = [
        {"id": one["transaction_id"], "label": i % 20 == 0, "timestamp": TIME + 3600 * (i + 1)}
        for i, one in enumerate(paid)
    ]
    shard.absorb([replace(one, timestamp=TIME) for one in _records("labels", labels)])
    return _last("models", shard.process(_records("transactions", paid)).outputs)


def foretold() -> dict[str, dict[str, Any]]:
    """Return an example of a published model, of what it foretells of a machine, and of that machine's failure."""
    draw = np.random.default_rng(0)
    columns = ("heat", "vibration")
    lives = [
        History(f"pump-{unit}", np.arange(1.0, 81), np.cumsum(draw.exponential(1.0, (80, 2)), axis=0), "bearing")
        for unit in range(6)
    ]
    fleet, metrics = train(lives, columns)
    schema = Schema(unit="unit", time="cycle", columns=columns, horizon=fleet.layout.horizon)
    model = pack(fleet, metrics, schema, name="pumps", created_at="2026-01-01T00:00:00Z", facts={})
    said = json.loads(model.encode())
    published = ModelVersion(
        name="pumps", version=1, author="ann", reason="first", at=TIME, source="pump-*", warn_within=20.0, model=said
    )
    limit = {"name": "hot", "version": 1, "author": "ann", "at": TIME, "policy": {"name": "hot"}}
    limit["policy"] = {"name": "hot", "values": {"heat": {"max": 120}}}
    make = make_processor(Configuration())("telemetry", 0, {})
    make.absorb([replace(one, timestamp=TIME) for one in _records("policies", [limit])])
    make.absorb([Record("artefacts", 0, 0, TIME, published.key, published.encode())])
    events = [
        {"source": "pump-7", "timestamp": TIME + 300 * i, "values": {"cycle": i, "heat": heat, "vibration": shaken}}
        for i, (heat, shaken) in enumerate(lives[0].values.round(2).tolist(), 1)
    ]
    events[-1]["attributes"] = {"failure": "bearing"}
    found = make.process(_records("telemetry", events)).outputs
    example = json.loads(published.encode())
    example["model"]["payload"] = "…"
    example["model"]["signature"]["value"] = "…"
    failure = _last("failures", found)
    return {
        "artefacts": example,
        "forecasts": _last("forecasts", found),
        "failures": failure | {"ages": failure["ages"][:3], "conditions": "…"},
    }


def silence() -> dict[str, Any]:
    """Return an example of a silence."""
    created = SilenceChange(what="created", at=TIME, by="ann", comment="pumps are serviced")
    found: dict[str, Any] = Silence(
        silence_id="5f0c2a7be14d",
        matchers=('source=~"pump-.*"', 'severity!="critical"'),
        starts_at=TIME,
        ends_at=TIME + 7200,
        created_by="ann",
        comment="pumps are serviced",
        history=(created,),
    ).model_dump(mode="json")
    return found


def said_of_decisions() -> dict[str, dict[str, Any]]:
    """Return an example of a version of a rule set, and one of an entry of a list."""
    graph = table([{"field": "transaction.amount"}], [["> 1000", "'review'", "'large'"]])
    rules = RuleVersion(name="large", version=1, author="ann", reason="losses", at=TIME, graph=graph)
    entry = ListChange(list="block", field="counterparty", value="shop-9", until=TIME + 86_400, by="ann", at=TIME)
    return {"rules": rules.model_dump(mode="json"), "lists": entry.model_dump(mode="json")}


def action() -> dict[str, Any]:
    """Return an example of an action: one that a person has approved."""
    made = proposed("2b4561b296b4f525d4ef", "restart the pump", 2, "restart it", "pump-7", TIME)
    found: dict[str, Any] = made.becomes(ActionState.RUNNING, TIME + 60, by="ann").model_dump(mode="json")
    return found


def notification(alert: dict[str, Any]) -> dict[str, Any]:
    """Return an example of a notification: that of an alert."""
    dispatcher = Dispatcher(Route(receiver="team", group_by=("source",), group_wait=0))
    fired = Alert.model_validate(alert)
    dispatcher.take(fired.updated_at, fired)
    (made,) = dispatcher.tick(fired.updated_at).notifications
    delivery = Delivery(sink="team/webhook/0", state="delivered", attempts=1, at=fired.updated_at + 0.1)
    worded = Renderer(Templates()).render(made.model_copy(update={"deliveries": (delivery,)}))
    found: dict[str, Any] = worded.model_dump(mode="json")
    return found


def incident(alert: dict[str, Any]) -> dict[str, Any]:
    """Return an example of an incident: that of an alert, made by the code that makes them live."""
    incidents, fired = Incidents(IncidentSettings()), Alert.model_validate(alert)
    made = [*incidents.take([fired]), *incidents.advance(fired.updated_at + 3600)]
    found: dict[str, Any] = made[-1].model_dump(mode="json")
    return found


def _payments(count: int) -> list[dict[str, Any]]:
    return [
        EVENTS["transactions"] | {"transaction_id": f"tx-{i}", "amount": 10.0 + i % 7, "timestamp": TIME + 3600 * i}
        for i in range(count)
    ]


def _reading(i: int) -> dict[str, float]:
    return {"temperature": 93.0 if i == 499 else round(71 + math.sin(i / 9) + i * 7919 % 101 / 101, 2)}


def _records(topic: str, events: list[dict[str, Any]]) -> list[Record]:
    events = [event | ({"event_id": f"pump-7-{i}"} if topic == "telemetry" else {}) for i, event in enumerate(events)]
    return [Record(topic, 0, i, TIME + 1e7, None, json.dumps(event).encode()) for i, event in enumerate(events)]


def _last(topic: str, found: list[Output]) -> dict[str, Any]:
    value: dict[str, Any] = json.loads([output for output in found if output.topic == topic][-1].value)
    return value


def _kept(config: dict[str, str]) -> str:
    if config["cleanup.policy"] == "compact":
        return "Compacted: Kafka keeps the newest record of each key."
    if config["retention.ms"] == "-1":
        return "Kept for ever."
    return f"Kept for {int(config['retention.ms']) / DAY_MS:g} days."


def _rows(content: Content) -> Iterator[str]:
    """Yield a row of each field, nested ones below the field that holds them."""
    model = content.model
    pydantic = issubclass(model, BaseModel)
    schema = model.model_json_schema(mode="serialization") if pydantic else msgspec.json.schema(model)
    _, said = documented(model)
    for name, field in resolve(schema, schema).get("properties", {}).items():
        text = field.get("description") or said.get(name, "")
        needed = "" if name in resolve(schema, schema)["required"] or not content.is_input else " (optional)"
        yield f"| `{name}` | {kind(schema, field)}{needed} | {text} |"
        each = ".*" if "additionalProperties" in field else ""
        for inner in _nested(schema, field):
            for below, one in inner["properties"].items():
                yield f"| `{name}{each}.{below}` | {kind(schema, one)} | {one.get('description', '')} |"


def _nested(schema: dict[str, Any], field: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for held in (field.get("additionalProperties"), field.get("items")):
        if isinstance(held, dict) and "properties" in resolve(schema, held):
            yield resolve(schema, held)


def resolve(schema: dict[str, Any], field: dict[str, Any]) -> dict[str, Any]:
    """Follow a reference."""
    if "$ref" in field:
        found: dict[str, Any] = schema["$defs"][field["$ref"].rsplit("/", 1)[1]]
        return found
    return field


def kind(schema: dict[str, Any], field: dict[str, Any]) -> str:
    """Return a field's type in words."""
    if "anyOf" in field:
        return " or ".join(kind(schema, option) for option in field["anyOf"])
    resolved = resolve(schema, field)
    if "enum" in resolved:
        return ", ".join(f"`{value}`" for value in resolved["enum"])
    if "const" in resolved:
        return f"`{resolved['const']}`"
    return str(resolved.get("format") or resolved.get("type", resolved.get("title", "any")))
