"""The engine on a real Kafka: whatever happens to its workers, every event counts once and is said once."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.contract.bench import PARTITIONS, TALLY, Bench
from tocsin.broker import EmbeddedKafka


@pytest.fixture
def bench(kafka: EmbeddedKafka, topic_prefix: str, tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(kafka.bootstrap_servers, topic_prefix, tmp_path)
    yield bench
    bench.stop()


@pytest.fixture
def cluster_bench(kafka_cluster: EmbeddedKafka, topic_prefix: str, tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(kafka_cluster.bootstrap_servers, topic_prefix, tmp_path, replicas=3)
    yield bench
    bench.stop()


def in_background(task: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=task)
    thread.start()
    return thread


@pytest.mark.slow
def test_workers_killed_at_any_moment_neither_lose_nor_repeat_an_output(bench: Bench) -> None:
    rng = random.Random(time.time_ns())
    producing = in_background(lambda: bench.send_numbers(120_000, per_second=5_000))
    worker = bench.start()
    for _ in range(4):
        bench.wait_for_event(worker, "partitions_assigned")
        time.sleep(rng.uniform(0.05, 3))
        worker.kill()
        worker.wait()
        worker = bench.start()
    producing.join()
    bench.wait_until_done()
    bench.wait_until_committed()
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(15) == 0
    bench.check_outputs()


def test_a_worker_killed_again_before_it_has_caught_up_repeats_no_output(bench: Bench) -> None:
    worker = bench.start(checkpoint_seconds=1000)
    bench.wait_for_event(worker, "partitions_assigned")
    bench.send_numbers(20_000)
    bench.wait_until_done()
    worker.kill()
    worker.wait()
    slow = bench.start(batch_records=1)
    bench.wait_until_some_are_committed()
    slow.kill()
    slow.wait()
    assert sum(bench.committed().values()) < 20_000
    bench.start()
    bench.wait_until_committed()
    bench.check_outputs()


@pytest.mark.slow
def test_workers_that_join_and_leave_neither_lose_nor_repeat_an_output(bench: Bench) -> None:
    producing = in_background(lambda: bench.send_numbers(120_000, per_second=6_000))
    first = bench.start()
    bench.wait_for_event(first, "partitions_assigned")
    second = bench.start()
    bench.wait_for_event(second, "partitions_assigned")
    time.sleep(2)
    second.send_signal(signal.SIGTERM)
    assert second.wait(15) == 0
    third = bench.start()
    bench.wait_for_event(third, "partitions_assigned")
    time.sleep(2)
    first.kill()
    producing.join()
    bench.wait_until_done()
    bench.check_outputs()


def test_a_checkpoint_is_due_after_so_many_records_too(bench: Bench) -> None:
    worker = bench.start(checkpoint_seconds=1000, checkpoint_records=1000)
    bench.wait_for_event(worker, "partitions_assigned")
    bench.send_numbers(20_000)
    bench.wait_until_done()
    assert bench.committed()


def test_a_worker_told_to_stop_makes_all_durable_and_leaves_at_once(bench: Bench) -> None:
    longer_than_the_test_waits = 200
    worker = bench.start(checkpoint_seconds=1000, session_seconds=longer_than_the_test_waits)
    bench.wait_for_event(worker, "partitions_assigned")
    bench.send_numbers(20_000)
    bench.wait_until_done()
    assert not bench.committed()
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(15) == 0
    assert bench.committed() == {where: len(records) for where, records in bench.sent.items()}
    bench.wait_for_event(bench.start(), "partitions_assigned")


def test_a_worker_that_another_one_has_written_after_ends_and_its_successor_goes_on(bench: Bench) -> None:
    worker = bench.start()
    bench.wait_for_event(worker, "partitions_assigned")
    bench.send_numbers(5_000)
    bench.wait_until_committed()
    bench.write_late("telemetry")
    bench.send_numbers(5_000, seed=8)
    assert worker.wait(30) == 1
    assert ["another worker" in line["error"] for line in bench.log(worker) if line["event"] == "worker_failed"] == [
        True
    ]
    bench.start()
    bench.wait_until_committed()
    bench.check_outputs()


def test_state_comes_back_from_the_changelog_alone(bench: Bench) -> None:
    worker = bench.start("here")
    bench.wait_for_event(worker, "partitions_assigned")
    bench.send_numbers(10_000)
    bench.wait_until_done()
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(10) == 0
    bench.start("elsewhere")
    bench.send_numbers(10_000, seed=8)
    bench.wait_until_done()
    bench.check_outputs()


@pytest.mark.slow
def test_the_loss_of_a_broker_neither_loses_nor_repeats_an_output(
    cluster_bench: Bench, kafka_cluster: EmbeddedKafka
) -> None:
    producing = in_background(lambda: cluster_bench.send_numbers(60_000, per_second=3_000))
    worker = cluster_bench.start()
    cluster_bench.wait_for_event(worker, "partitions_assigned")
    for node in (1, 2):
        time.sleep(2)
        kafka_cluster.kill_node(node)
        time.sleep(2)
        kafka_cluster.start_node(node)
    producing.join()
    cluster_bench.restart_if_it_gave_up(worker)
    cluster_bench.wait_until_done()
    cluster_bench.check_outputs()


def test_silence_is_told_once_though_the_worker_is_killed_after_telling(bench: Bench) -> None:
    worker = bench.start(checkpoint_seconds=1000)
    bench.wait_for_event(worker, "partitions_assigned")
    bench.send("telemetry", b"mortal", b"1", 0)
    bench.flush()
    bench.wait_for_outputs("alerts", 2)
    worker.kill()
    worker.wait()
    successor = bench.start()
    bench.wait_for_event(successor, "partitions_assigned")
    time.sleep(5)
    said = [json.loads(record.value)["what"] for record in bench.read("alerts")[0]]
    assert said == ["sum", "silent"]


def test_labels_reach_every_partition_before_the_events_that_come_after_them(bench: Bench) -> None:
    worker = bench.start()
    bench.wait_for_event(worker, "partitions_assigned")
    bench.send_labels(10)
    for partition in range(PARTITIONS):
        bench.send("transactions", b"account-%d" % partition, b"1", partition)
    bench.flush()
    bench.wait_until_done()
    said = [json.loads(record.value)["labels"] for found in bench.read("alerts").values() for record in found]
    assert said == [10] * PARTITIONS


def test_a_worker_without_a_broker_says_so_in_one_line(tmp_path: Path) -> None:
    settings = {"kafka": {"bootstrap_servers": "127.0.0.1:9"}, "state": {"directory": str(tmp_path)}}
    ended = subprocess.run(
        [sys.executable, str(TALLY), json.dumps(settings)], capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == 1
    said = json.loads(ended.stderr.splitlines()[-1])
    assert said["event"] == "worker_failed"
    assert said["error"].startswith("no Kafka broker at 127.0.0.1:9 ")
    assert "Traceback" not in ended.stderr
