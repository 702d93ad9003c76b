"""`tocsin notify`: the process that tells people."""

from __future__ import annotations

import typer

from tocsin.cli.options import ConfigFile


def notify(config: ConfigFile = None) -> None:
    """Tell people of alerts: group them, leave out what is silenced or inhibited, and deliver.

        Section `notify` of the configuration says who is told what: a tree of routes and receivers in the words of
    Alertmanager. One process is active at a time; others that are started stand by. It serves /healthz, /readyz and
    /metrics over HTTP (http.port). SIGTERM ends it in order.

    \b
    Example:
      tocsin notify --config tocsin.yaml
    """
    from tocsin.config import load_configuration  # noqa: PLC0415 - start-up time
    from tocsin.wiring import run_notifier  # noqa: PLC0415 - start-up time

    raise typer.Exit(run_notifier(load_configuration(config)))
