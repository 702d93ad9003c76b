"""`tocsin train`: models from history."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tocsin.cli.columns import ExcludedColumns, ValueColumns, listed, must_exist, readable
from tocsin.cli.options import ConfigFile, Json
from tocsin.cli.terminal import print_json, print_line

app = typer.Typer(
    help="""Train a model from history: a signed file that holds no code, and its model card.

    \b
    Example:
      tocsin train rul --data failed.parquet --unit machine --time hours -o pumps.model
    """,
    rich_markup_mode=None,
)


@app.command("rul")
def rul(
    data: Annotated[
        Path,
        typer.Option(
            "--data", metavar="FILE", help="CSV, Parquet, or numbers between spaces without a header (.txt, .txt.gz)."
        ),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="MODEL", help="Where to write; its card goes beside it, as .md.")
    ],
    unit: Annotated[str | None, typer.Option("--unit", metavar="COLUMN", help="Column that names the machine.")] = None,
    time: Annotated[
        str | None, typer.Option("--time", metavar="COLUMN", help="Column of the time: cycles, hours, or dates.")
    ] = None,
    values: ValueColumns = None,
    exclude: ExcludedColumns = None,
    mode: Annotated[
        str | None, typer.Option("--mode", metavar="COLUMN", help="Column that names what failed in the end.")
    ] = None,
    horizon: Annotated[
        float | None,
        typer.Option(
            "--horizon",
            min=0.0,
            metavar="TIME",
            help="How far ahead it tells, in the unit of time; by default five eighths of the median life.",
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", metavar="NAME", help="The model's name; by default that of its file.")
    ] = None,
    config: ConfigFile = None,
    json_: Json = False,
) -> None:
    """Learn how long machines last from the recorded lives of machines that have failed.

        One row a reading; each machine failed at its last one. The model is signed with state.key if that is set,
    else with a digest, which shows damage but not forgery. Its errors are found by cross-validation over machines.

    \b
    Example:
      tocsin train rul --data failed.parquet --unit machine --time hours -o pumps.model
    """
    from detectors.rul.card import card  # noqa: PLC0415 - start-up time
    from streams.machine_tables import MachineColumns  # noqa: PLC0415 - start-up time
    from streams.training import train_rul  # noqa: PLC0415 - start-up time
    from tocsin.cli.artefacts import state_key, write_model  # noqa: PLC0415 - start-up time

    key = state_key(config)
    must_exist(data)
    columns = MachineColumns(unit, time, listed(values), listed(exclude), mode)
    with readable():
        artefact = train_rul(data, columns, name or output.stem, horizon or None)
    about = write_model(output, artefact, key, card(artefact))
    metrics = artefact.metrics
    if json_:
        print_json({"model": str(output), "card": str(about), "schema": artefact.schema, "metrics": metrics})
        return
    said = f"{metrics['trained_on']['units']:,} machines, horizon {artefact.schema['horizon']:g}"
    if metrics.get("rmse") is not None:
        said += f"; error {metrics['rmse']:.1f} (root mean square, machines left out in turn)"
    if metrics.get("coverage") is not None:
        said += f", intervals cover {metrics['coverage']:.0%}"
    print_line(f"{said}. Written to {output}, its card to {about}")
