"""`tocsin worker`: the service."""

from __future__ import annotations

from typing import Annotated

import typer

from tocsin.cli.options import ConfigFile


def worker(
    config: ConfigFile = None,
    processes: Annotated[
        int,
        typer.Option(
            min=1,
            max=1000,
            help="Workers to run on this host, each a process. One that dies is started again. They answer on"
            " http.port, the next port, and so on.",
        ),
    ] = 1,
) -> None:
    """Run the service: score events, raise alerts.

        A worker takes its share of the partitions, and serves /healthz, /readyz and /metrics over HTTP. Start
    as many as there are partitions; they share the work. SIGTERM ends a worker in order.

    \b
    Examples:
      tocsin worker --config tocsin.yaml
      tocsin worker --processes 4
    """
    from tocsin.config import load_configuration  # noqa: PLC0415 - start-up time

    configuration = load_configuration(config)
    if processes == 1:
        from tocsin.wiring import run_worker  # noqa: PLC0415 - start-up time

        raise typer.Exit(run_worker(configuration))
    from tocsin.processes import run_processes  # noqa: PLC0415 - start-up time
    from tocsin.wiring import check_states  # noqa: PLC0415 - start-up time

    check_states(configuration)  # what is wrong with it is said here, once
    raise typer.Exit(run_processes(configuration, processes))
