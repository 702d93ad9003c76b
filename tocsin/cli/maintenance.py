"""`tocsin maintenance`: when to act, and where first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from tocsin.cli.errors import WRONG_USAGE, CommandError
from tocsin.cli.options import ConfigFile, Json
from tocsin.cli.terminal import print_json, print_line, print_rows

if TYPE_CHECKING:
    from detectors.rul.advice import Outlook, Planned
    from streams.forecasts import ForecastRecord

app = typer.Typer(
    help="""Say when machines are to be maintained, from how long they will last.

    \b
    Example:
      tocsin maintenance plan --failure-cost 50000 --early-cost 4000 --per-week 40 --a-week 3
    """,
    rich_markup_mode=None,
)

WEEK = 604_800.0


@app.callback()
def _root() -> None:
    """Keep `plan` a command of its own, as there will be others."""


@app.command("plan")
def plan(
    failure_cost: Annotated[
        float, typer.Option("--failure-cost", min=0.0, metavar="MONEY", help="What a failure costs, with what follows.")
    ],
    early_cost: Annotated[
        float, typer.Option("--early-cost", min=0.0, metavar="MONEY", help="What maintenance before it costs.")
    ],
    a_week: Annotated[
        int, typer.Option("--a-week", min=1, metavar="N", help="How many machines can be maintained in a week.")
    ],
    per_week: Annotated[
        float | None,
        typer.Option(
            "--per-week",
            min=0.0,
            metavar="TIME",
            help="How much of its unit of time a machine lives in a week; needless where that is seconds.",
        ),
    ] = None,
    weeks: Annotated[int, typer.Option("--weeks", min=1, max=104, help="How many weeks to plan.")] = 8,
    model: Annotated[
        str | None, typer.Option("--model", metavar="NAME", help="Only machines of this published model.")
    ] = None,
    config: ConfigFile = None,
    json_: Json = False,
) -> None:
    """Plan the maintenance of all machines whose life is foretold now, week by week.

    The time to act is that at which the cost for each unit of time is least: earlier, life is thrown away; later, a
    failure is too likely. Where a week is full, the machine goes first that loses most by waiting.

    \b
    Example:
      tocsin maintenance plan --failure-cost 50000 --early-cost 4000 --per-week 40 --a-week 3
    """
    from detectors.rul.advice import Costs  # noqa: PLC0415 - start-up time
    from detectors.rul.advice import plan as planned  # noqa: PLC0415 - start-up time

    try:
        costs = Costs(failure_cost, early_cost)
    except ValueError as error:
        raise CommandError(str(error), WRONG_USAGE) from error
    machines = _machines(config, model)
    units = {record.machine.unit for record in machines if record.machine is not None}
    if len(units) > 1:
        raise CommandError(f"machines are counted in {', '.join(sorted(units))}; choose one kind with --model")
    unit = units.pop() if units else "s"
    if per_week is None and unit != "s":
        raise CommandError(f"say with --per-week how many {unit}s a machine lives in a week", WRONG_USAGE)
    outlooks = {record.source: _outlook(record) for record in machines}
    found, later = planned(outlooks, costs, a_week=a_week, per_week=per_week or WEEK, weeks=weeks)
    if json_:
        print_json({"unit": unit, "plan": [_plain(one, unit) for one in found], "later": later})
        return
    if not outlooks:
        print_line("no machine's life is foretold; `tocsin models publish` publishes a model")
        return
    rows = [
        [str(one.week + 1), one.machine, f"{one.advice.risk:.0%}", f"{one.extra:.4g}", one.advice.reasoning(unit)]
        for one in found
    ]
    print_rows(("week", "machine", "risk", "extra cost", "why"), rows)
    if later:
        print_line(f"later than {weeks} weeks, or no room: {', '.join(later)}")


def _machines(config: Any, model: str | None) -> list[ForecastRecord]:
    import msgspec  # noqa: PLC0415 - start-up time

    from streams.forecasts import TOPIC, ForecastRecord  # noqa: PLC0415 - start-up time
    from tocsin.cli.clients import read_topic  # noqa: PLC0415 - start-up time
    from tocsin.config import load_configuration  # noqa: PLC0415 - start-up time

    decode = msgspec.json.Decoder(ForecastRecord).decode
    newest = {one.key: decode(one.value) for one in read_topic(load_configuration(config).kafka, TOPIC) if one.value}
    return [one for one in newest.values() if one.machine is not None and model in (None, one.machine.model)]


def _outlook(record: ForecastRecord) -> Outlook:
    from detectors.rul.advice import Outlook  # noqa: PLC0415 - start-up time

    machine = record.machine
    if machine is None:
        raise ValueError(f"{record.source} is no machine")
    return Outlook(machine.age, [one.within for one in machine.failing], [one.probability for one in machine.failing])


def _plain(one: Planned, unit: str) -> dict[str, Any]:
    return {
        "machine": one.machine,
        "week": one.week + 1,
        "extra_cost": round(one.extra, 6),
        **{name: round(value, 6) for name, value in one.advice._asdict().items()},
        "reasoning": one.advice.reasoning(unit),
    }
