"""`tocsin bench`: what it costs, measured beside others in one run."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Protocol

import typer

from tocsin.cli.columns import must_exist, readable
from tocsin.cli.options import ConfigFile
from tocsin.cli.plots import must_be_drawable
from tocsin.cli.terminal import print_json, print_table, progress

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from detectors.base import Detector
    from streams.settings import KafkaSettings
    from tocsin.bench.state_size import LargestState
    from tocsin.evaluation.tables import Table

app = typer.Typer(
    help="""Measure speed, memory and cold starts beside others, in one run; read the ratios.

    \b
    Example:
      tocsin bench detectors --plot detectors.svg
    """,
    rich_markup_mode=None,
)

PlotFile = Annotated[
    Path | None,
    typer.Option("--plot", metavar="FILE", help="Also draw a plot, as .svg or .png; needs matplotlib."),
]
Numbers = Annotated[
    list[int] | None, typer.Option("--sources", min=1, help="A number of sources; may be given several times.")
]
Short = Annotated[bool, typer.Option("--short", help="Measure just enough to see that it runs.")]
LastJson = Annotated[bool, typer.Option("--json", help="End with one JSON object, on the last line.")]


class Result(Protocol):
    """What a benchmark comes to."""

    def as_json(self) -> dict[str, Any]:
        """Return what programs read."""

    def tables(self) -> list[Table]:
        """Return what people read."""

    def plot(self, file: Path) -> None:
        """Draw it."""


@app.command("detectors")
def detectors(
    config: ConfigFile = None,
    data: Annotated[
        Path | None,
        typer.Option(
            "--data",
            metavar="DIR",
            help="Also measure the largest state over all of NAB and SKAB: a folder with nab/data and skab/data.",
        ),
    ] = None,
    plot: PlotFile = None,
    short: Short = False,
    json_: LastJson = False,
) -> None:
    """Time the configured detector beside River's, on one core, for events of 1 and of 8 values.

        Medians of repeated rounds in which all take turns; each event is scored, then learned. A ratio above 1
    means that the other costs more. The JSON object has the fields detector, rounds, events, costs (by number of
    values and detector: microseconds, ratio, state_bytes) and largest_state (corpus, source, values, state_bytes).

    \b
    Example:
      tocsin bench detectors
      tocsin bench detectors --data DATA --json
    """
    from tocsin.bench.detectors import SHORT, Effort, bench  # noqa: PLC0415 - start-up time
    from tocsin.bench.state_size import largest_states  # noqa: PLC0415 - start-up time

    name, make = _configured(config)
    must_be_drawable(plot)
    largest: Sequence[LargestState] = ()
    if data is not None:
        must_exist(data)
        with readable(), progress("rows") as tell:
            largest = largest_states(data, make, tell)
    with progress("rounds") as tell:
        found = bench(name, make, SHORT if short else Effort(), tell)
    _tell(replace(found, largest=largest), plot, json_)


@app.command("coldstart")
def coldstart(
    config: ConfigFile = None,
    sources: Annotated[int, typer.Option("--sources", min=1, help="How many sources start.")] = 10_000,
    plot: PlotFile = None,
    short: Short = False,
    json_: LastJson = False,
) -> None:
    """Count the events until a new source's scores are usable, with and without what its peers have learned.

        Simulated sources of a few types. A source is usable at an age if the p-values of its type are calibrated at
    that age (within a factor of 3 at 0.01) and a spike of 8 standard deviations would have a p-value of at most 0.001.
    The JSON object has the fields detector, sources, peers, types, ages (a list: age, and for without and with_peers
    usable, calibration and found) and usable_at (age at which half, and 90 %, are usable).

    \b
    Example:
      tocsin bench coldstart --plot coldstart.svg
    """
    from tocsin.bench.cold_start import SHORT, Fleet, bench  # noqa: PLC0415 - start-up time

    name, make = _configured(config)
    must_be_drawable(plot)
    fleet = SHORT if short else Fleet(sources=sources)
    with progress("sources") as tell:
        found = bench(name, make, fleet, tell)
    _tell(found, plot, json_)


@app.command("memory")
def memory(
    sources: Numbers = None,
    events: Annotated[
        int, typer.Option("--events", min=1, help="Events in all, for each number of sources.")
    ] = 200_000,
    megabytes: Annotated[
        int, typer.Option("--memory-megabytes", min=8, help="The worker's setting state.memory_megabytes.")
    ] = 1450,
    plot: PlotFile = None,
    short: Short = False,
    json_: LastJson = False,
) -> None:
    """Measure the resident memory and the checkpoints of a real worker, by the number of its sources.

        A Kafka and a worker process of their own for each number: 1,000, 10,000 and 100,000 unless given. Sources take
    turns; each event has one value. The JSON object has the fields memory_megabytes, partitions and runs (a list:
    sources, events, idle_bytes, peak_bytes, end_bytes, in_memory, evicted, state_bytes, checkpoint_bytes, store_bytes,
    seconds, bytes_per_source, changelog_bytes_per_event).

    \b
    Example:
      tocsin bench memory --sources 100000 --events 1000000 --plot memory.svg
    """
    from tocsin.bench.memory import SHORT, Effort, bench  # noqa: PLC0415 - start-up time

    must_be_drawable(plot)
    effort = SHORT if short else Effort(tuple(sources or Effort().sources), events, memory_megabytes=megabytes)
    with progress("numbers of sources") as tell:
        found = bench(effort, tell)
    _tell(found, plot, json_)


@app.command("recovery")
def recovery(
    sources: Numbers = None,
    repeats: Annotated[int, typer.Option("--repeats", min=1, help="Restarts of each kind; the median counts.")] = 3,
    plot: PlotFile = None,
    short: Short = False,
    json_: LastJson = False,
) -> None:
    """Measure how long a worker takes to be ready again after kill -9, by the number of its sources.

        With its local RocksDB, and from the changelog topics alone. A Kafka and a worker process of their own for each
    number: 1,000, 10,000 and 100,000 unless given. The JSON object has the fields partitions and runs (a list: sources,
    events, local_seconds, changelog_seconds, store_bytes, changelog_bytes, local_median, changelog_median).

    \b
    Example:
      tocsin bench recovery --sources 100000 --plot recovery.svg
    """
    from tocsin.bench.recovery import SHORT, Effort, bench  # noqa: PLC0415 - start-up time

    must_be_drawable(plot)
    effort = SHORT if short else Effort(tuple(sources or Effort().sources), repeats=repeats)
    with progress("numbers of sources") as tell:
        found = bench(effort, tell)
    _tell(found, plot, json_)


@app.command("throughput")
def throughput(
    config: ConfigFile = None,
    rounds: Annotated[int, typer.Option("--rounds", min=1, help="How often each contestant has its turn.")] = 3,
    plot: PlotFile = None,
    short: Short = False,
    json_: LastJson = False,
) -> None:
    """Count events a second: Tocsin's worker beside hand-written loops, Quix Streams and a plain Faust agent.

        Each contestant is one process and consumes the same topic from its beginning: events of 4 values from 100
    sources. All have the same model, River's HalfSpaceTrees(10, 8) behind a MinMaxScaler for each source, and Tocsin
    once more its default detector. The others decode, score, learn and alert; Tocsin does all that it always does.
    The time is that between the first and the last record of the topic, as the broker's clock tells when each was
    answered: both are no JSON, and go to dead-letters. So starting up does not count, and making models does.

        It uses an embedded Kafka, or that of KAFKA_BOOTSTRAP with topics of its own, and takes some minutes. It needs
    the extra: pip install 'tocsin[bench]'. The JSON object has the fields events, rounds, partitions, model,
    events_per_second (medians), rounds_events_per_second and ratios (same_model_vs_confluent, same_model_vs_faust,
    default_vs_confluent: medians of the ratios of each round).

    \b
    Example:
      tocsin bench throughput --json
    """
    from tocsin.bench.throughput import SHORT, Effort, bench  # noqa: PLC0415 - start-up time

    must_be_drawable(plot)
    with _kafka(config, "confluent_kafka", "quixstreams") as private, progress("runs") as tell:
        found = bench(private, SHORT if short else Effort(rounds=rounds), tell)
    _tell(found, plot, json_)


@app.command("latency")
def latency(config: ConfigFile = None, plot: PlotFile = None, short: Short = False, json_: LastJson = False) -> None:
    """Time the way from an event to its alert under load, and from a payment to its decision beside saturation.

        Tocsin's worker with its default detector first takes what it can: its highest rate. Then events come at 25, 50
    and 75 % of that, some of them odd: the latency is from when an event was produced to when the alert that it began,
    changed or ended was written, as the broker's clock tells. Last, more telemetry waits than the worker can take, and
    transactions come at 50 a second: from when one was produced to when its decision was written.

        It uses an embedded Kafka, or that of KAFKA_BOOTSTRAP with topics of its own, and takes two minutes. Producer,
    broker and worker share this machine. It needs the extra: pip install 'tocsin[bench]'. The JSON object has the
    fields events_per_second (the highest rate), alerts (by share of it: events_per_second, samples, p50 and p99 in
    milliseconds), decisions_while_telemetry_saturates (the same) and saturated (whether telemetry still waited).

    \b
    Example:
      tocsin bench latency --plot latency.svg
    """
    from tocsin.bench.latency import SHORT, Effort, bench  # noqa: PLC0415 - start-up time

    must_be_drawable(plot)
    with _kafka(config, "confluent_kafka") as private, progress("steps") as tell:
        found = bench(private, SHORT if short else Effort(), tell)
    _tell(found, plot, json_)


@contextlib.contextmanager
def _kafka(config: Path | None, *packages: str) -> Iterator[KafkaSettings]:
    """Give a Kafka for a benchmark, if the packages that it needs besides are there."""
    from tocsin.bench.contestants import must_be_there  # noqa: PLC0415 - start-up time
    from tocsin.broker.private import private_kafka  # noqa: PLC0415 - start-up time
    from tocsin.config import load_configuration  # noqa: PLC0415 - start-up time

    kafka = load_configuration(config).kafka
    must_be_there(kafka, packages)
    with private_kafka(kafka, "bench") as private:
        yield private


def _configured(config: Path | None) -> tuple[str, Callable[[], Detector]]:
    from tocsin.config import load_configuration  # noqa: PLC0415 - start-up time
    from tocsin.wiring import make_detector  # noqa: PLC0415 - start-up time

    configuration = load_configuration(config)
    return configuration.telemetry.detector.name, make_detector(configuration)


def _tell(found: Result, plot: Path | None, as_json: bool) -> None:
    for table in found.tables():
        print_table(table)
    if plot is not None:
        found.plot(plot)
    if as_json:
        print_json(found.as_json())
