"""`tocsin explain` on a real Kafka: every reason for no alert, as a user asks for it."""

from __future__ import annotations

import json
import random
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.contract.notified import Notifying
from tests.contract.service import Service

BEGAN = round(time.time()) - 3000.0
USUAL, ODD = 400, 60.0
POLICIES = [
    {"name": "below", "source": "gated", "default": {"gates": {"direction": "below"}}, "per_source_a_day": 100},
    {"name": "lasting", "source": "pending", "default": {"fire_after": 3600}},
    {"name": "few", "source": "spent", "default": {"resolve_after_events": 1}, "per_source_a_day": 1},
]


class World:
    """A service whose sources have sent: each a reading a second from `BEGAN` on, and then something of its own."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.at: dict[str, float] = {}

    def send(self, source: str, *values: float, usual: int = USUAL, **said: Any) -> float:
        """Send usual readings, then these, and return the time of the last."""
        chance, first = random.Random(source), self.at.get(source, BEGAN)
        readings = [20 + chance.gauss(0, 1) for _ in range(usual)] + list(values)
        events = [
            {"source": source, "timestamp": first + i, "values": {"x": value}} for i, value in enumerate(readings)
        ]
        events[-1] |= said
        self.service.produce("telemetry", [(source, event) for event in events])
        self.at[source] = first + len(readings)
        return first + len(readings) - 1

    def explain(self, source: str, at: float) -> dict[str, Any]:
        found = self.service.tocsin("explain", "source", source, "--at", repr(at), "--json")
        account: dict[str, Any] = json.loads(found.stdout)
        return account

    def alert(self, source: str) -> dict[str, Any]:
        return next(one for one in self.service.final_alerts().values() if one["source"] == source)


@pytest.fixture(scope="module")
def world(kafka: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder: Path = tmp_path_factory.mktemp("explain")
    service = Service(kafka.bootstrap_servers, f"test-{uuid.uuid4().hex[:8]}-", folder)
    service.environment["TOCSIN_TELEMETRY__SCORES"] = "anomalous"
    service.create_topics()
    file = folder / "policies.yaml"
    file.write_text(yaml.safe_dump({"policies": POLICIES}))
    service.tocsin("policy", "apply", str(file), "--author", "ann")
    time.sleep(2.1)  # it counts for what is produced two seconds later
    made = World(service)
    made.send("normal", 20.0)
    made.send("young", 20.0, usual=4)
    for source in ("fires", "gated", "pending", "silenced"):
        made.send(source, ODD, ODD)
    made.send("spent", ODD, *[20.0] * 30)
    made.send("spent", -ODD, usual=30)
    made.send("twice", 20.0, event_id="e1")
    made.send("twice", 20.0, usual=0, event_id="e1")
    made.send("bad", 20.0)
    bad = {"source": "bad", "timestamp": made.at["bad"], "values": {"x": "high"}}
    late = {"source": "bad", "timestamp": BEGAN - 90_000, "values": {"x": 1.0}}
    lost = {"source": "bad", "timestamp": made.at["bad"] + 200, "values": {"x": 1.0}}
    service.produce("telemetry", [("bad", bad), ("bad", late), ("normal", lost)])
    worker = service.start_worker()
    worker.wait_until_ready()
    service.read("dead-letters", at_least=3)
    service.read("alerts", at_least=4, quiet=2)
    worker.stop()  # with a checkpoint of all of it
    made.send("normal", 20.0, usual=100)
    yield made
    service.stop_workers()


def test_an_alert_says_what_spoke_beside_its_threshold_and_who_decided(world: World):
    found = world.explain("fires", BEGAN + USUAL)
    assert (found["outcome"], found["reason"], found["exact"]) == ("alert", "alert", True)
    (first, *_) = found["findings"]
    assert first["value"] == ODD and first["expected"] == pytest.approx(20, abs=2)
    assert first["p_value"] <= first["fire_p"] == 1e-4
    assert found["versions"]["detector"] == "auto"
    assert {one["alert"]["alert_id"] for one in found["alerts"]} >= {first["alert_id"]}


def test_an_alert_of_a_given_id_is_explained_with_each_decision_that_changed_it(world: World):
    alert = world.alert("fires")
    found = json.loads(world.service.tocsin("explain", "alert", alert["alert_id"], "--json").stdout)
    assert found["alert"] == alert
    assert found["decisions"] and all(one["exact"] for one in found["decisions"])
    assert found["told"]["reason"] == "group_wait"
    shown = world.service.tocsin("explain", "alert", alert["alert_id"][:8]).stdout
    assert "the stored trace; decided again, with the same result" in shown


def test_a_usual_event_was_below_the_threshold(world: World):
    found = world.explain("normal", BEGAN + 390)
    assert (found["outcome"], found["reason"], found["evidence"]) == ("normal", "below_threshold", "replay")
    assert found["exact"] and 0.01 < found["p_value"] <= 1


def test_the_detector_was_still_warming_up(world: World):
    found = world.explain("young", BEGAN + 4)
    assert (found["outcome"], found["reason"]) == ("normal", "warm_up")
    assert found["warm_up"] < 0.1 and "level: after 20 events" in found["missing"]


def test_a_gate_of_an_applied_policy_held_it_back(world: World):
    found = world.explain("gated", BEGAN + USUAL)
    assert (found["outcome"], found["reason"], found["exact"]) == ("held", "direction", True)
    assert found["versions"]["policies"] == ["below@1"]


def test_it_has_not_lasted_for_long_enough(world: World):
    found = world.explain("pending", BEGAN + USUAL + 1)
    assert (found["outcome"], found["reason"]) == ("pending", "pending")
    assert found["alerts"][0]["told"]["reason"] == "pending"


def test_the_budget_of_the_source_was_spent(world: World):
    found = world.explain("spent", world.at["spent"] - 1)
    assert (found["outcome"], found["reason"], found["exact"]) == ("held", "source_budget", True)
    assert "1 of 1 alerts" in found["because"]


@pytest.mark.parametrize(
    ("at", "reason"), [(USUAL + 1, "wrong_type"), (-90_000, "too_old"), (USUAL + 201, "key_mismatch")]
)
def test_the_event_became_a_dead_letter(world: World, at: float, reason: str):
    found = world.explain("bad", BEGAN + at)
    assert (found["outcome"], found["reason"]) == ("dead_letter", reason)


def test_the_event_was_a_repetition(world: World):
    found = world.explain("twice", BEGAN + USUAL + 1)
    assert (found["outcome"], found["reason"]) == ("duplicate", "duplicate")


def test_there_was_no_event_at_that_time(world: World):
    found = world.explain("normal", BEGAN - 500)
    assert found["outcome"] == "no_event"
    assert "no event within 1 min of this time; the one after at" in found["because"]


def test_no_worker_has_come_to_the_event_yet(world: World):
    assert world.explain("normal", BEGAN + USUAL + 100)["outcome"] == "not_processed"


def test_nobody_has_heard_of_the_source(world: World):
    found = world.explain("Normal", BEGAN)
    assert found["outcome"] == "unknown_source"
    assert "no event, score, alert or dead letter of 'Normal' is there" in found["because"]


def test_a_silence_kept_the_alert_from_being_told(world: World):
    notifying = Notifying(world.service)
    try:
        route = {"receiver": "ops", "group_wait": 0.2, "group_by": ["source"]}
        notifying.configure({"route": route, "receivers": [{"name": "ops"}]})
        said = ("silence", "add", "source=silenced", "--comment", "works", "--by", "ann", "--json")
        silence = json.loads(world.service.tocsin(*said).stdout)["silence_id"]
        notifying.start()
        notifying.wait_until_active()
        notifying.until(
            lambda: any(one["suppressed_count"] for one in notifying.notifications().values()), "what is suppressed"
        )
    finally:
        notifying.stop()
    found = world.explain("silenced", BEGAN + USUAL)
    assert found["outcome"] == "alert"
    told = found["alerts"][0]["told"]
    assert told["reason"] == "silence"
    assert silence in told["because"] and "ann: works" in told["because"]
    shown = world.service.tocsin("explain", "source", "silenced", "--at", str(BEGAN + USUAL)).stdout
    assert "ops not told" in shown
