"""`tocsin evaluate`: public benchmarks, each with its own metric, beside published results."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tocsin.cli.columns import must_exist, readable
from tocsin.cli.options import ConfigFile, Json
from tocsin.cli.terminal import console, print_json, progress

if TYPE_CHECKING:
    from rich.table import Table

app = typer.Typer(
    help="""Score the configured detector on a public benchmark, beside published results.

    \b
    Example:
      tocsin evaluate nab --data NAB
    """,
    rich_markup_mode=None,
)

Data = Annotated[Path, typer.Option("--data", metavar="DIR", help="Folder with the benchmark's data.")]


@app.command("nab")
def nab(data: Data, config: ConfigFile = None, json_: Json = False) -> None:
    """Numenta Anomaly Benchmark: 58 series, scored as its own scorer does.

    One threshold on alert_score for the whole corpus, the best there is, as NAB does for every detector. The default
    detector's design was chosen on some categories; the others, reported apart, are held out.

    \b
    Example:
      tocsin evaluate nab --data NAB --json
    """
    from tocsin.evaluation import nab as benchmark  # noqa: PLC0415 - start-up time

    found = _evaluated(benchmark, data, config)
    if json_:
        print_json(found)
        return
    table = _table("NAB, beside published results for the whole", "detector", *benchmark.PROFILES)
    for part, scores in found.items():
        table.add_row(f"this, {part}", *(f"{score:.1f}" for score in scores.values()))
    for name, score in benchmark.PUBLISHED.items():
        table.add_row(name, f"{score:.1f}")
    console().print(table)


@app.command("skab")
def skab(data: Data, config: ConfigFile = None, json_: Json = False) -> None:
    """Skoltech Anomaly Benchmark: a water loop, eight sensors, by the alerts that fire.

    F1, the shares of false and of missed alarms, and the average precision (AP) of anomaly_score.

    \b
    Example:
      tocsin evaluate skab --data SKAB/data
    """
    from tocsin.evaluation import skab as benchmark  # noqa: PLC0415 - start-up time

    found = _evaluated(benchmark, data, config)
    if json_:
        print_json(found)
        return
    table = _table("SKAB, beside F1 published for the whole benchmark", "detector", "F1", "false", "missed", "AP")
    f1, *rest = found.values()
    table.add_row("this", f"{f1:.2f}", f"{rest[0]:.1%}", f"{rest[1]:.1%}", f"{rest[2]:.2f}")
    for name, score in benchmark.PUBLISHED.items():
        table.add_row(name, f"{score:.2f}")
    console().print(table)


def _evaluated(benchmark: Any, data: Path, config: Path | None) -> dict[str, Any]:
    from tocsin.config import load_configuration  # noqa: PLC0415 - start-up time
    from tocsin.wiring import make_detector  # noqa: PLC0415 - start-up time

    configuration = load_configuration(config)
    detector = make_detector(configuration)
    must_exist(data)
    with readable(), progress("rows") as tell:
        found: dict[str, Any] = benchmark.evaluate(data, configuration.telemetry, detector, tell)
    return found


def _table(title: str, *columns: str) -> Table:
    from rich.table import Table  # noqa: PLC0415 - start-up time

    table = Table(title=title, title_justify="left")
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number else "left")
    return table
