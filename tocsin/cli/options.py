"""Options that several commands share, so that they read the same everywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        metavar="FILE",
        envvar="TOCSIN_CONFIG",
        help="Configuration file. Without it, tocsin.yaml in the current folder if there is one, "
        "else environment variables and defaults alone.",
    ),
]

By = Annotated[str | None, typer.Option("--by", metavar="NAME", help="Who says so; default: your login.")]

Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
