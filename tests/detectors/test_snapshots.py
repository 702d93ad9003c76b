"""A detector put away and taken up again goes on as if nothing had been; what is no state of it is refused."""

from __future__ import annotations

import msgspec
import pytest
from river import anomaly

from detectors.auto import Auto
from detectors.base import SnapshotError
from detectors.river_adapter import RiverDetector
from tests.detectors.every_detector import DETECTORS, OURS, each_of_ours, eventful, events, every_detector, patchy


@every_detector
@pytest.mark.parametrize("first", [0, 1, 25, 39, 200])
def test_a_detector_taken_up_again_scores_bit_for_bit_the_same(make, first):
    whole, before = make(), make()
    stream = list(eventful(first + 150))
    for t, x in stream[:first]:
        whole.process_one(x, t)
        before.process_one(x, t)
    after = make()
    after.restore(before.snapshot())
    for t, x in stream[first:]:
        assert after.process_one(x, t) == whole.process_one(x, t)
    assert after.silent_after() == whole.silent_after()


@each_of_ours
def test_a_restart_between_any_two_events_changes_nothing(make):
    whole, again = make(), make()
    for t, x in patchy(80):
        state = again.snapshot()
        again = make()
        again.restore(state)
        assert again.process_one(x, t) == whole.process_one(x, t)


@each_of_ours
def test_a_state_is_the_same_bytes_after_it_was_taken_up(make):
    detector, again = make(), make()
    for t, x in eventful(200):
        detector.process_one(x, t)
    again.restore(detector.snapshot())
    assert again.snapshot() == detector.snapshot()


@each_of_ours
def test_a_state_taken_up_shares_nothing_with_the_one_it_came_from(make):
    detector, again = make(), make()
    for t, x in events(100):
        detector.process_one(x, t)
    state = detector.snapshot()
    again.restore(state)
    for t, x in events(100, seed=6):
        again.process_one(x, t + 6000.0)
    assert detector.snapshot() == state


@every_detector
@pytest.mark.parametrize(
    "damage",
    [
        lambda state: state[:-20],
        lambda state: state[: len(state) // 2],
        lambda state: b"",
        lambda state: b"\xc1" + state,
        lambda state: state[1:],
        lambda state: b"no state at all",
        lambda state: msgspec.msgpack.encode({"a": 1}),
        lambda state: msgspec.msgpack.encode([]),
        lambda state: msgspec.msgpack.encode(None),
    ],
    ids=["end lost", "half lost", "empty", "byte before", "byte lost", "text", "mapping", "list", "nothing"],
)
def test_a_damaged_state_is_refused_and_changes_nothing(make, damage):
    detector = make()
    for t, x in events(50):
        detector.process_one(x, t)
    state = detector.snapshot()
    with pytest.raises(SnapshotError, match="reset"):
        detector.restore(damage(state))
    assert detector.process_one({"flow": 10.0, "heat": 70.0}, 3000.0).values


@each_of_ours
def test_a_refused_state_leaves_the_detector_as_it_was(make):
    detector = make()
    for t, x in events(50):
        detector.process_one(x, t)
    state = detector.snapshot()
    for cut in range(1, len(state), max(len(state) // 60, 1)):
        with pytest.raises(SnapshotError):
            detector.restore(state[:cut])
        assert detector.snapshot() == state


@each_of_ours
def test_a_state_of_a_newer_format_is_refused_and_named(make):
    detector = make()
    for t, x in events(50):
        detector.process_one(x, t)
    newer = msgspec.msgpack.decode(detector.snapshot())
    newer[0] += 1
    with pytest.raises(SnapshotError, match=rf"format {newer[0]}\b.*reset"):
        make().restore(msgspec.msgpack.encode(newer))
    longer = [*newer, "something that only the newer program knows"]
    with pytest.raises(SnapshotError, match=rf"format {newer[0]}\b.*reset"):
        make().restore(msgspec.msgpack.encode(longer))


@each_of_ours
def test_a_state_of_another_detector_is_refused(make):
    for other in (*OURS.values(), DETECTORS["river.HalfSpaceTrees"]):
        if other is not make:
            written = other()
            for t, x in events(50):
                written.process_one(x, t)
            with pytest.raises(SnapshotError):
                make().restore(written.snapshot())


def test_auto_refuses_a_state_with_a_record_too_many():
    detector = Auto()
    detector.process_one({"x": 1.0}, 0.0)
    version, names, source, values, joint = msgspec.msgpack.decode(detector.snapshot())
    with pytest.raises(SnapshotError):
        Auto().restore(msgspec.msgpack.encode((version, names, source, values * 2, joint)))
    with pytest.raises(SnapshotError):
        Auto().restore(msgspec.msgpack.encode((version, [*names, *names], source, values * 2, joint)))


def test_a_state_of_river_signed_with_another_key_is_refused_before_it_is_unpickled():
    written = RiverDetector(anomaly.HalfSpaceTrees(seed=1), state_key=b"theirs")
    written.learn_one({"x": 1.0})
    with pytest.raises(SnapshotError, match="not signed with this state key"):
        RiverDetector(anomaly.HalfSpaceTrees(seed=1), state_key=b"ours").restore(written.snapshot())


def test_without_a_state_key_no_pickle_is_written():
    with pytest.raises(SnapshotError, match="TOCSIN_STATE__KEY"):
        RiverDetector(anomaly.HalfSpaceTrees(seed=1)).snapshot()
