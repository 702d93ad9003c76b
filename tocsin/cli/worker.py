"""`tocsin worker`: the service."""

from __future__ import annotations

import typer

from tocsin.cli.options import ConfigFile


def worker(config: ConfigFile = None) -> None:
    """Run the service: score events, raise alerts.

        A worker takes its share of the partitions, and serves /healthz, /readyz and /metrics over HTTP. Start
    as many as there are partitions; they share the work. SIGTERM ends a worker in order.

    \b
    Example:
      tocsin worker --config tocsin.yaml
    """
    from tocsin.config import load_configuration  # noqa: PLC0415 - start-up time
    from tocsin.wiring import run_worker  # noqa: PLC0415 - start-up time

    raise typer.Exit(run_worker(load_configuration(config)))
