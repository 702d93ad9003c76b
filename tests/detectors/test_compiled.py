"""Compiled code and the plain Python that it is made of give the same, to the last bit.

Only the inverse of a matrix is made by another build of LAPACK in the one than in the other, and may be rounded
otherwise: what several values together come to is compared to nine digits.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numba.core.config
import pytest

from detectors.auto import Auto
from detectors.base import Detector
from detectors.signals.joint import Joint
from detectors.transactions.classifier import AdditiveLogisticRegression, Curve
from tests.detectors.every_detector import DETECTORS, SIGNALS, eventful, patchy

REPOSITORY = Path(__file__).parents[2]
COUNT = 320


def judged(detector: Detector, values: int) -> list[list[float]]:
    """Return what a detector says of events an hour apart, as numbers."""
    said = []
    for i, (t, x) in enumerate(patchy(COUNT) if values > 1 else eventful(COUNT)):
        readings = {"flow": x["flow"]}
        if values > 1:
            readings = x | {"counted": 3.0 * i if i != 300 else 1.0}
        score = detector.process_one(readings, 60.0 * t)
        told = [one for each in score.values.values() for one in (each.expected, each.lower, each.contribution)]
        said.append([score.p_value, *(s.p_value for s in score.signals), *(one for one in told if one is not None)])
    return [[float(one) for one in each] for each in said]


def everything() -> dict[str, Any]:
    return {
        "auto": judged(Auto(), 1),
        **{kind: judged(made(), 1) for kind, made in SIGNALS.items()},
        "river.GaussianScorer": judged(DETECTORS["river.GaussianScorer"](), 1),
        "auto of 3 values": judged(Auto(), 3),
        "joint": judged(Joint(), 3),
        "fraud": learned(),
    }


def learned() -> list[list[float]]:
    """Return the probabilities and contributions of a classifier while it learns."""
    model = AdditiveLogisticRegression({"a": Curve(0.0, 7.0, 0.5), "b": Curve(-1.0, 1.0, 0.25, prior=2.0)})
    said = []
    for i in range(COUNT):
        x = {"a": 0.3 * (i * 37 % 30)} | ({"b": (i * 11 % 17) / 7.0 - 1.2} if i % 5 else {})
        prediction = model.explain_one(x)
        said.append([prediction.probability, *prediction.contributions.values()])
        model.learn_one(x, i % 30 > 24)
    return said


@pytest.fixture(scope="module")
def plain() -> dict[str, list[list[float]]]:
    """What the same code gives in a process that compiles nothing."""
    ran = subprocess.run(
        [sys.executable, __file__],
        env=os.environ | {"NUMBA_DISABLE_JIT": "1", "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


@pytest.mark.skipif(bool(numba.core.config.DISABLE_JIT), reason="nothing is compiled in this run")
def test_compiled_code_gives_what_plain_code_gives(plain):
    for name, compiled in everything().items():
        if name in ("auto of 3 values", "joint"):
            for one, other in zip(compiled, plain[name], strict=True):
                assert one == pytest.approx(other, rel=1e-9, abs=1e-300), name
        else:
            assert compiled == plain[name], name


if __name__ == "__main__":
    print(json.dumps(everything()))


def test_code_that_came_with_an_image_is_used_though_its_folder_is_read_only(tmp_path: Path):
    program = (
        "from detectors.signals.mean import mean; mean(0.0, 1.0, 1, 0.1);print(sum(mean.stats.cache_hits.values()))"
    )

    def hits(*unable: str) -> int:
        environment = os.environ | {"XDG_CACHE_HOME": str(tmp_path), "PYTHONPATH": str(REPOSITORY)}
        command = [*unable, sys.executable, "-c", program]
        done = subprocess.run(command, env=environment, cwd=REPOSITORY, check=True, capture_output=True, text=True)
        return int(done.stdout)

    assert hits() == 0
    assert hits() == 1
    folders = [tmp_path, *(path for path in tmp_path.rglob("*") if path.is_dir())]
    for folder in folders:
        folder.chmod(0o500)
    # The administrator writes wherever he likes, unless he gives that up.
    unable = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] if os.geteuid() == 0 else []
    if unable and shutil.which("setpriv") is None:
        pytest.skip("setpriv is needed, to try this as root")
    try:
        assert hits(*unable) == 1
    finally:
        for folder in folders:
            folder.chmod(0o700)
