"""The compiled forest gives what River's gives, to the last bit."""

from __future__ import annotations

import pickle
import random
from typing import Any

import pytest
from river import anomaly, preprocessing

from detectors.forest import Forest
from detectors.river_adapter import RiverDetector
from detectors.river_forest import pickled


def river(**parameters: Any) -> Any:
    return preprocessing.MinMaxScaler() | anomaly.HalfSpaceTrees(**parameters)


def events(seed: int, count: int) -> list[dict[str, float]]:
    """Readings of up to four values, some missing, some new, some beyond what can be subtracted."""
    chance = random.Random(seed)
    names = ["b", "a", "d", "c"][: chance.randint(1, 4)]
    made = []
    for i in range(count):
        x = {name: chance.choice([chance.gauss(0, 1), chance.gauss(0, 1), 5.0, -0.0]) for name in names}
        if i and chance.random() < 0.2:
            x.pop(chance.choice(names))
        if chance.random() < 0.1:
            x["new"] = 3.0
        if seed % 3 == 0 and chance.random() < 0.02:
            x[names[0]] = chance.choice([1e308, -1e308])
        made.append(x)
    return made


@pytest.mark.parametrize("seed", range(8))
def test_it_scores_as_river_does(seed: int) -> None:
    chance = random.Random(seed)
    parameters = {
        "n_trees": chance.randint(1, 8),
        "height": chance.randint(1, 7),
        "window_size": chance.choice([5, 20, 100]),
        "seed": seed,
        "limits": {"a": (-1.0, 2.0)} if seed % 2 else None,
    }
    ours, theirs = Forest(river(**parameters)), river(**parameters)
    for x in events(seed, 400):
        assert repr(float(ours.score_one(x))) == repr(float(theirs.score_one(x)))
        assert repr(float(ours.process_one(x))) == repr(float(theirs.score_one(x)))
        theirs.learn_one(x)


def test_forests_of_one_seed_learn_each_for_itself() -> None:
    parameters = {"n_trees": 4, "height": 5, "window_size": 20, "seed": 3}
    pairs = [(Forest(river(**parameters)), river(**parameters)) for _ in range(3)]
    for together in zip(*(events(seed, 200) for seed in (1, 4, 5)), strict=True):
        for (ours, theirs), x in zip(pairs, together, strict=True):
            assert ours.process_one(x) == theirs.score_one(x)
            theirs.learn_one(x)


def test_forests_without_a_seed_are_each_another() -> None:
    forests = [Forest(river(n_trees=4, height=5, window_size=20)) for _ in range(2)]
    scores = [[forest.process_one(x) for x in events(1, 200)] for forest in forests]
    assert scores[0] != scores[1]


def test_it_goes_on_as_river_does_after_a_snapshot_of_either() -> None:
    parameters = {"n_trees": 4, "height": 5, "window_size": 20, "seed": 3}
    ours, theirs = Forest(river(**parameters)), river(**parameters)
    for i, x in enumerate(events(1, 400)):
        if i % 60 == 30:
            ours = pickle.loads(pickle.dumps(ours))
        if i % 100 == 50:
            ours = Forest(pickle.loads(pickle.dumps(theirs)))
        assert ours.process_one(x) == theirs.score_one(x)
        theirs.learn_one(x)


def test_a_detector_of_river_takes_up_a_state_that_holds_rivers_own_pipeline() -> None:
    estimator = anomaly.HalfSpaceTrees(n_trees=3, height=4, window_size=20, seed=1)
    before, after = (RiverDetector(estimator, state_key=b"key") for _ in range(2))
    before._compiled = lambda model: model  # type: ignore[method-assign]  # as versions before this one did
    for i, x in enumerate(events(2, 200)):
        before.process_one(x, float(i))
    after.restore(before.snapshot())
    for i, x in enumerate(events(4, 200), 200):
        assert after.process_one(x, float(i)) == before.process_one(x, float(i))


def test_a_pipeline_with_a_forest_is_written_small_and_goes_on_the_same() -> None:
    model = preprocessing.StandardScaler() | anomaly.HalfSpaceTrees(n_trees=10, height=8, window_size=20, seed=1)
    for x in events(5, 100):
        model.learn_one(x)
    written = pickled(model)
    again = pickle.loads(written)
    assert len(written) < 0.7 * len(pickle.dumps(model))
    for x in events(6, 100):
        assert again.score_one(x) == model.score_one(x)
        again.learn_one(x)
        model.learn_one(x)
