"""How early, and how rightly, it is warned of limits that will be crossed.

    python -m benchmarks.early_warnings [--data NAB] [--seed 0]

Each scenario is a source with a limit, a reading every five minutes, through the whole pipeline with the default
configuration: a week to learn, with noise and often a daily season; then a ramp that crosses the limit, a false one
that turns after a tenth to four tenths of the way, or nothing. With `--data`, real series of NAB are what ramps are
added to, where they hold no labelled anomaly. A warning is right if the limit is crossed while it stands or within the
time that it names. The lead is the time from the warning to the crossing, as a share of the ramp from its beginning to
the crossing; of a ramp that nothing warned of, it is 0.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

import numpy as np

from detectors.forecasts.base import Numbers
from streams.columns import epochs, numbers_in
from streams.processor import Record
from streams.tables import read_table
from streams.telemetry import TelemetryProcessor
from tocsin.config import Configuration
from tocsin.wiring import make_processor

STEP = 300.0
START = 1_767_225_600.0
WEEK, LONGEST = 2016, 900
REAL = (
    "realKnownCause/machine_temperature_system_failure.csv",
    "realKnownCause/ambient_temperature_system_failure.csv",
    "realAWSCloudwatch/ec2_cpu_utilization_5f5533.csv",
    "realAWSCloudwatch/rds_cpu_utilization_cc0c53.csv",
    "realAWSCloudwatch/ec2_cpu_utilization_825cc2.csv",
    "realKnownCause/cpu_utilization_asg_misconfiguration.csv",
)


@dataclass(frozen=True)
class Scenario:
    """A source with a limit; ``ramp`` is the number of steps from the ramp's beginning to the crossing, 0 for none."""

    name: str
    values: Numbers
    limit: float
    ramp: int


@dataclass(frozen=True)
class Outcome:
    """What came of a scenario."""

    name: str
    is_ramp: bool
    lead: float
    right: int
    false: int


def simulated(seed: int) -> Iterator[Scenario]:
    """Yield 24 ramps, 12 false ramps and 8 sources where nothing happens."""
    for number in range(44):
        draw = np.random.default_rng([seed, number])
        kind = "ramp" if number < 24 else "false ramp" if number < 36 else "quiet"
        season = draw.choice([0.0, 2.0, 4.0]) * np.sin(np.arange(WEEK + LONGEST) * 2 * np.pi / 288 + draw.uniform(0, 6))
        usual = 50 + season + draw.normal(0, 1, len(season))
        yield _scenario(f"{kind} {number}", usual, kind, draw)


def real(data: Path, seed: int) -> Iterator[Scenario]:
    """Yield ramps and false ramps on real series."""
    windows = json.loads((data / "labels" / "combined_windows.json").read_text())
    for number, name in enumerate(REAL * 2):
        draw = np.random.default_rng([seed, 1000 + number])
        table = read_table(data / "data" / name)
        values = np.array(numbers_in(table["value"]), float)
        begin = _usual_part(epochs(table["timestamp"]), windows[name], draw)
        kind = "ramp" if number < len(REAL) else "false ramp"
        yield _scenario(f"{kind}: {name} {number}", values[begin : begin + WEEK + LONGEST], kind, draw)


def _usual_part(times: Sequence[float], windows: Sequence[Sequence[str]], draw: np.random.Generator) -> int:
    """Return where a part begins whose end, after a week, holds no labelled anomaly: there a warning may be right."""
    odd = [tuple(datetime.fromisoformat(f"{moment}+00:00").timestamp() for moment in window) for window in windows]
    most = len(times) - WEEK - LONGEST
    for begin in draw.permutation(max(most, 1)).tolist():
        first, last = times[begin + WEEK], times[min(begin + WEEK + LONGEST, len(times) - 1)]
        if all(end < first or start > last for start, end in odd):
            return int(begin)
    return int(draw.integers(0, max(most, 1)))


def _scenario(name: str, usual: Numbers, kind: str, draw: np.random.Generator) -> Scenario:
    """Put a ramp of 4 to 36 hours onto a series, to a limit well beyond what it has reached so far."""
    steps = int(draw.integers(48, 432))
    learned = usual[:WEEK]
    reach = float(learned.max() - np.median(learned)) or 1.0
    height = reach * draw.uniform(2.0, 4.0)
    limit = float(np.median(learned)) + height
    added = np.zeros(len(usual))
    if kind == "ramp":
        added[WEEK:] = height * np.arange(1, len(usual) - WEEK + 1) / steps
    elif kind == "false ramp":
        share = draw.uniform(0.1, 0.4)
        up = height * np.minimum(np.arange(1, len(usual) - WEEK + 1) / steps, share)
        turns = int(share * steps)
        down = np.maximum(np.arange(len(up)) - turns - int(draw.integers(0, 48)), 0) * height / steps
        added[WEEK:] = np.maximum(up - down, 0.0)
    values = usual + added
    beyond = np.flatnonzero(values[WEEK:] >= limit)
    if kind != "ramp":
        return Scenario(name, values[: WEEK + LONGEST], limit if not len(beyond) else float(values.max()) + reach, 0)
    crossing = int(beyond[0]) if len(beyond) else len(values) - WEEK - 1
    return Scenario(name, values[: WEEK + crossing + 20], limit, crossing)


def play(scenario: Scenario) -> Outcome:
    """Run a scenario through the pipeline."""
    processor = make_processor(Configuration())("telemetry", 0, {})
    assert isinstance(processor, TelemetryProcessor)
    policy = {"name": "limit", "values": {"x": {"max": scenario.limit}}}
    said = {"name": "limit", "version": 1, "author": "bench", "at": START - 60, "policy": policy}
    processor.absorb([Record("policies", 0, 0, START - 60, b"limit@1", json.dumps(said).encode())])
    records = [
        Record("telemetry", 0, i, START + STEP * i, b"s", _event(START + STEP * i, value))
        for i, value in enumerate(scenario.values.tolist())
    ]
    alerts = [json.loads(one.value) for one in processor.process(records).outputs if one.topic == "alerts"]
    begun = [alert for alert in alerts if alert["kind"] == "early_warning" and alert["version"] == 1]
    crossings = START + STEP * np.flatnonzero(scenario.values >= scenario.limit)
    lead, right, false = 0.0, 0, 0
    for alert in begun:
        at = datetime.fromisoformat(alert["updated_at"]).timestamp()
        later = crossings[(crossings > at) & (crossings <= at + alert["foreseen"]["within"])]
        came = [
            one["updated_at"] for one in alerts if one["alert_id"] == alert["alert_id"] and one["state"] == "resolved"
        ]
        if not len(later) and not came:
            false += 1
            continue
        right += 1
        if scenario.ramp:
            first = crossings[crossings > at][0]
            lead = max(lead, min(float(first - at) / (STEP * scenario.ramp), 1.0))
    return Outcome(scenario.name, scenario.ramp > 0, lead, right, false)


def _event(time: float, value: float) -> bytes:
    return json.dumps({"source": "s", "timestamp": time, "values": {"x": value}}).encode()


def summary(found: Sequence[Outcome]) -> dict[str, float]:
    """Return what all scenarios come to."""
    ramps = [one for one in found if one.is_ramp]
    warnings = sum(one.right + one.false for one in found)
    return {
        "scenarios": len(found),
        "ramps": len(ramps),
        "warned": sum(one.lead > 0 for one in ramps),
        "median_lead": float(np.median([one.lead for one in ramps])),
        "warnings": warnings,
        "false": sum(one.false for one in found),
        "false_share": sum(one.false for one in found) / max(warnings, 1),
    }


def main() -> int:
    """Run all and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder of NAB")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    scenarios = [*simulated(options.seed), *(real(options.data, options.seed) if options.data else ())]
    found = []
    for scenario in scenarios:
        found.append(play(scenario))
        if not options.json:
            one = found[-1]
            print(f"{one.name:60} lead {one.lead:4.0%}  right {one.right}  false {one.false}", flush=True)
    simulated_ones, real_ones = found[:44], found[44:]
    told = {"simulated": summary(simulated_ones), **({"real": summary(real_ones)} if real_ones else {})}
    told["all"] = summary(found)
    print(json.dumps(told | ({"outcomes": [asdict(one) for one in found]} if options.json else {})))
    return 0


if __name__ == "__main__":
    sys.exit(main())
