"""The faults, one function each: what is done to workers and brokers while events come in."""

from __future__ import annotations

import contextlib
import random
import shutil
import signal
import statistics
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import psutil
from kafka import KafkaAdminClient

from benchmarks.faults.trial import SESSION_SECONDS, Trial, TrialError
from benchmarks.faults.worker import Worker

SMALL_DISK = "3m"
MOMENTS = ("at work", "checkpoint", "rebalance", "shutdown", "start")


@dataclass(frozen=True, slots=True)
class Scenario:
    """A kind of fault; ``happen`` returns how often it has happened, once the worker may go on in peace.

    ``settings`` are those of the workers besides, as environment variables.
    """

    name: str
    about: str
    happen: Callable[[Trial, random.Random, int], int]
    times: int = 1
    nodes: int = 1
    settings: dict[str, str] = field(default_factory=dict)


def nothing(trial: Trial, chance: random.Random, times: int) -> int:
    """Disturb nothing."""
    trial.start()
    return 0


def kills(trial: Trial, chance: random.Random, times: int) -> int:
    """Kill workers with SIGKILL at moments of every kind, spread over the run."""
    worker = trial.start()
    in_checkpoint = 0
    for number in range(times):
        trial.wait_for_share((number + chance.random() / 2) / (times + 1), tend=True)
        worker = trial.workers[-1]
        worker.wait_until_ready()
        _kill(trial, worker, MOMENTS[number % len(MOMENTS)], chance)
        in_checkpoint += trial.unfinished_checkpoints()
        if not any(other.alive for other in trial.workers):
            trial.start()
    trial.notes.append(f"{in_checkpoint} partitions were left with an unfinished checkpoint")
    return times


def _kill(trial: Trial, worker: Worker, moment: str, chance: random.Random) -> None:
    match moment:
        case "at work":
            time.sleep(chance.uniform(0, 2))
        case "checkpoint":
            before, deadline = sum(trial.ends(trial.changelogs).values()), time.monotonic() + 10
            while sum(trial.ends(trial.changelogs).values()) == before and time.monotonic() < deadline:
                pass
        case "rebalance":
            second = trial.start()
            worker.wait_for("partitions_revoked", len(worker.events("partitions_revoked")) + 1, seconds=20)
            time.sleep(chance.uniform(0, 0.5))
            worker = chance.choice((worker, second))
        case "shutdown":
            worker.send(signal.SIGTERM)
            worker.wait_for("worker_stopping")
            time.sleep(chance.uniform(0, 0.3))
        case "start":
            worker.end()
            worker = trial.start()
            worker.wait_for("worker_started")
            time.sleep(chance.uniform(0, SESSION_SECONDS + 2))
    worker.end()


def second_worker(trial: Trial, chance: random.Random, times: int) -> int:
    """Let a second worker join and leave, in order and by SIGKILL in turn."""
    first = trial.start()
    first.wait_until_ready()
    for number in range(times):
        trial.wait_for_share((number + 0.5) / (times + 1))
        second = trial.start()
        second.wait_until_ready()
        time.sleep(chance.uniform(0, 3))
        second.end(signal.SIGTERM if number % 2 == 0 else signal.SIGKILL)
        first.wait_for("partitions_assigned", 2 * number + 3, seconds=30)
    pauses = first.pauses()
    usual, longest = statistics.median(pauses), max(pauses)
    trial.notes.append(f"{len(pauses)} rebalances stopped work for {usual:.1f} s (median), {longest:.1f} s (longest)")
    return times


def broker_down(trial: Trial, chance: random.Random, times: int) -> int:
    """Stop the broker for 30 s."""
    trial.start().wait_until_ready()
    for number in range(times):
        trial.wait_for_share((number + 1) / (times + 2), tend=True)
        trial.kafka.stop_node(1)
        time.sleep(30)
        trial.kafka.start_node(1)
    return times


def leader_change(trial: Trial, chance: random.Random, times: int) -> int:
    """Kill one broker after the other, so that every partition's leader changes."""
    trial.start().wait_until_ready()
    for number in range(times):
        trial.wait_for_share((number + 0.5) / (times + 1), tend=True)
        node = number % 3 + 1
        trial.kafka.kill_node(node)
        time.sleep(chance.uniform(5, 8))
        trial.kafka.start_node(node)
        time.sleep(5)  # it has to catch up before the next may go
    return times


def broker_stalls(trial: Trial, chance: random.Random, times: int) -> int:
    """Let the broker hang: it takes connections and answers nothing."""
    worker = trial.start()
    worker.wait_until_ready()
    grown = 0
    for number in range(times):
        trial.wait_for_share((number + 1) / (times + 2), tend=True)
        worker = next(worker for worker in trial.workers if worker.alive)
        memory = psutil.Process(worker.process.pid)
        before = memory.memory_info().rss
        trial.kafka.pause_node(1)
        time.sleep(20)
        grown = max(grown, memory.memory_info().rss - before)
        trial.kafka.resume_node(1)
    trial.notes.append(f"a worker's memory grew by at most {grown / 2**20:.0f} MiB while the broker hung")
    return times


def sleeper(trial: Trial, chance: random.Random, times: int) -> int:
    """Stop a worker for longer than its session, so that another takes over, and let it wake."""
    first = trial.start()
    first.wait_until_ready()
    second = trial.start()
    for number in range(times):
        for worker in (first, second):
            worker.wait_until_ready()
        trial.wait_for_share((number + 1) / (times + 2))
        asleep, awake = (first, second) if number % 2 == 0 else (second, first)
        taken_over = len(awake.events("partitions_assigned")) + 1
        time.sleep(chance.uniform(0, 1))
        asleep.send(signal.SIGSTOP)
        awake.wait_for("partitions_assigned", taken_over, seconds=60)
        time.sleep(chance.uniform(0, 2))
        asleep.send(signal.SIGCONT)
        asleep.process.wait(timeout=60)
        trial.note_failure(asleep)
        new = trial.start()
        first, second = (new, second) if asleep is first else (first, new)
    return times


def full_disk(trial: Trial, chance: random.Random, times: int) -> int:
    """Give the state too small a disk: a worker that finds it full must stop and say so; then give it room."""
    worker = trial.start(before=small_disk(trial, SMALL_DISK))
    trial.wait_for_end_or_done(worker)
    if worker.alive:
        trial.notes.append("the disk did not get full: the worker held its state in memory")
        worker.end(signal.SIGTERM)
    else:
        must_have_failed(worker, "is full")
        trial.note_failure(worker)
    trial.start()
    return 1


def small_disk(trial: Trial, size: str) -> list[str]:
    """Return a command that runs another with a small disk of its own for the state, by root or by anybody."""
    trial.state.mkdir(parents=True, exist_ok=True)
    script = f'mount -t tmpfs -o size={size} tmpfs "$0" && exec "$@"'
    for own in (["--mount"], ["--user", "--map-root-user", "--mount"]):
        command = ["unshare", *own, "sh", "-c", script, str(trial.state)]
        with contextlib.suppress(OSError, subprocess.CalledProcessError):
            subprocess.run([*command, "true"], check=True, capture_output=True)
            return command
    raise TrialError("this machine lets nobody mount a tmpfs (unshare --user --mount): run it as root")


def must_have_failed(worker: Worker, saying: str) -> None:
    """Raise unless a worker ends with exit code 1 and an error that says something."""
    code = worker.process.wait(timeout=60)
    failed = worker.events("worker_failed")
    if code != 1 or not failed or saying not in failed[-1]["error"]:
        raise TrialError(f"no worker_failed that says {saying!r}: {worker.log.read_text()[-2000:]}")


def changelog_deleted(trial: Trial, chance: random.Random, times: int) -> int:
    """Delete the changelog topics: the worker must refuse to start; then take the documented way out."""
    worker = trial.start()
    trial.wait_for_share(0.4)
    if worker.end(signal.SIGTERM) != 0:
        raise TrialError("the worker did not stop in order")
    admin = KafkaAdminClient(bootstrap_servers=trial.kafka.bootstrap_servers)
    admin.delete_topics(trial.changelogs)
    worker = trial.start()
    must_have_failed(worker, "the state is lost")
    trial.note_failure(worker)
    shutil.rmtree(trial.state)
    admin.delete_groups([trial.prefix + "tocsin"])
    admin.close()
    trial.start()
    return 1


STANDBY = {"TOCSIN_STATE__STANDBY_REPLICAS": "1"}

SCENARIOS = (
    Scenario("nothing", "no fault: a worker beside the same processors without Kafka", nothing, 0),
    Scenario("kills", "kill -9 at work, in checkpoints, rebalances, shutdowns and starts", kills, 20),
    Scenario("workers", "a second worker joins and leaves, in order and by kill -9", second_worker, 4),
    Scenario("standby", "the same, each with a copy of the other's states", second_worker, 4, settings=STANDBY),
    Scenario("sleeper", "a worker is stopped beyond its session, another takes over, it wakes", sleeper, 4),
    Scenario("broker-down", "the broker is stopped for 30 s", broker_down, 1),
    Scenario("leaders", "three brokers, each killed once: leaders change", leader_change, 3, nodes=3),
    Scenario("broker-stalls", "the broker hangs for 20 s", broker_stalls, 2),
    Scenario("full-disk", "no room for state, then room", full_disk, 1),
    Scenario("changelog-deleted", "the changelog topics are gone", changelog_deleted, 1),
)
