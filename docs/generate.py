"""Writes the reference pages from the code, so that they cannot disagree with it. `make docs` runs it."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import typer
import yaml
from prometheus_client import REGISTRY
from pydantic import BaseModel

sys.path.insert(0, str(Path(__file__).parent))

from generate_topics import kind, resolve, topics

import streams.delivery.metrics
import streams.metrics
import streams.serving.server  # noqa: F401  registers them
from streams.asyncapi import asyncapi
from streams.traces import program
from tocsin.cli import app
from tocsin.config import Configuration
from tocsin.config.fields import is_secret_at

DOCS = Path(__file__).parent
REFERENCE = DOCS / "reference"
HELP = ["-h", "--help"]


def command_line() -> str:
    """Return every command with its options."""
    lines = ["# Command line", "", "Exit codes: 0 done, 1 failed, 2 wrong usage or configuration.", ""]
    for path, command in commands(typer.main.get_command(app), "tocsin"):
        context = click.Context(
            command, info_name=path, terminal_width=110, max_content_width=110, help_option_names=HELP
        )
        lines += [f"## {path}", "", "```text", command.get_help(context).replace("\b", "").strip(), "```", ""]
    return "\n".join(lines)


def commands(command: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Yield a command and all below it."""
    yield path, command
    for name, child in sorted(getattr(command, "commands", {}).items()):
        yield from commands(child, f"{path} {name}")


def configuration() -> str:
    """Return every setting with its type, default and meaning."""
    lines = [
        "# Configuration",
        "",
        "One `tocsin.yaml`; environment variables go over it: `TOCSIN_` and the path in capitals, joined by `__`",
        "(`TOCSIN_KAFKA__TOPIC_PREFIX`). `KAFKA_BOOTSTRAP` is short for `TOCSIN_KAFKA__BOOTSTRAP_SERVERS`,",
        "`TOCSIN_STATE_KEY` for `TOCSIN_STATE__KEY`. `tocsin check` validates a file and shows what is wrong, with",
        "line and column; `tocsin check --schema` prints the JSON Schema, for an editor.",
        "",
        "A *secret* is refused in the file: set its variable, or write its name with `_file` and a path",
        "(`password_file: /run/secrets/kafka`).",
        "",
        "Each kind under `policy.kinds` takes the settings of `policy.default`. What is left out there has the default",
        "of `telemetry.policy.default` below, whatever the file says for `policy.default`.",
        "",
        "Each name under `transactions.challengers` has a `model`, with `learning_rate`, `base_rate` and `without` as",
        "those of `transactions.model`.",
        "",
        "| setting | type | default | meaning |",
        "|---|---|---|---|",
    ]
    schema = Configuration.model_json_schema()
    for path, name, default, text in settings(schema, schema, Configuration()):
        type_ = "secret" if is_secret_at(Configuration, tuple(path.replace("*", "0").split("."))) else name
        lines.append(f"| `{path}` | {type_} | {default} | {text} |")
    return "\n".join([*lines, ""])


def settings(
    schema: dict[str, Any], node: dict[str, Any], defaults: BaseModel, path: str = ""
) -> Iterator[tuple[str, str, str, str]]:
    """Yield each leaf of the settings' tree: path, type, default, meaning."""
    values = defaults.model_dump(mode="json", by_alias=True)
    for name, field in node.get("properties", {}).items():
        resolved = resolve(schema, field)
        here = f"{path}{name}"
        if "properties" in resolved:
            yield from settings(schema, resolved, getattr(defaults, name), f"{here}.")
        else:
            value = values[name]
            if isinstance(value, list) and all(isinstance(one, str) for one in value):
                value = sorted(value)
            yield here, kind(schema, field), _shown(value), _text(field, resolved)
            yield from of_items(schema, field, here)


def of_items(schema: dict[str, Any], field: dict[str, Any], path: str) -> Iterator[tuple[str, str, str, str]]:
    """Yield the settings of each item of a list of settings."""
    items = field.get("items", {})
    for name, inner in resolve(schema, items).get("properties", {}).items():
        here, resolved = f"{path}.*.{name}", resolve(schema, inner)
        yield here, kind(schema, inner), _shown(inner.get("default")), _text(inner, resolved)
        if inner.get("items", {}) != items:  # routes lie below routes
            yield from of_items(schema, inner, here)


def _shown(value: Any) -> str:
    shown = json.dumps(value)
    return "" if value in (None, {}, []) else "`…`" if len(shown) > 120 else f"`{shown}`"


def _text(field: dict[str, Any], resolved: dict[str, Any]) -> str:
    return " ".join(str(field.get("description", resolved.get("description", ""))).split()).replace("|", "\\|")


def metrics() -> str:
    """Return every metric of a worker."""
    lines = [
        "# Metrics",
        "",
        "Served at `/metrics` of each worker, of `tocsin notify` and of `tocsin serve`. No label holds a source, an"
        " account or an id.",
        "",
    ]
    lines += ["| metric | type | labels | meaning |", "|---|---|---|---|"]
    families = sorted((f for f in REGISTRY.collect() if f.name.startswith("tocsin_")), key=lambda f: f.name)
    for family in families:
        name = f"{family.name}_total" if family.type == "counter" else family.name
        labels = ", ".join(f"`{label}`" for label in REGISTRY._names_to_collectors[family.name]._labelnames)
        lines.append(f"| `{name}` | {family.type} | {labels} | {family.documentation} |")
    return "\n".join([*lines, ""])


def document() -> str:
    """Return the AsyncAPI document, with defaults."""
    settings = Configuration()
    found = asyncapi(settings.kafka, settings.topics, program())
    return yaml.safe_dump(found, sort_keys=False, allow_unicode=True, width=110)


def decisions() -> str:
    """Return an index of the decision records."""
    lines = ["# Decisions", "", "A page each at most: context, decision, consequences.", ""]
    for path in sorted((DOCS / "decisions").glob("0*.md")):
        title = path.read_text().splitlines()[0].lstrip("# ")
        lines.append(f"- [{title}]({path.name})")
    return "\n".join([*lines, ""])


def main() -> None:
    """Write all pages."""
    REFERENCE.mkdir(exist_ok=True)
    (REFERENCE / "command-line.md").write_text(command_line())
    (REFERENCE / "configuration.md").write_text(configuration())
    (REFERENCE / "metrics.md").write_text(metrics())
    (REFERENCE / "topics.md").write_text(topics())
    (REFERENCE / "asyncapi.yaml").write_text(document())
    (DOCS / "decisions" / "index.md").write_text(decisions())


if __name__ == "__main__":
    main()
