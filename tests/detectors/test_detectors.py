"""What holds for every detector: River's own checks, exact snapshots, honest p-values, no look-ahead."""

from __future__ import annotations

import math
import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from river import anomaly, checks

from detectors.auto import Auto
from detectors.base import Detector, SnapshotError
from detectors.calibration import Calibrator
from detectors.registry import DetectorError, DetectorSettings, detector_factory, names
from detectors.river_adapter import RiverDetector

KEY = b"a secret for tests"
DETECTORS: dict[str, Callable[[], Detector]] = {
    "auto": Auto,
    **{
        name: detector_factory(DetectorSettings(name=name), KEY)
        for name in (
            "river.HalfSpaceTrees",
            "river.LODA",
            "river.OneClassSVM",
            "river.GaussianScorer",
            "river.StandardAbsoluteDeviation",
        )
    },
    **{
        " | ".join(name for step in steps for name in step): detector_factory(
            DetectorSettings(name="river", pipeline=steps), KEY
        )
        for steps in (
            [{"StandardScaler": {}}, {"HalfSpaceTrees": {"n_trees": 5, "height": 6}}],
            [{"Select": ["flow", "heat"]}, {"RobustScaler": {}}, {"PolynomialExtender": {}}, {"OneClassSVM": {}}],
            [{"MinMaxScaler": {}}, {"RBFSampler": {"n_components": 4}}, {"LODA": {"n_random_cuts": 10}}],
            [{"GaussianScorer": {}}],
        )
    },
}
every_detector = pytest.mark.parametrize("make", DETECTORS.values(), ids=DETECTORS)


def events(count: int, seed: int = 5) -> Iterator[tuple[float, dict[str, float]]]:
    chance = random.Random(seed)
    for i in range(count):
        yield 60.0 * i, {"flow": chance.gauss(10, 1), "heat": 70 + 5 * math.sin(i / 50) + chance.gauss(0, 0.2)}


@pytest.fixture
def labelled(monkeypatch: pytest.MonkeyPatch) -> None:
    """River fetches a data set for its checks of detectors; ours is made here, with spikes as its anomalies."""

    def streams(model: Any, scale: int = 1) -> Iterator[list[tuple[dict[str, float], bool]]]:
        spike = {"flow": 50.0, "heat": 20.0}
        yield [(spike if t % 6000 == 5940 else x, t % 6000 == 5940) for t, x in events(200 * scale)]

    monkeypatch.setattr(checks, "_yield_datasets", streams)


def test_auto_passes_the_checks_of_river(labelled):
    for check in checks.yield_checks(Auto()):
        check(Auto())


@every_detector
def test_a_detector_taken_up_again_scores_bit_for_bit_the_same(make):
    whole, first = make(), make()
    for t, x in events(300):
        whole.process_one(x, t)
        first.process_one(x, t)
    second = make()
    second.restore(first.snapshot())
    later = [(t + 60.0 * 300, x) for t, x in events(200, seed=6)]
    assert [second.process_one(x, t) for t, x in later] == [whole.process_one(x, t) for t, x in later]


@every_detector
def test_what_comes_later_changes_no_score(make):
    early, late = make(), make()
    short = [early.process_one(x, t) for t, x in events(200)]
    long = [late.process_one(x, t) for t, x in events(400)]
    assert long[:200] == short


@every_detector
def test_contributions_sum_to_one_and_p_values_are_probabilities(make):
    detector = make()
    for t, x in events(300):
        score = detector.process_one(x, t)
        assert math.isclose(sum(value.contribution for value in score.values.values()), 1.0)
        assert 0.0 < score.p_value <= 1.0
        assert 0.0 <= score.anomaly_score <= 1.0
        assert [s.p_value for s in score.signals] == sorted(s.p_value for s in score.signals)


@every_detector
def test_a_damaged_state_is_refused(make):
    detector = make()
    for t, x in events(50):
        detector.process_one(x, t)
    with pytest.raises(SnapshotError, match="reset"):
        make().restore(detector.snapshot()[:-20])


def test_a_state_of_river_signed_with_another_key_is_refused_before_it_is_unpickled():
    written = RiverDetector(anomaly.HalfSpaceTrees(seed=1), state_key=b"theirs")
    written.learn_one({"x": 1.0})
    with pytest.raises(SnapshotError, match="not signed with this state key"):
        RiverDetector(anomaly.HalfSpaceTrees(seed=1), state_key=b"ours").restore(written.snapshot())


def test_without_a_state_key_no_pickle_is_written():
    with pytest.raises(SnapshotError, match="TOCSIN_STATE__KEY"):
        RiverDetector(anomaly.HalfSpaceTrees(seed=1)).snapshot()


@every_detector
def test_silence_is_known_from_the_usual_gaps(make):
    detector = make()
    for t, x in events(100):
        detector.process_one(x, t)
    allowed = detector.silent_after()
    assert allowed is not None
    assert 120.0 <= allowed <= 3600.0


def fault(kind: str, i: int, usual: float) -> float:
    return {"spike": usual + 12 * (i == 0), "level": usual + 8, "flatline": 20.0}[kind]


@pytest.mark.parametrize("kind", ["spike", "level", "flatline"])
def test_auto_finds_a_fault_and_names_it(kind):
    detector, chance = Auto(), random.Random(7)
    for i in range(1000):
        detector.process_one({"x": 20 + chance.gauss(0, 1)}, float(i))
    found = [detector.process_one({"x": fault(kind, i, 20 + chance.gauss(0, 1))}, 1000.0 + i) for i in range(80)]
    spoken = {signal.kind for score in found for signal in score.signals if signal.p_value <= 1e-4}
    assert kind in spoken


def test_auto_finds_a_missing_daily_peak():
    detector, chance = Auto(), random.Random(8)

    def usual(hour: int) -> float:
        return 20 + 15 * max(0.0, math.sin((hour % 24 - 6) / 12 * math.pi)) + chance.gauss(0, 0.5)

    for hour in range(24 * 30):
        detector.process_one({"x": usual(hour)}, 3600.0 * hour)
    found = [detector.process_one({"x": 20 + chance.gauss(0, 0.5)}, 3600.0 * (24 * 30 + hour)) for hour in range(24)]
    assert "season" in {score.signals[0].kind for score in found if score.p_value <= 1e-3}


def test_auto_finds_values_that_no_longer_go_together():
    detector, chance = Auto(), random.Random(9)

    def readings(i: int, lag: float) -> dict[str, float]:
        wave = math.sin(i / 30)
        return {"pressure": wave + chance.gauss(0, 0.05), "flow": lag * wave + chance.gauss(0, 0.05)}

    for i in range(2000):
        detector.process_one(readings(i, 1.0), float(i))
    found = [detector.process_one(readings(i, -1.0), float(i)) for i in range(2000, 2100)]
    signals = [score.signals[0] for score in found if score.p_value <= 1e-4]
    assert {signal.kind for signal in signals} == {"joint"}


def test_p_values_of_several_values_are_honest_too():
    detector, chance, p_values = Auto(), random.Random(3), []
    for i in range(6000):
        x = {"a": chance.gauss(0, 1), "b": chance.expovariate(1), "c": chance.uniform(0, 1)}
        p_values.append(detector.process_one(x, float(i)).p_value)
    assert sum(p_value <= 0.01 for p_value in p_values[1000:]) / 5000 <= 0.012


def test_auto_knows_after_tens_of_events():
    detector = Auto()
    for i in range(60):
        detector.process_one({"x": 20 + (i * 7919 % 13) / 10}, float(i))
    score = detector.process_one({"x": 500.0}, 60.0)
    assert score.anomaly_score == max(score.anomaly_score, 0.7)
    assert 0.5 < score.warm_up < 1.0


def test_auto_explains_which_value_it_was():
    detector = Auto()
    for t, x in events(500):
        detector.process_one(x, t)
    score = detector.process_one({"flow": 40.0, "heat": 70.0}, 60.0 * 500)
    assert score.values["flow"].contribution > 0.7
    assert score.values["flow"].lower < 10 < score.values["flow"].upper < 40.0
    assert (score.signals[0].name, score.signals[0].direction) == ("flow", 1)


STREAMS: dict[str, Callable[[random.Random, float], float]] = {
    "gaussian": lambda chance, _: chance.gauss(0, 1),
    "exponential": lambda chance, _: chance.expovariate(1),
    "heavy-tailed": lambda chance, _: chance.paretovariate(3),
    "autocorrelated": lambda chance, last: 0.9 * last + chance.gauss(0, 1),
}


@pytest.mark.parametrize("shape", STREAMS)
@pytest.mark.parametrize("level", [0.1, 0.01])
def test_a_p_value_means_what_it_says_where_nothing_is_wrong(shape, level):
    detector, chance, value, p_values = Auto(), random.Random(3), 0.0, []
    for i in range(12_000):
        value = STREAMS[shape](chance, value)
        p_values.append(detector.process_one({"x": value}, float(i)).p_value)
    share = sum(p_value <= level for p_value in p_values[2000:]) / 10_000
    assert level / 4 <= share <= 1.2 * level  # a correction for several signals errs on the side of calm


@given(st.lists(st.floats(0, 1e9), min_size=1, max_size=200))
@settings(max_examples=50)
def test_a_higher_score_never_has_a_higher_p_value(scores):
    calibrator = Calibrator()
    for score in scores:
        calibrator.learn_one(score)
    p_values = [calibrator.p_value(score) for score in sorted(scores)]
    assert p_values == sorted(p_values, reverse=True)


@given(
    st.lists(
        st.dictionaries(
            st.sampled_from("abc"), st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=3
        ),
        max_size=60,
    )
)
@settings(max_examples=50, deadline=None)
def test_auto_bears_every_finite_value(stream):
    detector = Auto()
    for i, x in enumerate(stream):
        score = detector.process_one(x, float(i))
        assert math.isfinite(score.anomaly_score)
    detector.restore(detector.snapshot())


def test_the_state_is_bounded_however_wild_the_values():
    detector, chance = Auto(), random.Random(1)
    for i in range(10_000):
        detector.process_one({"x": chance.paretovariate(0.5) * chance.choice((-1, 1))}, float(i))
    assert len(detector.snapshot()) <= 13_000


def test_an_unknown_name_names_the_nearest():
    assert {"auto", "river.HalfSpaceTrees"} <= set(names())
    with pytest.raises(DetectorError, match=r"did you mean 'river.HalfSpaceTrees'\?"):
        detector_factory(DetectorSettings(name="river.HalfSpacetree"))


def test_a_wrong_parameter_names_the_right_ones():
    with pytest.raises(DetectorError, match="its parameters: n_trees, height"):
        detector_factory(DetectorSettings(name="river.HalfSpaceTrees", parameters={"trees": 3}))


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
