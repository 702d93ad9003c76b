"""What covariates give to forecasts: errors with them in units of errors without, and how many values the bounds hold.

    python -m benchmarks.covariates [--data DATA/skab]

Seeded streams, in which a value follows another so many events behind, or has nothing to do with it. With ``--data``,
every column of every file besides, with the next columns as covariates, four at most; nothing was chosen on these.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np

from detectors.forecasts import HORIZONS, AutoForecaster
from detectors.forecasts.covariate_forecaster import CovariateForecaster
from streams.replay import USUAL_COLUMNS, find_recordings
from tocsin.evaluation.replayed import readings

EVENTS = 4000
BEHIND = (1, 4, 16, 64)
Ratios = list[tuple[float, float]]


def follows(behind: int | None) -> Iterator[tuple[float, dict[str, float]]]:
    """Yield values that follow their covariate, or if ``None`` have nothing to do with it."""
    draw, other = random.Random(behind), [0.0] * (1 + (behind or 0))
    for _ in range(EVENTS):
        other.append(0.8 * other[-1] + draw.gauss(0, 1))
        yield 3 * other[-1 - behind] + draw.gauss(0, 0.5) if behind else draw.gauss(0, 1), {"other": other[-1]}


def compared(names: list[str], events: Iterable[tuple[float, Mapping[str, float]]]) -> Ratios:
    """Return at each horizon the error in units of that without covariates, and the bounds' coverage."""
    with_them, without = CovariateForecaster(names), AutoForecaster()
    for i, (value, x) in enumerate(events):
        with_them.learn_one(value, float(i), x)
        without.learn_one(value, float(i))
    pairs = zip(with_them.errors().horizons, without.errors().horizons, strict=True)
    return [(one.mae / other.mae if other.mae else 1.0, one.coverage) for one, other in pairs]


def recorded(data: Path) -> list[Ratios]:
    """Return the same of every column of every file, with the next columns as covariates."""
    found = []
    for recording in find_recordings([data], USUAL_COLUMNS):
        _, columns = readings(recording)
        names = [name for name, values in columns.items() if len(np.unique(values)) > 2]
        for place, name in enumerate(names):
            others = [names[(place + k) % len(names)] for k in range(1, min(5, len(names)))]
            rows = zip(columns[name].tolist(), *(columns[other].tolist() for other in others), strict=True)
            if others:
                found.append(compared(others, ((row[0], dict(zip(others, row[1:], strict=True))) for row in rows)))
    return found


def told(name: str, found: Ratios) -> dict[str, object]:
    """Print and return a row."""
    print(f"{name:28}" + "".join(f"  {ratio:5.2f} ({coverage:.1%})" for ratio, coverage in found))
    return {"name": name, "error": [one for one, _ in found], "coverage": [one for _, one in found]}


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path)
    options = parser.parse_args()
    print(f"{'events ahead':28}" + "".join(f"  {steps:>13}" for steps in HORIZONS))
    rows = [told(f"follows {behind} events behind", compared(["other"], follows(behind))) for behind in BEHIND]
    rows.append(told("nothing to do with it", compared(["other"], follows(None))))
    if options.data:
        series = recorded(options.data)
        for name, of in (("median", statistics.median), ("least", min), ("most", max)):
            rows.append(
                told(
                    f"{len(series)} recorded, {name}",
                    [(of(one[j][0] for one in series), of(one[j][1] for one in series)) for j in range(len(HORIZONS))],
                )
            )
    print(json.dumps(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
