"""The whole service under faults: every score, decision, alert and dead letter is that of an undisturbed run.

The long form, with more events and more faults, is `benchmarks/exactness.py`.
"""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from benchmarks.faults import scenarios
from benchmarks.faults.events import mixed
from benchmarks.faults.trial import Trial
from tocsin.broker import EmbeddedKafka

EVENTS = 8_000
SOURCES = 40


@pytest.fixture
def own_kafka() -> Iterator[EmbeddedKafka]:
    """A Kafka that a test may let hang."""
    with EmbeddedKafka() as running:
        yield running


@pytest.fixture
def trial(kafka: EmbeddedKafka, tmp_path: Path) -> Iterator[Trial]:
    with contextlib.closing(Trial(kafka, tmp_path, mixed(EVENTS, SOURCES))) as trial:
        yield trial


@pytest.fixture
def own_trial(own_kafka: EmbeddedKafka, tmp_path: Path) -> Iterator[Trial]:
    with contextlib.closing(Trial(own_kafka, tmp_path, mixed(EVENTS, SOURCES))) as trial:
        yield trial


def assert_exact(trial: Trial) -> None:
    trial.wait_until_done()
    assert trial.stop()
    found = trial.compare()
    assert found.scores > 0.8 * EVENTS
    assert found.alerts > 3
    assert found.exact, found


@pytest.mark.slow
def test_kill_9_at_work_in_checkpoint_and_in_rebalance_changes_no_output(trial: Trial) -> None:
    trial.produce(per_second=800)
    scenarios.kills(trial, random.Random(time.time_ns()), times=3)
    assert_exact(trial)


@pytest.mark.slow
def test_a_worker_that_wakes_after_its_session_writes_nothing_more(trial: Trial) -> None:
    trial.produce(per_second=800)
    scenarios.sleeper(trial, random.Random(time.time_ns()), times=1)
    # It ends by itself: it hears that the group gave it up or, rarely before that, of records that went to another.
    assert any(reason in trial.notes[0] for reason in ("gave this worker up", "came after"))
    assert_exact(trial)


@pytest.mark.slow
def test_a_full_disk_stops_a_worker_that_says_so_and_loses_nothing(trial: Trial) -> None:
    trial.produce()
    scenarios.must_have_failed(trial.start(before=scenarios.small_disk(trial, "64k")), "is full")
    trial.start()
    assert_exact(trial)


@pytest.mark.slow
def test_a_lost_changelog_is_refused_and_there_is_a_way_out(trial: Trial) -> None:
    trial.produce()
    scenarios.changelog_deleted(trial, random.Random(), times=1)
    assert_exact(trial)


@pytest.mark.slow
def test_memory_does_not_grow_and_nothing_is_lost_while_kafka_hangs(own_trial: Trial) -> None:
    worker = own_trial.start()
    worker.wait_until_ready()
    own_trial.produce()
    own_trial.wait_for_share(0.2)
    memory = psutil.Process(worker.process.pid)
    before = memory.memory_info().rss
    own_trial.kafka.pause_node(1)
    time.sleep(8)
    assert worker.alive
    grown = memory.memory_info().rss - before
    own_trial.kafka.resume_node(1)
    assert grown < 32 * 2**20
    assert_exact(own_trial)
