"""What is done about incidents, on a real Kafka: once it is approved, never twice by itself, and undone in vain."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from streams.delivery.webhook import signature
from tests.contract.notified import SECRET, Notifying
from tests.contract.service import Service

QUICK = {"receiver": "ops", "group_wait": 0.2, "group_interval": 0.5, "group_by": ["source"]}
SCRIPT = """
import os, pathlib, sys, time
log = pathlib.Path(sys.argv[1])
with log.open("a") as out:
    print(f"{sys.argv[2]} {os.environ['TOCSIN_UNDO']} {'TOCSIN_CONFIG' in os.environ} {os.getpid()}", file=out)
while log.with_suffix(".wait").exists():
    time.sleep(0.05)
"""


class Acting(Notifying):
    """Somebody whose runbook can do something, and what it has done."""

    def __init__(self, service: Service) -> None:
        super().__init__(service)
        self.done_log = service.folder / "done.log"
        self.script = service.folder / "restart.py"
        self.script.write_text(SCRIPT)

    def allow(self, action: dict[str, Any], **settings: Any) -> None:
        book = {"name": "restart", "source": "db", "steps": ["look", {"text": "restart it", "action": action}]}
        self.configure(
            {"route": QUICK, "receivers": [{"name": "ops"}], "actions": {"enabled": True, **settings}},
            incidents={"settle": 0.5, "lateness": 0.2, "publish_every": 0.5, "runbooks": [book]},
        )

    def command(self, **more: Any) -> dict[str, Any]:
        return {"command": ["python3", str(self.script), str(self.done_log), "{cause}"], "timeout": 60, **more}

    def actions(self) -> list[dict[str, Any]]:
        return [json.loads(record.value) for record in self.service.read("actions", quiet=0.3)]

    def until_state(self, state: str) -> dict[str, Any]:
        return self.until(lambda: next((one for one in self.actions()[-1:] if one["state"] == state), None), state, 60)

    def done(self) -> list[list[str]]:
        return [line.split() for line in self.done_log.read_text().splitlines()] if self.done_log.exists() else []

    def say(self, verb: str, action: dict[str, Any]) -> None:
        self.service.tocsin("incidents", verb, action["action_id"][:8], "--by", "ann")

    def break_db(self) -> None:
        self.fire("db", updated_at=time.time())

    def mend_db(self) -> None:
        self.resolve("db", updated_at=time.time())


@pytest.fixture
def acting(service: Service) -> Iterator[Acting]:
    running = Acting(service)
    yield running
    running.stop()


@pytest.mark.slow
def test_after_kill_9_an_action_is_done_again_only_if_somebody_says_so(acting: Acting) -> None:
    acting.allow(acting.command(verify=60))
    hold = acting.done_log.with_suffix(".wait")
    hold.touch()
    process = acting.start()
    acting.wait_until_active()
    acting.break_db()
    proposed = acting.until_state("proposed")
    assert (proposed["cause"], proposed["step"], acting.done()) == ("db", 2, [])
    acting.say("approve", proposed)
    acting.until(acting.done, "the command")
    process.send_signal(signal.SIGKILL)
    process.wait()
    acting.start()
    acting.wait_until_active()
    acting.until_state("interrupted")
    time.sleep(1)
    assert len(acting.done()) == 1
    hold.unlink()
    acting.say("approve", proposed)
    acting.until_state("verifying")
    acting.mend_db()
    verified = acting.until_state("verified")
    assert [step["state"] for step in verified["history"]] == [
        *("proposed", "running", "interrupted", "running", "verifying", "verified"),
    ]
    assert [line[:3] for line in acting.done()] == [["db", "0", "False"]] * 2
    versions = [one["version"] for one in acting.actions()]
    assert versions == list(range(1, len(versions) + 1))
    shown = acting.service.tocsin("incidents", "show", verified["incident_id"]).stdout
    assert f"restart 2 on db, action {verified['action_id'][:8]}: running by ann" in shown


@pytest.mark.slow
def test_what_takes_too_long_is_ended_with_all_that_it_began_and_may_be_denied(acting: Acting) -> None:
    acting.allow(acting.command(timeout=2))
    acting.done_log.with_suffix(".wait").touch()
    acting.start()
    acting.wait_until_active()
    acting.break_db()
    action = acting.until_state("proposed")
    acting.say("approve", action)
    failed = acting.until_state("failed")
    assert failed["history"][-1]["detail"] == "not within 2 s"
    (line,) = acting.done()
    acting.until(lambda: not Path(f"/proc/{line[3]}").exists() or _is_zombie(line[3]), "the end of the command")
    acting.say("deny", action)
    assert acting.until_state("denied")["history"][-1]["by"] == "ann"


@pytest.mark.slow
def test_a_signed_webhook_that_does_not_help_is_undone(acting: Acting) -> None:
    undo = {"webhook": acting.hook.url + "/undo"}
    acting.allow({"webhook": acting.hook.url + "/do", "verify": 1, "undo": undo}, secret_file="secret")
    acting.start()
    acting.wait_until_active()
    acting.break_db()
    acting.say("approve", acting.until_state("proposed"))
    undone = acting.until_state("undone")
    assert [step["state"] for step in undone["history"]][2:] == ["verifying", "not_verified", "undoing", "undone"]
    assert [(one["cause"], one["undo"]) for one in acting.hook.told] == [("db", False), ("db", True)]
    for headers, body in acting.hook.requests:
        said = headers["webhook-id"], headers["webhook-timestamp"]
        assert headers["webhook-signature"] == signature(SECRET, *said, body)
    assert 'tocsin_actions_total{state="undone"} 1.0' in acting.get("/metrics")


def _is_zombie(pid: str) -> bool:
    return "Z" in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
