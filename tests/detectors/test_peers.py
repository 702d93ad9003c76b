"""A source that begins learns from its peers how their signals score while nothing is wrong."""

from __future__ import annotations

import random

import msgspec
import pytest

from detectors.auto import Auto


def source(seed: int, events: int, priors: list[bytes] = []) -> Auto:  # noqa: B006
    detector, chance = Auto(), random.Random(seed)
    detector.adopt(priors)
    for i in range(events):
        detector.process_one({"x": chance.gauss(100, 5)}, 60.0 * i)
    return detector


@pytest.fixture(scope="module")
def priors() -> list[bytes]:
    return [source(seed, 3000).prior() for seed in range(5)]


def test_a_young_source_with_peers_finds_a_spike_where_one_without_does_not(priors):
    def found(given: list[bytes]) -> int:
        young = [source(seed, 20, given) for seed in range(100, 140)]
        return sum(each.process_one({"x": 140.0}, 1200.0).p_value <= 1e-3 for each in young)

    assert found(priors) >= 24
    assert found(priors) > found([])


def test_a_young_source_with_peers_does_not_cry_wolf(priors):
    """It errs on the side of calm: about one in a thousand is at or below 0.01."""
    p_values = []
    for seed in range(300):
        detector, chance = Auto(), random.Random(1000 + seed)
        detector.adopt(priors)
        given = [detector.process_one({"x": chance.gauss(100, 5)}, 60.0 * i).p_value for i in range(100)]
        p_values += given[30:]
    assert sum(p_value <= 0.01 for p_value in p_values) / len(p_values) <= 0.03


def test_a_young_source_teaches_nobody():
    assert source(1, 50).prior() is None


def test_a_damaged_prior_is_ignored(priors):
    for damaged in (b"", b"junk", priors[0][:-5], msgspec.msgpack.encode((1, {"x": b"123", "": b""})),
                    msgspec.msgpack.encode((9, {"x": b""}))):  # fmt: skip
        one, other = source(3, 50, [damaged]), source(3, 50)
        assert one.process_one({"x": 1.0}, 3000.0) == other.process_one({"x": 1.0}, 3000.0)


def test_what_was_adopted_survives_a_restart(priors):
    adopted, again = Auto(), Auto()
    adopted.adopt(priors)
    again.restore(adopted.snapshot())
    chance = random.Random(2)
    for i in range(60):
        x = {"x": chance.gauss(100, 5)}
        assert again.process_one(x, 60.0 * i) == adopted.process_one(x, 60.0 * i)
