"""Proves on the real service that no fault changes what it says: every output, to the last bit.

python benchmarks/exactness.py --events 500000 --kills 20
python benchmarks/exactness.py --only kills,sleeper --events 100000 --json
"""

from __future__ import annotations

import json
import random
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.faults.events import mixed
from benchmarks.faults.outputs import Comparison
from benchmarks.faults.scenarios import SCENARIOS, Scenario
from benchmarks.faults.trial import Trial, TrialError
from tocsin.broker import EmbeddedKafka

COLUMNS = ("scenario", "faults", "events", "outputs", "lost", "repeated", "different", "alerts", "wrong", "seconds", "")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a scenario led to."""

    scenario: str
    faults: int
    events: int
    seconds: float
    exact: bool
    comparison: Comparison
    notes: list[str]


def run(
    scenario: Scenario, events: int, times: int, per_second: float | None = None, seed: int | None = None
) -> Verdict:
    """Run the service under one scenario, and compare what it published with what it should have."""
    began = time.monotonic()
    chance = random.Random(time.time_ns())
    with EmbeddedKafka(nodes=scenario.nodes) as kafka, tempfile.TemporaryDirectory(prefix="exactness-") as folder:
        trial = Trial(kafka, Path(folder), mixed(events), scenario.nodes, scenario.settings)
        try:
            trial.produce(per_second)
            happened = scenario.happen(trial, chance, times)
            trial.wait_until_done()
            stopped = trial.stop()
            comparison = trial.compare()
            if not stopped:
                trial.notes.append("a worker did not stop in order at the end")
        finally:
            trial.close()
    seconds = round(time.monotonic() - began, 1)
    exact = comparison.exact and stopped
    return Verdict(scenario.name, happened, trial.records, seconds, exact, comparison, trial.notes)


def main(
    events: Annotated[int, typer.Option(min=1000, help="About how many events, of all topics together.")] = 500_000,
    kills: Annotated[int, typer.Option(min=1, help="How often workers are killed in scenario `kills`.")] = 20,
    only: Annotated[str, typer.Option(help="Scenarios, separated by commas; without it all.")] = "",
    per_second: Annotated[
        float | None, typer.Option(min=1, help="Events sent a second; without it all at once.")
    ] = None,
    json_: Annotated[bool, typer.Option("--json", help="End with one JSON object on the last line.")] = False,
) -> None:
    """Run the real service under faults, and compare every output with that of an undisturbed run."""
    known = {scenario.name: scenario for scenario in SCENARIOS}
    wanted = [name.strip() for name in only.split(",") if name.strip()] or list(known)
    if unknown := [name for name in wanted if name not in known]:
        raise typer.BadParameter(f"there is no scenario {unknown[0]!r}: take some of {', '.join(known)}")
    verdicts: list[Verdict] = []
    failed: list[str] = []
    print(_line(COLUMNS))
    for name in wanted:
        scenario = known[name]
        try:
            verdict = run(scenario, events, kills if name == "kills" else scenario.times, per_second)
        except TrialError as error:
            failed.append(name)
            print(f"{name:<18}FAILED: {error}", flush=True)
            continue
        verdicts.append(verdict)
        found = verdict.comparison
        cells = (
            *(name, verdict.faults, verdict.events, found.compared, found.lost, found.repeated, found.different),
            *(found.alerts, found.wrong_alerts + found.two_contents, verdict.seconds),
        )
        print(_line((*cells, "exact" if verdict.exact else "WRONG")), flush=True)
        for note in verdict.notes:
            print(f"    {note}", flush=True)
    exact = not failed and all(verdict.exact for verdict in verdicts)
    if json_:
        print(json.dumps({"exact": exact, "failed": failed, "verdicts": [asdict(verdict) for verdict in verdicts]}))
    raise typer.Exit(0 if exact else 1)


def _line(cells: tuple[object, ...]) -> str:
    return f"{cells[0]:<18}" + "".join(f"{cell!s:>10}" for cell in cells[1:])


if __name__ == "__main__":
    typer.run(main)
