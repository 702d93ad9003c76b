"""What `tocsin notify` promises whoever is told, on a real Kafka and with a real HTTP server."""

from __future__ import annotations

import json
import signal
import time
from collections import Counter
from collections.abc import Iterator

import pytest

from streams.delivery.webhook import signature
from tests.contract.notified import SECRET, Notifying
from tests.contract.service import Service

QUICK = {"receiver": "ops", "group_wait": 0.2, "group_interval": 0.5, "group_by": ["source"]}


@pytest.fixture
def notifying(service: Service) -> Iterator[Notifying]:
    running = Notifying(service)
    yield running
    running.stop()


def test_a_webhook_is_told_of_an_alert_and_of_its_end_and_can_verify_both(notifying: Notifying) -> None:
    notifying.configure({"route": QUICK, "receivers": [{"name": "ops", "webhook": [notifying.webhook()]}]})
    notifying.start()
    notifying.wait_until_active()
    notifying.fire("pump-7")
    notifying.until(lambda: notifying.hook.told, "the alert")
    notifying.resolve("pump-7")
    notifying.until(lambda: len(notifying.hook.told) == 2, "its end")
    assert [one["status"] for one in notifying.hook.told] == ["firing", "resolved"]
    assert notifying.hook.told[0]["title"] == "[FIRING:1] pump-7: spike"
    for headers, body in notifying.hook.requests:
        expected = signature(SECRET, headers["webhook-id"], headers["webhook-timestamp"], body)
        assert headers["webhook-signature"] == expected
        assert headers["webhook-id"] == json.loads(body)["notification_id"]
        assert abs(time.time() - int(headers["webhook-timestamp"])) < 60
    notifying.until(
        lambda: (
            [d["state"] for one in notifying.notifications().values() for d in one["deliveries"]]
            == ["delivered", "delivered"]
        ),
        "both noted as delivered",
    )


def test_a_sink_that_fails_is_asked_again_and_one_that_refuses_makes_a_dead_letter(notifying: Notifying) -> None:
    receivers = [{"name": "ops", "webhook": [notifying.webhook()], "kafka": [{"topic": "incidents"}]}]
    notifying.configure({"route": QUICK, "receivers": receivers, "retry": {"first": 0.1}})
    notifying.hook.answers = [503, 500, 200, 400]
    notifying.start()
    notifying.wait_until_active()
    notifying.fire("a")
    notifying.until(lambda: len(notifying.hook.requests) == 3, "two more attempts")
    assert len({body for _, body in notifying.hook.requests}) == 1
    notifying.service.produce("alerts", [("broken", b"{")])
    notifying.fire("b")
    letters = notifying.service.read("dead-letters", at_least=2)
    found = {json.loads(one.value)["reason"]: json.loads(one.value) for one in letters}
    assert "HTTP 400" in found["undelivered"]["detail"]
    assert found["not_json"]["topic"] == "alerts"
    copies = [json.loads(one.value)["alerts"][0]["source"] for one in notifying.service.read("incidents", at_least=2)]
    assert sorted(copies) == ["a", "b"]
    metrics = notifying.get("/metrics")
    assert 'tocsin_deliveries_total{outcome="failed",sink="ops/webhook/0"} 1.0' in metrics
    assert 'tocsin_delivery_retries_total{sink="ops/webhook/0"} 2.0' in metrics


def test_kill_9_at_any_moment_loses_no_notification_and_repeats_none_under_another_id(notifying: Notifying) -> None:
    notifying.configure(
        {"route": {**QUICK, "max_groups": 1000}, "receivers": [{"name": "ops", "webhook": [notifying.webhook()]}]}
    )
    names = [f"s{number}" for number in range(40)]
    process = notifying.start()
    notifying.wait_until_active()
    for start, so_far in ((0, 5), (20, 25)):
        notifying.fire(*names[start : start + 20])
        notifying.until(lambda so_far=so_far: len(notifying.hook.told) >= so_far, "some notifications")
        process.send_signal(signal.SIGKILL)
        process.wait()
        process = notifying.start()

    def known(state: str) -> set[str]:
        return {one["alert_id"] for n in notifying.hook.told for one in n["alerts"] if one["state"] == state}

    notifying.until(lambda: known("firing") == set(names), "each of them", 60)
    notifying.resolve(*names)
    notifying.until(lambda: known("resolved") == set(names), "the end of each", 60)
    ids = {headers["webhook-id"]: body for headers, body in notifying.hook.requests}
    told = Counter((a["alert_id"], a["state"]) for body in ids.values() for a in json.loads(body)["alerts"])
    assert told == Counter({(name, state): 1 for name in names for state in ("firing", "resolved")})
    # What a sink had taken and was not yet written down when the process was killed comes again: one for each kill.
    assert len(notifying.hook.requests) - len(ids) <= 2
    assert set(notifying.notifications()) == set(ids)


def test_another_process_stands_by_and_takes_over(notifying: Notifying) -> None:
    notifying.configure({"route": QUICK, "receivers": [{"name": "ops", "webhook": [notifying.webhook()]}]})
    first = notifying.start()
    notifying.wait_until_active()
    notifying.start()
    notifying.until(lambda: "notifier_started" in notifying.log.read_text().split("notifier_active")[-1], "the second")
    notifying.fire("a")
    notifying.until(lambda: len(notifying.hook.told) == 1, "the alert")
    first.terminate()
    assert first.wait(20) == 0
    notifying.wait_until_active(1)
    notifying.resolve("a")
    notifying.until(lambda: len(notifying.hook.told) == 2, "its end")
    assert [one["status"] for one in notifying.hook.told] == ["firing", "resolved"]


def test_a_silence_of_the_command_line_silences_and_the_log_names_it(notifying: Notifying) -> None:
    notifying.configure({"route": QUICK, "receivers": [{"name": "ops", "webhook": [notifying.webhook()]}]})
    said = ("silence", "add", 'source="a"', "--until-resolved", "--comment", "works", "--by", "ann", "--json")
    silence = json.loads(notifying.service.tocsin(*said).stdout)
    notifying.start()
    notifying.wait_until_active()
    notifying.fire("a", "b")
    notifying.until(lambda: notifying.hook.told, "the other one")
    by = {"kind": "silence", "id": silence["silence_id"], "because": "ann: works"}
    noted = [one for one in notifying.notifications().values() if one["status"] == "suppressed"]
    assert [one["suppressed"][0]["by"] for one in noted] == [[by]]
    notifying.resolve("a")

    def listed() -> list[str]:
        shown = json.loads(notifying.service.tocsin("silence", "list", "--all", "--json").stdout)
        return [change["by"] for one in shown for change in one["history"]]

    notifying.until(lambda: listed() == ["ann", "tocsin"], "the silence has ended by itself")
    notifying.fire("c", source="a")
    notifying.until(lambda: len(notifying.hook.told) == 2, "the next alert of the source")
    assert [one["alerts"][0]["alert_id"] for one in notifying.hook.told] == ["b", "c"]


TOPOLOGY = {"sources": [{"match": r"web-\d+", "depends_on": ["db"]}, {"match": "db", "owner": "team-db"}]}
RUNBOOKS = [{"name": "undo", "source": "db", "changes": ["deploy"], "steps": ["roll back"]}]
AT_ONCE = {"settle": 1.0, "lateness": 0.5, "publish_every": 1.0, "topology": TOPOLOGY, "runbooks": RUNBOOKS}


def incidents(notifying: Notifying) -> list[dict[str, object]]:
    return [json.loads(record.value) for record in notifying.service.read("incidents")]


def test_alerts_of_one_cause_are_one_incident_that_is_told_once_with_its_cause_and_its_end(
    notifying: Notifying,
) -> None:
    notifying.configure(
        {"tell": "incidents", "route": QUICK, "receivers": [{"name": "ops", "webhook": [notifying.webhook()]}]},
        incidents=AT_ONCE,
    )
    notifying.start()
    notifying.wait_until_active()
    change = {"change_id": "d42", "kind": "deploy", "source": "db", "timestamp": time.time() - 5}
    notifying.service.produce("changes", [("db", {**change, "summary": "version 2"}), ("db", b"{")])
    names = ["db", *(f"web-{number}" for number in range(5))]
    notifying.fire(*names, updated_at=time.time())
    notifying.until(lambda: notifying.hook.told, "the incident")
    (alert,) = notifying.hook.told[0]["alerts"]
    assert (alert["kind"], alert["source"], alert["owner"]) == ("incident", "db", "team-db")
    assert "6 sources: 6 alerts" in alert["summary"]
    assert "after deploy d42" in alert["summary"]
    (cause, *_), (advice,) = alert["incident"]["causes"], alert["incident"]["advice"]
    assert (cause["source"], cause["change_id"], advice["steps"]) == ("db", "d42", ["roll back"])
    assert "what to do about db (undo): roll back" in notifying.hook.told[0]["body"]
    order = {"incident_id": alert["alert_id"], "command": "acknowledge", "by": "ann", "timestamp": time.time()}
    notifying.service.produce("commands", [(alert["alert_id"], order)])
    notifying.until(lambda: incidents(notifying)[-1]["state"] == "acknowledged", "the acknowledgement")
    notifying.resolve(*names, updated_at=time.time())
    notifying.until(lambda: len(notifying.hook.told) == 2, "its end")
    assert [one["status"] for one in notifying.hook.told] == ["firing", "resolved"]
    assert [one["state"] for one in incidents(notifying)] == ["open", "acknowledged", "resolved"]


def test_kill_9_loses_no_incident_and_says_no_version_twice(notifying: Notifying) -> None:
    notifying.configure({"route": QUICK, "receivers": [{"name": "ops"}]}, incidents=AT_ONCE)
    process = notifying.start()
    notifying.wait_until_active()
    for start in range(0, 30, 10):
        notifying.fire(*(f"web-{number}" for number in range(start, start + 10)), updated_at=time.time())
        notifying.until(lambda start=start: len(incidents(notifying)) > start // 10, "another value")
        process.send_signal(signal.SIGKILL)
        process.wait()
        process = notifying.start()
    notifying.until(lambda: incidents(notifying)[-1]["alert_count"] == 30, "all alerts", 60)
    notifying.resolve(*(f"web-{number}" for number in range(30)), updated_at=time.time())
    notifying.until(lambda: incidents(notifying)[-1]["state"] == "resolved", "the end", 60)
    versions = [one["version"] for one in incidents(notifying)]
    assert versions == list(range(1, len(versions) + 1))
    assert len({one["incident_id"] for one in incidents(notifying)}) == 1
