"""Writes the reference pages from the code, so that they cannot disagree with it. `make docs` runs it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import typer
from prometheus_client import REGISTRY

DOCS = Path(__file__).parent
REFERENCE = DOCS / "reference"


def command_line() -> str:
    """Return every command with its options."""
    from tocsin.cli import app

    lines = ["# Command line", "", "Exit codes: 0 done, 1 failed, 2 wrong usage or configuration.", ""]
    for path, command in commands(typer.main.get_command(app), "tocsin"):
        context = click.Context(command, info_name=path)
        lines += [f"## {path}", "", "```text", command.get_help(context).replace("\b", "").strip(), "```", ""]
    return "\n".join(lines)


def commands(command: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Yield a command and all below it."""
    yield path, command
    for name, child in sorted(getattr(command, "commands", {}).items()):
        yield from commands(child, f"{path} {name}")


def configuration() -> str:
    """Return every setting with its type, default and meaning."""
    from tocsin.config import Configuration

    schema = Configuration.model_json_schema()
    lines = [
        "# Configuration",
        "",
        "One `tocsin.yaml`; environment variables go over it: `TOCSIN_` and the path in capitals, joined by `__`",
        "(`TOCSIN_KAFKA__TOPIC_PREFIX`). `tocsin check` validates a file.",
        "",
        "| setting | type | default | meaning |",
        "|---|---|---|---|",
    ]
    lines += [f"| `{path}` | {kind} | {default} | {text} |" for path, kind, default, text in settings(schema, schema)]
    return "\n".join([*lines, ""])


def settings(schema: dict[str, Any], node: dict[str, Any], path: str = "") -> Iterator[tuple[str, str, str, str]]:
    """Yield each leaf of the settings' tree."""
    for name, field in node.get("properties", {}).items():
        resolved = resolve(schema, field)
        here = f"{path}{name}"
        if "properties" in resolved:
            yield from settings(schema, resolved, f"{here}.")
        else:
            default = f"`{json.dumps(field['default'])}`" if "default" in field else ""
            text = " ".join(str(field.get("description", resolved.get("description", ""))).split())
            yield here, kind(schema, field), default, text.replace("|", "\\|")


def resolve(schema: dict[str, Any], field: dict[str, Any]) -> dict[str, Any]:
    """Follow a reference."""
    if "$ref" in field:
        return schema["$defs"][field["$ref"].rsplit("/", 1)[1]]
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


def metrics() -> str:
    """Return every metric of a worker."""
    import streams.metrics  # noqa: F401  registers them

    lines = ["# Metrics", "", "Served at `/metrics` of each worker.", "", "| metric | type | meaning |", "|---|---|---|"]
    families = sorted((f for f in REGISTRY.collect() if f.name.startswith("tocsin_")), key=lambda f: f.name)
    for family in families:
        name = f"{family.name}_total" if family.type == "counter" else family.name
        lines.append(f"| `{name}` | {family.type} | {family.documentation} |")
    return "\n".join([*lines, ""])


def decisions() -> str:
    """Return an index of the decision records."""
    lines = ["# Decisions", "", "Half a page each: context, decision, consequences.", ""]
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
    (DOCS / "decisions" / "index.md").write_text(decisions())


if __name__ == "__main__":
    main()
