"""`tocsin serve` on a real Kafka, as a shop's till asks it: over HTTP, and it must wait."""

from __future__ import annotations

import contextlib
import http.client
import json
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import jsonschema
import pytest

from tests.contract.conftest import Service, free_port

TOKEN = "a-token-of-the-shop"
NOW = 1_767_225_600.0


class Answer(NamedTuple):
    status: int
    body: dict[str, Any]


class Till:
    """Somebody who asks, and the server that answers."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.port, self.health = free_port(), free_port()
        self.log = service.folder / "serve.log"
        file = service.folder / "tokens"
        file.write_text(f"{TOKEN}\nthe-next-token-already\n")
        service.environment |= {"TOCSIN_SERVE__TOKEN_FILE": str(file), "TOCSIN_SERVE__TIMEOUT": "20"}
        self.process: subprocess.Popen[bytes] | None = None
        self.worker: Any = None

    def start(self, **settings: str) -> None:
        environment = self.service.environment | {
            "TOCSIN_SERVE__HOST": "127.0.0.1",
            "TOCSIN_SERVE__PORT": str(self.port),
            "TOCSIN_HTTP__HOST": "127.0.0.1",
            "TOCSIN_HTTP__PORT": str(self.health),
            **settings,
        }
        with self.log.open("ab") as out:
            self.process = subprocess.Popen([sys.executable, "-m", "tocsin", "serve"], env=environment, stderr=out)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and self.process.poll() is None:
            with contextlib.suppress(OSError):
                self.get(f"http://127.0.0.1:{self.health}/readyz")
                return
            time.sleep(0.1)
        raise AssertionError(self.log.read_text()[-3000:])

    def get(self, url: str) -> str:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.read().decode()

    def ask(self, token: str = TOKEN, **payment: Any) -> Answer:
        payment = {"timestamp": NOW, "account": "ann", "counterparty": "shop", "amount": 20.0, **payment}
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        url = f"http://127.0.0.1:{self.port}/v1/decisions"
        request = urllib.request.Request(url, json.dumps(payment).encode(), headers)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return Answer(answer.status, json.loads(answer.read()))
        except urllib.error.HTTPError as error:
            return Answer(error.code, json.loads(error.read()))

    def published(self, topic: str, at_least: int) -> list[bytes]:
        return [record.value for record in self.service.read(topic, at_least=at_least)]

    def stop(self, how: int = signal.SIGTERM) -> int:
        assert self.process is not None
        self.process.send_signal(how)
        return self.process.wait(30)


@pytest.fixture(scope="module")
def till(kafka: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Till]:
    """A till whose payments a worker decides."""
    yield from running(kafka, tmp_path_factory.mktemp("till"), deciding=True)


@pytest.fixture(scope="module")
def closed(kafka: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Till]:
    """A till whose payments nobody decides."""
    settings = {"TOCSIN_SERVE__TIMEOUT": "2", "TOCSIN_SERVE__FALLBACK": "decline", "TOCSIN_SERVE__CONCURRENCY": "2"}
    yield from running(kafka, tmp_path_factory.mktemp("closed"), deciding=False, **settings)


def running(kafka: Any, folder: Path, *, deciding: bool, **settings: str) -> Iterator[Till]:
    service = Service(kafka.bootstrap_servers, f"test-{uuid.uuid4().hex[:8]}-", folder)
    service.create_topics()
    made = Till(service)
    if deciding:
        made.worker = service.start_worker()
        made.worker.wait_until_ready()
    made.start(**settings)
    yield made
    if made.process is not None and made.process.poll() is None:
        made.process.kill()
    service.stop_workers()


@pytest.mark.slow
def test_who_waits_is_told_what_is_published_and_who_asks_again_is_told_the_same(till: Till) -> None:
    with ThreadPoolExecutor(8) as callers:
        answers = list(
            callers.map(lambda n: till.ask(transaction_id=f"t{n}", account=f"a{n}", timestamp=NOW + n), range(40))
        )
    assert {one.status for one in answers} == {200}
    published = {d["transaction_id"]: d for d in map(json.loads, till.published("decisions", 40))}
    assert {one.body["transaction_id"]: without_flag(one) for one in answers} == published
    again = [till.ask(transaction_id="t7", account="a7", timestamp=NOW + 7) for _ in range(2)]
    assert till.stop() == 0
    till.start()  # another one knows what was decided of late
    again.append(till.ask(transaction_id="t7", account="a7", timestamp=NOW + 7))
    assert [without_flag(one) for one in again] == [published["t7"]] * 3
    assert len(till.published("decisions", 40)) == 40


@pytest.mark.slow
def test_server_and_worker_are_killed_while_callers_wait_and_each_transaction_is_decided_once(till: Till) -> None:
    """Who had no answer asks again, as tills do: all are told the one decision that was published."""

    def insist(number: int) -> Answer:
        while True:
            with contextlib.suppress(OSError, http.client.HTTPException):
                answer = till.ask(transaction_id=f"k{number}", account=f"k{number % 9}", timestamp=NOW + number)
                if answer.status == 200:
                    return answer
            time.sleep(0.2)

    with ThreadPoolExecutor(8) as callers:
        waiting = [callers.submit(insist, number) for number in range(160)]
        wait_for(lambda: sum(one.done() for one in waiting) >= 20)
        assert till.stop(signal.SIGKILL) == -signal.SIGKILL
        till.start()
        wait_for(lambda: sum(one.done() for one in waiting) >= 80)
        till.worker.stop(signal.SIGKILL)
        till.worker = till.service.start_worker()
        answers = [one.result(90) for one in waiting]
    published = [json.loads(value) for value in till.published("decisions", 160)]
    decided = {one["transaction_id"]: one for one in published if one["transaction_id"].startswith("k")}
    assert len(decided) == 160 == sum(one["transaction_id"].startswith("k") for one in published)
    assert {one.body["transaction_id"]: without_flag(one) for one in answers} == decided


@pytest.mark.slow
def test_nobody_without_a_token_is_answered_and_what_is_no_transaction_is_told_why(till: Till) -> None:
    assert till.ask("a-token-of-nobody", transaction_id="u1").status == 401
    assert till.ask("the-next-token-already", transaction_id="u2").status == 200
    wrong = till.ask(transaction_id="u3", amount="much")
    assert (wrong.status, wrong.body["reason"]) == (400, "wrong_type")
    assert "amount" in wrong.body["detail"]
    old = till.ask(transaction_id="u4", timestamp=NOW - 400 * 86_400)
    assert (old.status, old.body["reason"]) == (422, "too_old")
    decided = {json.loads(value)["transaction_id"] for value in till.published("decisions", 1)}
    assert decided & {"u1", "u2", "u3", "u4"} == {"u2"}


@pytest.mark.slow
def test_the_document_describes_the_answers(till: Till) -> None:
    document = json.loads(till.get(f"http://127.0.0.1:{till.port}/openapi.json"))
    assert document["openapi"] == "3.1.0"
    schema = {"$ref": "#/components/schemas/Answer", "components": document["components"]}
    jsonschema.validate(till.ask(transaction_id="v1").body, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"transaction_id": "v1", "fallback": False}, schema)


@pytest.mark.slow
def test_without_a_decision_in_time_the_fall_back_is_told_and_the_transaction_still_waits_to_be_decided(
    closed: Till,
) -> None:
    answer = closed.ask(transaction_id="w1")
    assert answer.status == 200
    assert (answer.body["decision"], answer.body["fallback"]) == ("decline", True)
    assert answer.body["reasons"] == ["no decision within 2 s"]
    counted = closed.get(f"http://127.0.0.1:{closed.health}/metrics")
    assert 'tocsin_http_answers_total{outcome="fallback"} 1.0' in counted
    (sent,) = closed.published("transactions", 1)
    assert json.loads(sent)["transaction_id"] == "w1"


@pytest.mark.slow
def test_more_callers_than_may_wait_are_told_to_come_again(closed: Till) -> None:
    with ThreadPoolExecutor(6) as callers:
        answers = list(callers.map(lambda n: closed.ask(transaction_id=f"x{n}"), range(6)))
    assert sorted(one.status for one in answers) == [200, 200, 503, 503, 503, 503]


def wait_for(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def without_flag(answer: Answer) -> dict[str, Any]:
    assert answer.body["fallback"] is False
    return {name: value for name, value in answer.body.items() if name != "fallback"}
