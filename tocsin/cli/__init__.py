"""The command line: one file per command, each a thin layer over what does the work."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from typing import Annotated, NoReturn

import typer
import typer.main

from tocsin.cli import (
    alerts,
    asyncapi,
    backtest,
    bench,
    broker,
    calendar,
    cases,
    check,
    demo,
    evaluate,
    explain,
    incidents,
    label,
    maintenance,
    models,
    notify,
    policy,
    produce,
    rules,
    serve,
    silence,
    state,
    tail,
    topics,
    train,
    worker,
)
from tocsin.cli.errors import DONE, FAILED, WRONG_USAGE, report

app = typer.Typer(
    name="tocsin",
    help="""Tocsin watches event streams on Kafka, learns what is normal and raises explained alerts.

    Every command takes its settings from tocsin.yaml (--config) and from environment variables over it,
    such as KAFKA_BOOTSTRAP or TOCSIN_HTTP__PORT. Exit codes: 0 done, 1 failed, 2 wrong usage or configuration.

    \b
    Example, with an embedded Kafka in one terminal and the service in another:
      tocsin broker
      KAFKA_BOOTSTRAP=127.0.0.1:PORT tocsin worker   (the address that it printed)
    """,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    add_completion=True,
    pretty_exceptions_enable=False,
)
app.command("demo")(demo.demo)
app.command("worker")(worker.worker)
app.command("notify")(notify.notify)
app.command("serve")(serve.serve)
app.add_typer(silence.app, name="silence")
app.add_typer(produce.app, name="produce")
app.command("label")(label.label)
app.add_typer(alerts.app, name="alerts")
app.add_typer(incidents.app, name="incidents")
app.add_typer(explain.app, name="explain")
app.add_typer(policy.app, name="policy")
app.add_typer(calendar.app, name="calendar")
app.add_typer(cases.app, name="cases")
app.add_typer(rules.rules, name="rules")
app.add_typer(rules.lists, name="lists")
app.add_typer(models.app, name="models")
app.add_typer(maintenance.app, name="maintenance")
app.command("tail")(tail.tail)
app.add_typer(topics.app, name="topics")
app.command("asyncapi")(asyncapi.asyncapi)
app.add_typer(state.app, name="state")
app.command("check")(check.check)
app.add_typer(backtest.app, name="backtest")
app.add_typer(train.app, name="train")
app.add_typer(evaluate.app, name="evaluate")
app.add_typer(bench.app, name="bench")
app.command("broker")(broker.broker)


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version  # noqa: PLC0415 - start-up time

        typer.echo(f"tocsin {version('tocsin')}")
        raise typer.Exit


@app.callback()
def _root(
    _version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and end."),
    ] = False,
    debug: Annotated[
        bool,
        typer.Option("--debug", help="Show where an error happened; may stand anywhere on the command line."),
    ] = False,
) -> None:
    logging.basicConfig(level=logging.INFO if debug else logging.WARNING, stream=sys.stderr)
    if not debug:
        # What goes wrong with Kafka is told once, in a line that says what to do.
        logging.getLogger("kafka").setLevel(logging.CRITICAL)


def run(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code.

    Parameters
    ----------
    arguments
        The command line without the program's name.

    """
    arguments, debug = _take_debug(arguments)
    command = typer.main.get_command(app)
    try:
        # Whoever types nothing wants to know what there is.
        code = command.main(args=arguments or ["--help"], prog_name="tocsin", standalone_mode=False)
    except (Exception, KeyboardInterrupt) as error:
        return report(error, debug=debug)
    if code not in (None, DONE, FAILED, WRONG_USAGE):
        return report(KeyboardInterrupt(), debug=debug)  # Typer's 130
    return int(code or DONE) if arguments else WRONG_USAGE


def _take_debug(arguments: Sequence[str]) -> tuple[list[str], bool]:
    """Move `--debug` to the front, where Typer expects it."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    options = [one for one in arguments[:end] if one != "--debug"]
    debug = len(options) < end
    return ["--debug"] * debug + options + list(arguments[end:]), debug


def main() -> NoReturn:
    """Run the command line of this process."""
    sys.exit(run(sys.argv[1:]))
