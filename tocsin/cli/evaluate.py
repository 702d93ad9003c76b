"""`tocsin evaluate`: public benchmarks and labelled recordings, each with its own metric, beside published results."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Protocol

import typer

from tocsin.cli.columns import ExcludedColumns, SourceColumn, TimeColumn, ValueColumns, listed, must_exist, readable
from tocsin.cli.options import ConfigFile, Json
from tocsin.cli.plots import must_be_drawable
from tocsin.cli.terminal import console, print_json, print_table, progress

if TYPE_CHECKING:
    from detectors.base import Detector
    from streams.tables import Progress
    from streams.telemetry_settings import TelemetrySettings
    from tocsin.evaluation.tables import Table

app = typer.Typer(
    help="""Score the configured detector on a public benchmark or on recordings with labels, beside published results.

    \b
    Example:
      tocsin evaluate nab --data NAB
      tocsin evaluate labelled --data recordings/ --label broken
    """,
    rich_markup_mode=None,
)

Data = Annotated[Path, typer.Option("--data", metavar="DIR", help="Folder with the benchmark's data.")]
Plots = Annotated[
    Path | None,
    typer.Option(
        "--plots",
        metavar="DIR",
        help="Also plot the hardest series there, those with the lowest score, as SVG; needs matplotlib.",
    ),
]


class Found(Protocol):
    """What an evaluation comes to."""

    def as_json(self) -> dict[str, Any]:
        """Return what programs read."""

    def tables(self, title: str) -> list[Table]:
        """Return what people read."""


class Whole(Found, Protocol):
    """What is plotted as a whole."""

    def plot(self, file: Path) -> None:
        """Plot it."""


class Result(Found, Protocol):
    """What is plotted series by series."""

    def hardest(self) -> list[Any]:
        """Return the series, the one with the lowest score first."""


@app.command("nab")
def nab(data: Data, config: ConfigFile = None, plots: Plots = None, json_: Json = False) -> None:
    """Numenta Anomaly Benchmark: 58 series, scored as its own scorer does, by three profiles.

        One threshold on alert_score for the whole corpus, the best there is, as NAB does for every detector. The
    default detector's design was chosen on some categories; the others, reported apart, are held out. Beside it the
    average precision (AP) of anomaly_score in labelled windows, and that of published detectors' scores.

    \b
    Example:
      tocsin evaluate nab --data NAB --plots plots/
    """
    from tocsin.evaluation import nab as benchmark  # noqa: PLC0415 - start-up time

    _tell(_evaluated(benchmark.evaluate, data, config, plots), benchmark.TITLE, plots, json_)


@app.command("skab")
def skab(data: Data, config: ConfigFile = None, plots: Plots = None, json_: Json = False) -> None:
    """Skoltech Anomaly Benchmark: a water loop, eight sensors, by the alerts that fire.

    F1, the shares of false and of missed alarms, and the average precision (AP) of anomaly_score.

    \b
    Example:
      tocsin evaluate skab --data SKAB/data
    """
    from tocsin.evaluation import skab as benchmark  # noqa: PLC0415 - start-up time

    _tell(_evaluated(benchmark.evaluate, data, config, plots), benchmark.TITLE, plots, json_)


@app.command("labelled")
def labelled(
    data: Annotated[Path, typer.Option("--data", metavar="DIR", help="Folder with CSV or Parquet files.")],
    label: Annotated[
        str, typer.Option("--label", metavar="COLUMN", help="Column that is 1 where something is wrong, else 0.")
    ],
    config: ConfigFile = None,
    time_: TimeColumn = None,
    source: SourceColumn = None,
    values: ValueColumns = None,
    exclude: ExcludedColumns = None,
    plots: Plots = None,
    json_: Json = False,
) -> None:
    """Your own recordings, or any corpus of files with a column of labels, by the alerts that fire.

        F1, the shares of false and of missed alarms, and the average precision (AP) of anomaly_score. The detector
    never sees the labels.

    \b
    Example:
      tocsin evaluate labelled --data recordings/ --label broken
    """
    from streams.replay import TelemetryColumns  # noqa: PLC0415 - start-up time
    from tocsin.evaluation import labelled as benchmark  # noqa: PLC0415 - start-up time

    columns = TelemetryColumns(time_, source, listed(values), listed(exclude))

    def evaluate(
        data: Path, settings: TelemetrySettings, make_detector: Callable[[], Detector], progress: Progress
    ) -> Result:
        return benchmark.evaluate(data, settings, make_detector, label=label, columns=columns, progress=progress)

    _tell(_evaluated(evaluate, data, config, plots), f"{data}, by its column {label}", plots, json_)


@app.command("fraud")
def fraud(data: Data, config: ConfigFile = None, plots: Plots = None, json_: Json = False) -> None:
    """Fraud Detection Handbook: 1.3 million simulated card payments, decided in order, labels 7 days late.

        AUC ROC, average precision and card precision@100 on its test week by its protocol, beside its own models; the
    same by kind of fraud; week by week, with the money saved by reviewing 100 payments a day; and whether scores are
    probabilities. The column that names the kind of fraud is read for the result alone.

    \b
    Example:
      tocsin evaluate fraud --data HANDBOOK
    """
    from tocsin.config import load_configuration  # noqa: PLC0415 - start-up time
    from tocsin.evaluation import fraud as benchmark  # noqa: PLC0415 - start-up time

    configuration = load_configuration(config)
    must_exist(data / benchmark.FILE)
    plot = _plotted(plots, "fraud")
    with readable(), progress("transactions") as tell:
        found = benchmark.evaluate(data, configuration.transactions, configuration.topics.partitions, tell)
    _tell_whole(found, benchmark.TITLE, plot, json_)


@app.command("cmapss")
def cmapss(data: Data, plots: Plots = None, json_: Json = False) -> None:
    """C-MAPSS FD001: how long turbofan engines last, foretold by a model trained on other engines.

        Root mean square error and NASA's score with lives capped at 125 cycles, coverage and width of the intervals,
    of engines left out in turn and cut off at random; and on the official test set, where test_FD001.txt and
    RUL_FD001.txt are beside train_FD001.txt.

    \b
    Example:
      tocsin evaluate cmapss --data CMAPSS
    """
    from tocsin.evaluation import cmapss as benchmark  # noqa: PLC0415 - start-up time

    must_exist(data)
    plot = _plotted(plots, "cmapss")
    with readable(), progress("models") as tell:
        found = benchmark.evaluate(data, tell)
    _tell_whole(found, benchmark.TITLE, plot, json_)


def _plotted(plots: Path | None, name: str) -> Path | None:
    plot = plots and plots / f"{name}.svg"
    must_be_drawable(plot)
    return plot


def _tell_whole(found: Whole, title: str, plot: Path | None, as_json: bool) -> None:
    if plot is not None:
        found.plot(plot)
    if as_json:
        print_json(found.as_json())
        return
    for table in found.tables(title):
        print_table(table)
    if plot is not None:
        console().print(f"Plotted in {plot}")


@app.command("forecast")
def forecast(
    data: Data,
    forecaster: Annotated[
        str,
        typer.Option("--forecaster", metavar="NAME", help="auto, river.SNARIMAX or river.HoltWinters."),
    ] = "auto",
    parameters: Annotated[
        str | None,
        typer.Option("--parameters", metavar="JSON", help="Parameters of a forecaster of River, as a JSON object."),
    ] = None,
    plots: Plots = None,
    json_: Json = False,
) -> None:
    """Forecasts of NAB's series, or of any files with numbers, 1, 12 and 64 steps ahead.

        Event by event: each forecast is judged when its event comes, before that is learned. Tells how many values
    keep to the bounds of 95 %, and the mean absolute error beside the last value's (naive) and that of the value a day
    ago (seasonal-naive). MASE is the error in units of the naive one's. The default forecaster's design was chosen on
    some categories of NAB; the other real ones, reported apart, are held out.

    \b
    Example:
      tocsin evaluate forecast --data NAB
      tocsin evaluate forecast --data NAB --forecaster river.HoltWinters --parameters '{"alpha": 0.2}'
    """
    import json  # noqa: PLC0415 - start-up time

    from detectors.forecasts.base import ForecastError  # noqa: PLC0415 - start-up time
    from detectors.forecasts.registry import forecaster_factory  # noqa: PLC0415 - start-up time
    from tocsin.evaluation import forecast as benchmark  # noqa: PLC0415 - start-up time

    try:
        chosen = None if parameters is None else json.loads(parameters)
        if chosen is not None and not isinstance(chosen, dict):
            raise ValueError('it is no JSON object, such as {"p": 3}')  # noqa: TRY301
        make = forecaster_factory(forecaster, chosen)
    except ForecastError as error:
        raise typer.BadParameter(str(error), param_hint="--forecaster") from error
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--parameters") from error
    must_exist(data)
    plot = _plotted(plots, "forecast")
    with readable(), progress("values") as tell:
        found = benchmark.evaluate(data, make, tell)
    _tell_whole(found, benchmark.TITLE, plot, json_)


def _evaluated(evaluate: Callable[..., Result], data: Path, config: Path | None, plots: Path | None) -> Result:
    from tocsin.config import load_configuration  # noqa: PLC0415 - start-up time
    from tocsin.wiring import make_detector  # noqa: PLC0415 - start-up time

    configuration = load_configuration(config)
    detector = make_detector(configuration)
    must_exist(data)
    must_be_drawable(plots and plots / "series.svg")
    with readable(), progress("rows") as tell:
        return evaluate(data, configuration.telemetry, detector, progress=tell)


def _tell(found: Result, title: str, plots: Path | None, as_json: bool) -> None:
    if plots is not None:
        from tocsin.evaluation.plots import plot_hardest  # noqa: PLC0415 - start-up time

        plot_hardest(found.hardest(), plots)
    if as_json:
        print_json(found.as_json())
        return
    for table in found.tables(title):
        print_table(table)
    if plots is not None:
        console().print(f"The hardest series are plotted in {plots}")
