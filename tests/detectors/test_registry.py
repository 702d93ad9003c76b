"""A detector is found by its name; a name, parameter or pipeline that is wrong says why."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from detectors.registry import DetectorError, DetectorSettings, detector_factory, names


def test_an_unknown_name_names_the_nearest():
    assert {"auto", "river.HalfSpaceTrees"} <= set(names())
    with pytest.raises(DetectorError, match=r"did you mean 'river.HalfSpaceTrees'\?"):
        detector_factory(DetectorSettings(name="river.HalfSpacetree"))


def test_a_wrong_parameter_names_the_right_ones():
    with pytest.raises(DetectorError, match="its parameters: n_trees, height"):
        detector_factory(DetectorSettings(name="river.HalfSpaceTrees", parameters={"trees": 3}))


@pytest.mark.parametrize(
    ("steps", "why"),
    [
        ([], "a pipeline needs steps"),
        ([{"StandardScalar": {}}], "did you mean 'StandardScaler'"),
        ([{"HalfSpaceTrees": {"trees": 3}}], "has no parameter 'trees': did you mean 'n_trees'"),
        ([{"HalfSpaceTrees": {}}, {"StandardScaler": {}}], "the last step must be a detector"),
        ([{"HalfSpaceTrees": {}}, {"LODA": {}}], "can only be the last step"),
        ([{"StandardScaler": {}}, {"GaussianScorer": {}}], "name it alone, as river.GaussianScorer"),
        ([{"StandardScaler": {}}, {"QuantileFilter": {"q": 0.9}}], "name that detector"),
        ([{"Agg": {}}, {"LODA": {}}], "needs a function or another estimator"),
        ([{"FuncTransformer": {"func": "print"}}, {"LODA": {}}], "needs a function"),
        ([{"os.system": {}}], "there is no step 'os.system' in River"),
        ([{"OneClassSVM": {"optimizer": "sgd"}}], "cannot take readings"),
        ([{"RandomTreesEmbedding": {}}, {"LODA": {}}], "does not survive a restart"),
        ([{"StandardScaler": {}, "LODA": {}}], "a step is one class"),
    ],
)
def test_a_pipeline_that_cannot_be_made_says_why(steps, why):
    with pytest.raises(ValueError, match=why):
        DetectorSettings(name="river", pipeline=steps)


def test_a_pipeline_is_of_the_detector_river_alone():
    with pytest.raises(ValueError, match="set `name: river`"):
        DetectorSettings(name="auto", pipeline=[{"LODA": {}}])


def test_a_pipeline_takes_readings_in_one_order_in_every_process():
    program = (
        "from detectors.river_pipeline import make_step\n"
        "step = make_step({'Select': ['c', 'a', 'e', 'b', 'd']}).clone()\n"
        "print(list(step.transform_one(dict.fromkeys('edcba', 1.0))))"
    )
    told = [
        subprocess.run(
            [sys.executable, "-c", program], env=os.environ | {"PYTHONHASHSEED": seed}, capture_output=True, check=True
        ).stdout
        for seed in ("1", "2")
    ]
    assert told[0] == told[1] == b"['a', 'b', 'c', 'd', 'e']\n"
