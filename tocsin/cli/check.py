"""`tocsin check`: validate the configuration."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tocsin.cli.errors import WRONG_USAGE
from tocsin.cli.options import ConfigFile, Json
from tocsin.cli.terminal import print_json, print_line

if TYPE_CHECKING:
    from tocsin.config import Configuration


def check(
    config: ConfigFile = None,
    connect: Annotated[bool, typer.Option("--connect", help="Also check that the Kafka broker answers.")] = False,
    show: Annotated[
        bool,
        typer.Option("--show", help="Print the settings that result from all sources; secrets stay hidden."),
    ] = False,
    schema: Annotated[
        bool,
        typer.Option("--schema", help="Print the JSON Schema of the configuration file and end."),
    ] = False,
    json_: Json = False,
) -> None:
    """Validate the configuration.

        That is the file, the environment variables over it and the files of secrets. Each problem is one line
    with file, line, column and what to do; the exit code is then 2.

    \b
    Example:
      tocsin check --config tocsin.yaml --connect
      tocsin check --schema > tocsin.schema.json
    """
    from tocsin.config import (  # noqa: PLC0415 - start-up time
        Configuration,
        ConfigurationError,
        json_schema,
        load_configuration,
    )

    if schema:
        print_line(json.dumps(json_schema(Configuration), indent=2))
        return
    from tocsin.wiring import check_states  # noqa: PLC0415 - start-up time

    try:
        configuration = load_configuration(config)
        check_states(configuration)
    except ConfigurationError as error:
        if not json_:
            raise
        problems = [{"place": one.place, "setting": one.path, "reason": one.reason} for one in error.problems]
        print_json({"ok": False, "problems": problems})
        raise typer.Exit(WRONG_USAGE) from error
    found: dict[str, Any] = {"ok": True}
    if connect:
        found["brokers"] = _brokers(configuration)
    _print(configuration, found, show=show, as_json=json_)


def _brokers(configuration: Configuration) -> int:
    from tocsin.cli.clients import admin  # noqa: PLC0415 - start-up time

    with admin(configuration.kafka) as kafka:
        return len(kafka.describe_cluster()["brokers"])


def _print(configuration: Configuration, found: dict[str, Any], *, show: bool, as_json: bool) -> None:
    settings = configuration.model_dump(mode="json")
    if as_json:
        print_json(found | ({"settings": settings} if show else {}))
        return
    if show:
        import yaml  # noqa: PLC0415 - start-up time

        print_line(yaml.safe_dump(settings, sort_keys=False).rstrip())
        return
    brokers = found.get("brokers")
    answer = f"; {brokers} Kafka broker{'s' * (brokers != 1)} answered" if brokers else ""
    print_line(f"the configuration is valid{answer}")
