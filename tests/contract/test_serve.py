"""`tocsin serve` on a real Kafka, as a shop's till asks it: over HTTP, and it must wait."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
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


@pytest.fixture
def till(service: Service) -> Iterator[Till]:
    made = Till(service)
    yield made
    if made.process is not None and made.process.poll() is None:
        made.process.kill()


@pytest.mark.slow
def test_who_waits_is_told_what_is_published_and_who_asks_again_is_told_the_same(till: Till) -> None:
    till.service.start_worker().wait_until_ready()
    till.start()
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
def test_without_a_decision_in_time_the_fall_back_is_told_and_counted(till: Till) -> None:
    till.start(TOCSIN_SERVE__TIMEOUT="0.3", TOCSIN_SERVE__FALLBACK="decline")
    answer = till.ask(transaction_id="t1")
    assert answer.status == 200
    assert (answer.body["decision"], answer.body["fallback"]) == ("decline", True)
    assert answer.body["reasons"] == ["no decision within 0.3 s"]
    counted = till.get(f"http://127.0.0.1:{till.health}/metrics")
    assert 'tocsin_http_answers_total{outcome="fallback"} 1.0' in counted
    till.service.start_worker().wait_until_ready()  # it is decided all the same, and known from then on
    till.service.read("decisions", at_least=1)
    assert till.ask(transaction_id="t1").body["fallback"] is False


@pytest.mark.slow
def test_nobody_without_a_token_is_answered_and_what_is_no_transaction_is_told_why(till: Till) -> None:
    till.service.start_worker().wait_until_ready()
    till.start()
    assert till.ask("a-token-of-nobody", transaction_id="t1").status == 401
    assert till.ask("the-next-token-already", transaction_id="t1").status == 200
    wrong = till.ask(transaction_id="t2", amount="much")
    assert (wrong.status, wrong.body["reason"]) == (400, "wrong_type")
    assert "amount" in wrong.body["detail"]
    old = till.ask(transaction_id="t3", timestamp=NOW - 400 * 86_400)
    assert (old.status, old.body["reason"]) == (422, "too_old")
    assert [json.loads(value)["transaction_id"] for value in till.published("decisions", 1)] == ["t1"]


@pytest.mark.slow
def test_more_callers_than_may_wait_are_told_to_come_again(till: Till) -> None:
    till.start(TOCSIN_SERVE__TIMEOUT="2", TOCSIN_SERVE__CONCURRENCY="2")
    with ThreadPoolExecutor(6) as callers:
        answers = list(callers.map(lambda n: till.ask(transaction_id=f"t{n}"), range(6)))
    assert sorted(one.status for one in answers) == [200, 200, 503, 503, 503, 503]


@pytest.mark.slow
def test_the_document_describes_the_answers(till: Till) -> None:
    till.service.start_worker().wait_until_ready()
    till.start()
    document = json.loads(till.get(f"http://127.0.0.1:{till.port}/openapi.json"))
    assert document["openapi"] == "3.1.0"
    schema = {"$ref": "#/components/schemas/Answer", "components": document["components"]}
    jsonschema.validate(till.ask(transaction_id="t1").body, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"transaction_id": "t1", "fallback": False}, schema)


def without_flag(answer: Answer) -> dict[str, Any]:
    assert answer.body["fallback"] is False
    return {name: value for name, value in answer.body.items() if name != "fallback"}
