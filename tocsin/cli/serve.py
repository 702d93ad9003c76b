"""`tocsin serve`: decisions over HTTP, for callers that must wait."""

from __future__ import annotations

import typer

from tocsin.cli.options import ConfigFile


def serve(config: ConfigFile = None) -> None:
    """Answer `POST /v1/decisions` with the decision on a transaction.

        The transaction goes to topic `transactions` as everybody's does, a worker decides it, and the answer is what it
    publishes to `decisions`. Section `serve` of the configuration says who may ask, how long an answer may take, and
    which decision is the fall-back. /openapi.json describes it; /healthz, /readyz and /metrics are served at http.port.
    SIGTERM ends it in order. Start as many as you like.

    \b
    Example:
      tocsin serve --config tocsin.yaml
    """
    from tocsin.config import load_configuration  # noqa: PLC0415 - start-up time
    from tocsin.wiring import run_server  # noqa: PLC0415 - start-up time

    raise typer.Exit(run_server(load_configuration(config)))
