"""What holds for every detector, whoever made it: River's own checks, and the promises of `Detector`."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from typing import Any

import pytest
from river import checks

from tests.detectors.every_detector import each_of_ours, eventful, events, every_detector, patchy


@pytest.fixture
def labelled(monkeypatch: pytest.MonkeyPatch) -> None:
    """River fetches a data set for its checks of detectors; ours is made here, with spikes as its anomalies."""

    def streams(model: Any, scale: int = 1) -> Iterator[list[tuple[dict[str, float], bool]]]:
        spike = {"flow": 50.0, "heat": 20.0}
        yield [(spike if t % 6000 == 5940 else x, t % 6000 == 5940) for t, x in events(200 * scale)]

    monkeypatch.setattr(checks, "_yield_datasets", streams)


@each_of_ours
def test_a_detector_passes_the_checks_of_river(make, labelled):
    for check in checks.yield_checks(make()):
        check(make())


@every_detector
def test_an_event_is_left_as_it_came(make):
    detector = make()
    for t, x in eventful(150):
        before = copy.deepcopy(x)
        detector.process_one(x, t)
        detector.score_one(x, t)
        detector.learn_one(x, t)
        assert list(x.items()) == list(before.items())


@every_detector
def test_the_same_events_give_the_same_scores(make):
    one, other = make(), make()
    assert [one.process_one(x, t) for t, x in eventful(300)] == [other.process_one(x, t) for t, x in eventful(300)]


@every_detector
def test_what_comes_later_changes_no_score(make):
    early, late = make(), make()
    short = [early.process_one(x, t) for t, x in events(200)]
    long = [late.process_one(x, t) for t, x in events(400)]
    assert long[:200] == short


@every_detector
def test_scoring_alone_teaches_nothing(make):
    asked, unasked = make(), make()
    for t, x in eventful(200):
        asked.score_one({"flow": 99.0, "heat": -99.0}, t)
        assert asked.process_one(x, t) == unasked.process_one(x, t)


@every_detector
def test_contributions_sum_to_one_and_p_values_are_probabilities(make):
    detector = make()
    for t, x in eventful(300):
        score = detector.process_one(x, t)
        assert math.isclose(sum(value.contribution for value in score.values.values()), 1.0)
        assert {name: value.value for name, value in score.values.items()} == x
        assert 0.0 < score.p_value <= 1.0
        assert 0.0 <= score.anomaly_score <= 1.0
        assert all(0.0 < signal.p_value <= 1.0 for signal in score.signals)
        assert [s.p_value for s in score.signals] == sorted(s.p_value for s in score.signals)


@each_of_ours
def test_a_value_that_is_missing_is_borne_and_explained(make):
    detector = make()
    for t, x in patchy(300):
        score = detector.process_one(x, t)
        assert 0.0 < score.p_value <= 1.0
        assert set(score.values) == set(x)
        assert math.isclose(sum(value.contribution for value in score.values.values()), 1.0)


@each_of_ours
def test_an_event_without_values_is_borne(make):
    detector = make()
    for t, x in events(50):
        detector.process_one(x, t)
    score = detector.process_one({}, 60.0 * 50)
    assert 0.0 < score.p_value <= 1.0
    assert not score.values


@every_detector
def test_what_is_only_watched_is_scored_like_any_other_and_not_learned(make):
    watching, learning = make(), make()
    for t, x in events(400):
        watching.process_one(x, t)
        learning.process_one(x, t)
    usual = list(events(460))[400:]
    first = watching.watch_one({name: 10.0 * value for name, value in usual[0][1].items()}, usual[0][0])
    assert first == learning.process_one({name: 10.0 * value for name, value in usual[0][1].items()}, usual[0][0])
    scores = [watching.watch_one(x, t) for t, x in usual[1:]]
    assert watching.score_one(*reversed(usual[1])) == watching.score_one(*reversed(usual[1]))
    assert min(score.p_value for score in scores) > 1e-6, "no gap is seen where events came and were only watched"
