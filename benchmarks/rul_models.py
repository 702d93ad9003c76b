"""Remaining life on C-MAPSS FD001 by likeness, beside regressions of scikit-learn on the same features.

    python -m benchmarks.rul_models --data CMAPSS

Engines are left out in five folds and cut off at ten random moments each, as `tocsin evaluate cmapss` does; lives are
capped at 125 cycles. All models learn from the same conditions; the regressions also see each sensor's mean of late
less that for long, which trees cannot subtract.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.ensemble import ExtraTreesRegressor, HistGradientBoostingRegressor
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from detectors.rul.condition import Floats, conditions
from detectors.rul.validation import train
from streams.machine_tables import MachineColumns, read_machines
from tocsin.evaluation.cmapss import CAP, CUTS, FOLDS, LONGEST_LEFT, SEEN, SHORTEST

MODELS: dict[str, Callable[[], Any]] = {
    "ridge regression": lambda: make_pipeline(StandardScaler(), Ridge(100.0)),
    "extremely randomised trees, 100": lambda: ExtraTreesRegressor(
        100, min_samples_leaf=10, max_features=0.4, n_jobs=-1, random_state=0
    ),
    "gradient-boosted trees, 150": lambda: HistGradientBoostingRegressor(
        learning_rate=0.05, max_iter=150, min_samples_leaf=50, random_state=0
    ),
}


def with_differences(features: Floats) -> Floats:
    """Return features with what has changed of late."""
    sensors = (features.shape[1] - 2) // 2
    return np.hstack([features, features[:, :sensors] - features[:, sensors : 2 * sensors]])


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of C-MAPSS")
    table = read_machines(parser.parse_args().data / "train_FD001.txt.gz", MachineColumns())
    engines, draw = table.histories(), np.random.default_rng(0)
    errors: dict[str, list[float]] = {name: [] for name in (*MODELS, "likeness")}
    for held_out in np.array_split(draw.permutation(len(engines)), FOLDS):
        known = [engine for i, engine in enumerate(engines) if i not in held_out]
        fleet, _ = train(known, table.columns)
        features = np.concatenate([conditions(fleet.layout, one.times, one.values) for one in known])
        left = np.concatenate([np.minimum(np.arange(len(one.times))[::-1], CAP) for one in known])
        models = {name: make().fit(with_differences(features), left) for name, make in MODELS.items()}
        for i in held_out.tolist():
            length = len(engines[i].times)
            cuts = draw.integers(SHORTEST, max(min(LONGEST_LEFT, length - SEEN), SHORTEST) + 1, CUTS)
            rows = conditions(fleet.layout, engines[i].times, engines[i].values)[length - 1 - cuts]
            truth = np.minimum(cuts, CAP)
            errors["likeness"] += (np.minimum(fleet.predict(rows)[:, 0], CAP) - truth).tolist()
            for name, model in models.items():
                errors[name] += (np.clip(model.predict(with_differences(rows)), 0, CAP) - truth).tolist()
    for name, found in errors.items():
        print(f"{name:34} RMSE {np.sqrt(np.mean(np.square(found))):5.1f} cycles")
    return 0


if __name__ == "__main__":
    sys.exit(main())
