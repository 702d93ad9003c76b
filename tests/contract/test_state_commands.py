"""`tocsin state`: what has been learned can be listed, exported, restored and rolled back, on a real Kafka."""

from __future__ import annotations

import json
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaAdminClient

from tests.contract.conftest import Service, Worker

START = 1_767_225_600.0


def wave(source: str, first: int, count: int, level: float = 10.0) -> Iterator[tuple[str, dict[str, Any]]]:
    chance = random.Random(f"{source}{first}")
    for i in range(first, first + count):
        yield source, {"source": source, "timestamp": START + 60 * i, "values": {"x": round(chance.gauss(level, 1), 4)}}


def payments(first: int, count: int) -> Iterator[tuple[str, dict[str, Any]]]:
    for i in range(first, first + count):
        yield (
            "ann",
            {
                "transaction_id": f"t{i}",
                "timestamp": START + 3600 * i,
                "account": "ann",
                "counterparty": "shop",
                "amount": 20 + i % 7,
            },
        )


def state(service: Service, *arguments: str, fails: int = 0) -> Any:
    done = subprocess.run(
        [sys.executable, "-m", "tocsin", "state", *arguments],
        env=service.environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == fails, done.stderr + done.stdout
    if fails:
        (line,) = done.stderr.splitlines()
        return line
    return json.loads(done.stdout) if "--json" in arguments else done.stdout


class Learned:
    """A service whose worker has learned, and what it scores from there."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.worker: Worker = service.start_worker()
        self.worker.wait_until_ready()
        self.seen = 0

    def learn(self, *events: Iterator[tuple[str, dict[str, Any]]], topic: str = "telemetry") -> list[dict[str, Any]]:
        """Let the worker learn events, and return what it scored."""
        sent = self.service.produce(topic, (event for some in events for event in some))
        return self.scored(sent, "scores" if topic == "telemetry" else "decisions")

    def scored(self, more: int, topic: str = "scores") -> list[dict[str, Any]]:
        records = self.service.read(topic, at_least=(self.seen if topic == "scores" else 0) + more)
        found = [json.loads(record.value) for record in records]
        if topic == "scores":
            found, self.seen = found[self.seen :] if len(found) > self.seen else [], len(found)
        return found

    def stop(self, how: int = signal.SIGTERM) -> None:
        self.worker.stop(how)

    def start(self) -> None:
        self.worker.restart()
        self.worker.wait_until_ready()


@pytest.fixture
def learned(service: Service) -> Learned:
    service.environment["TOCSIN_TOPICS__PARTITIONS"] = "4"
    return Learned(service)


def score_of(service: Service, source: str, timestamp: float) -> list[dict[str, Any]]:
    """Return every score of an event that was published."""
    scores = [json.loads(record.value) for record in service.read("scores")]
    at = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(timestamp))
    return [score for score in scores if (score["source"], score["timestamp"]) == (source, at)]


def test_list_says_what_there_is_and_up_to_where(service: Service, learned: Learned) -> None:
    learned.learn(wave("a", 0, 20), wave("b", 0, 10))
    learned.learn(payments(0, 5), topic="transactions")
    learned.stop()
    found = state(service, "list", "--json")
    by_stream = {name: [one for one in found if one["stream"] == name] for name in ("telemetry", "transactions")}
    assert sum(one["names"] for one in by_stream["telemetry"]) == 2
    assert sum(one["covered"] or 0 for one in by_stream["telemetry"]) == 30
    assert sum(one["names"] for one in by_stream["transactions"]) == 1
    assert all(one["written_at"].endswith("Z") and one["bytes"] > 0 for one in found if one["covered"])
    assert "telemetry/0" in state(service, "list")


def test_a_group_without_state_says_so(service: Service) -> None:
    assert "has no state yet" in state(service, "list", fails=1)


def test_restore_refuses_while_a_worker_is_running(service: Service, learned: Learned, tmp_path: Path) -> None:
    learned.learn(wave("a", 0, 10))
    state(service, "export", str(tmp_path / "all.jsonl"))
    assert "1 running worker(s)" in state(service, "restore", str(tmp_path / "all.jsonl"), fails=1)


def test_a_restored_state_relearns_what_came_since_and_publishes_nothing_twice(
    service: Service, learned: Learned, tmp_path: Path
) -> None:
    learned.learn(wave("a", 0, 40))
    learned.stop()
    state(service, "export", str(tmp_path / "all.jsonl.gz"))
    learned.start()
    learned.learn(wave("a", 40, 40))
    learned.stop()
    covered = state(service, "restore", str(tmp_path / "all.jsonl.gz"), "--json")["covered"]
    assert sum(offset for place, offset in covered.items() if place.startswith("telemetry")) == 40
    learned.start()
    learned.learn(wave("a", 80, 1))
    plain = backtest(service, tmp_path, [*wave("a", 0, 40), *wave("a", 40, 40), *wave("a", 80, 1)])
    scores = [json.loads(record.value) for record in service.read("scores")]
    assert [score["anomaly_score"] for score in scores] == plain


def test_a_state_restored_after_the_changelog_was_deleted_goes_on(
    service: Service, learned: Learned, tmp_path: Path
) -> None:
    learned.learn(wave("a", 0, 40))
    learned.stop()
    state(service, "export", str(tmp_path / "all.jsonl"))
    delete_topic(service, f"{service.prefix}tocsin-telemetry-state-changelog")
    shutil.rmtree(tmp_path / "state-worker-0")
    learned.worker.restart()
    assert learned.worker.process.wait(60) == 1
    assert "the state is lost" in learned.worker.log.read_text()
    assert "tocsin state restore" in learned.worker.log.read_text()
    state(service, "restore", str(tmp_path / "all.jsonl"))
    learned.start()
    (score,) = learned.learn(wave("a", 40, 1))
    assert score["anomaly_score"] == backtest(service, tmp_path, [*wave("a", 0, 40), *wave("a", 40, 1)])[-1]


def test_one_source_rolled_back_goes_on_from_now_and_the_others_are_left_as_they_are(
    service: Service, learned: Learned, tmp_path: Path
) -> None:
    backups = tmp_path / "backups"
    backups.mkdir()
    learned.learn(wave("a", 0, 40), wave("b", 0, 40))
    learned.stop()
    state(service, "export", str(backups))
    time.sleep(1.1)  # exports are named by the second
    learned.start()
    learned.learn(wave("a", 40, 40, level=500.0), wave("b", 40, 40))
    learned.stop()
    state(service, "rollback", str(backups), "--source", "a")
    assert len(list(backups.iterdir())) == 2
    learned.start()
    scores = {score["source"]: score for score in learned.learn(wave("a", 80, 1), wave("b", 80, 1))}
    without_the_bad = backtest(service, tmp_path, [*wave("a", 0, 40), *wave("a", 80, 1)])
    assert scores["a"]["anomaly_score"] == without_the_bad[-1]
    assert (
        scores["b"]["anomaly_score"]
        == backtest(service, tmp_path, [*wave("b", 0, 40), *wave("b", 40, 40), *wave("b", 80, 1)])[-1]
    )


def test_all_can_go_on_from_now(service: Service, learned: Learned, tmp_path: Path) -> None:
    learned.learn(wave("a", 0, 40))
    learned.stop()
    state(service, "export", str(tmp_path / "all.jsonl"))
    learned.start()
    learned.learn(wave("a", 40, 40, level=500.0))
    learned.stop()
    state(service, "restore", str(tmp_path / "all.jsonl"), "--from-now")
    learned.start()
    (score,) = learned.learn(wave("a", 80, 1))
    assert score["anomaly_score"] == backtest(service, tmp_path, [*wave("a", 0, 40), *wave("a", 80, 1)])[-1]


def test_an_account_can_be_exported_and_restored(service: Service, learned: Learned, tmp_path: Path) -> None:
    learned.learn(payments(0, 10), topic="transactions")
    learned.stop()
    file = tmp_path / "ann.jsonl"
    state(service, "export", str(file), "--account", "ann")
    learned.start()
    learned.learn(payments(10, 10), topic="transactions")
    learned.stop()
    state(service, "restore", str(file))
    again = tmp_path / "again.jsonl"
    state(service, "export", str(again), "--account", "ann")
    assert again.read_text().splitlines()[1] == file.read_text().splitlines()[1]
    learned.start()
    assert len(learned.learn(payments(20, 1), topic="transactions")) == 21


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda text: "".join(text.splitlines(keepends=True)[:-1]), "incomplete"),
        (lambda text: text.replace('"version":1', '"version":9', 1), "version 9"),
        (lambda _: "timestamp,x\n1,2\n", "no state that `tocsin state export` wrote"),
    ],
)
def test_a_file_that_cannot_be_restored_is_refused_in_one_line(
    service: Service, learned: Learned, tmp_path: Path, spoil: Any, said: str
) -> None:
    learned.learn(wave("a", 0, 5))
    learned.stop()
    file = tmp_path / "all.jsonl"
    state(service, "export", str(file))
    file.write_text(spoil(file.read_text()))
    assert said in state(service, "restore", str(file), fails=1)


def delete_topic(service: Service, topic: str) -> None:
    admin = KafkaAdminClient(bootstrap_servers=service.brokers)
    admin.delete_topics([topic])
    deadline = time.monotonic() + 30
    while topic in admin.list_topics() and time.monotonic() < deadline:
        time.sleep(0.1)
    admin.close()


def backtest(service: Service, folder: Path, events: list[tuple[str, dict[str, Any]]]) -> list[float]:
    """Return what a run over exactly these events scores."""
    lines = [f"{event['timestamp']},{source},{event['values']['x']}" for source, event in events]
    (folder / "plain.csv").write_text("\n".join(["timestamp,source,x", *lines]) + "\n")
    service.tocsin("backtest", "telemetry", str(folder / "plain.csv"), "-o", str(folder / "plain-out.csv"))
    header, *rows = (folder / "plain-out.csv").read_text().splitlines()
    column = header.split(",").index("anomaly_score")
    return [float(row.split(",")[column]) for row in rows]
