"""The demo: its simulator, its scenes, what it knows to be wrong, and its summary."""

from __future__ import annotations

import itertools
import json
import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from alerts.alert import iso
from streams.codec import Rejected, decode
from streams.schemas import EventLimits, LabelEvent, TelemetryEvent, TransactionEvent
from streams.settings import KafkaSettings
from streams.telemetry_settings import TelemetrySettings
from tocsin.broker.private import private_prefix
from tocsin.cli import run
from tocsin.config import Configuration
from tocsin.config.load import load_settings
from tocsin.demo import scenes
from tocsin.demo.cards import DAY, CardSimulator
from tocsin.demo.machine import HostSampler, Load
from tocsin.demo.settings import worker_environment
from tocsin.demo.summary import summarise
from tocsin.demo.truth import WATER_SEGMENTS, Segment, Truth

LIMITS = EventLimits()


@pytest.fixture(scope="module")
def simulator() -> CardSimulator:
    return CardSimulator(seed=7, days=90, customers=150, terminals=300)


def fired(source: str, at: float, kind: str = "spike", **other: Any) -> dict[str, Any]:
    stream = "transactions" if kind == "fraud" else "telemetry"
    name = f"{source}/{kind}/{at}"
    return {
        "alert_id": name,
        "stream": stream,
        "source": source,
        "kind": kind,
        "started_at": iso(at),
        "fired_at": iso(at),
    } | other


def leaking_pump(*, complete: bool = True) -> Truth:
    truth = Truth()
    truth.mark("pump", [Segment(100.0, 200.0, "a leak"), Segment(900.0, 950.0, "another")], 10.0, complete=complete)
    return truth


def test_the_same_seed_simulates_the_same_payments() -> None:
    one, same, other = (CardSimulator(seed=seed, days=10, customers=20, terminals=40) for seed in (1, 1, 2))
    assert one.payments == same.payments
    assert one.payments != other.payments


def test_all_three_kinds_of_fraud_happen_and_are_rare(simulator: CardSimulator) -> None:
    scenarios = Counter(payment.scenario for payment in simulator.payments)
    assert set(scenarios) == {0, 1, 2, 3}
    assert scenarios[0] > 0.8 * len(simulator.payments)


def test_a_compromised_terminal_stays_so_for_28_days(simulator: CardSimulator) -> None:
    hit = [payment for payment in simulator.payments if payment.scenario == 2]
    for terminal in {payment.terminal for payment in hit}:
        days = sorted({int((p.time - simulator.start.timestamp()) // DAY) for p in hit if p.terminal == terminal})
        honest = [
            p
            for p in simulator.payments
            if p.terminal == terminal
            and p.scenario == 0
            and any(abs(int((p.time - simulator.start.timestamp()) // DAY) - day) < 1 for day in days)
        ]
        assert not honest


def test_labels_come_after_their_delay_and_tell_the_truth(simulator: CardSimulator) -> None:
    paid = {payment.transaction_id: payment for payment in simulator.payments}
    labels = [(key, time, value) for topic, key, time, value in simulator.messages() if topic == "labels"]
    assert len(labels) == len(paid)
    for key, time, value in labels:
        assert time == paid[key].time + 7 * DAY
        assert value["label"] == simulator.is_fraud(key) == (paid[key].scenario > 0)


def test_transactions_and_labels_come_in_the_order_of_time(simulator: CardSimulator) -> None:
    times = [time for _, _, time, _ in simulator.messages()]
    assert times == sorted(times)


@pytest.mark.parametrize("scene", [scenes.water, scenes.shuttle, scenes.cards])
def test_every_scene_sends_events_that_the_service_takes(scene: Any) -> None:
    models = {"telemetry": TelemetryEvent, "transactions": TransactionEvent, "labels": LabelEvent}
    names = {"telemetry": "source", "transactions": "account", "labels": "id"}
    newest: dict[tuple[str, str], float] = {}
    at = 0.0
    for message in itertools.islice(scene(30.0, Truth()), 6000):
        event = decode(models[message.topic], message.value, LIMITS)
        assert not isinstance(event, Rejected), event
        assert message.key == getattr(event, names[message.topic])
        assert event.time >= newest.get((message.topic, message.key), event.time) - LIMITS.max_late
        newest[message.topic, message.key] = event.time
        assert at <= message.at < 30.0
        at = message.at


def test_every_broken_event_is_refused() -> None:
    truth = Truth()
    messages = list(scenes.broken(30.0, truth))
    assert truth.broken == len(messages) == 21
    refused = [decode(TelemetryEvent, message.value, LIMITS) for message in messages]
    ahead = [event for event in refused if not isinstance(event, Rejected)]
    assert all(event.timestamp.year == 2999 for event in ahead)
    assert len({event.reason for event in refused if isinstance(event, Rejected)}) >= 4


def test_a_replay_under_another_name_is_another_source() -> None:
    truth = Truth()
    keys = {message.key for message in itertools.islice(scenes.cards(1.0, truth, days=20, suffix="-b"), 500)}
    assert all(key.endswith("-b") for key in keys)
    assert all(name.endswith("-b") for name in truth.frauds)


def test_the_shuttles_labelled_records_come_in_five_marked_episodes() -> None:
    truth = Truth()
    times = [json.loads(message.value)["timestamp"] for message in scenes.shuttle(1.0, truth)]
    segments = truth.marks["shuttle"].segments
    assert len(segments) == scenes.SHUTTLE_EPISODES
    assert {segment.end - segment.start + 1 for segment in segments} == {scenes.SHUTTLE_EPISODE_RECORDS}
    assert len(times) == len(set(times))


def test_the_marks_of_the_water_network_lie_where_its_flow_is_unusual() -> None:
    truth = Truth()
    events = [json.loads(message.value) for message in scenes.water(1.0, truth)]
    flow = {e["timestamp"]: e["values"]["flow"] for e in events}
    low = [iso(s.start).replace(".000Z", "+00:00") for s in WATER_SEGMENTS if "low" in s.what]
    assert all(min(v for t, v in flow.items() if start <= t <= start[:8] + "99") < 30 for start in low)
    peak = next(s for s in WATER_SEGMENTS if "peak" in s.what)
    highest = max(flow, key=lambda time: flow[time])
    assert iso(peak.start)[:19] <= highest[:19] <= iso(peak.end)[:19]


@pytest.mark.parametrize(("at", "verdict"), [(100.0, "true"), (205.0, "true"), (99.0, "false"), (211.0, "false")])
def test_an_alert_is_right_if_it_fires_within_a_marked_segment(at: float, verdict: str) -> None:
    assert leaking_pump().verdict(fired("pump", at)) == verdict


def test_a_long_alert_does_not_find_a_segment_that_begins_later() -> None:
    judged = leaking_pump().judge([fired("pump", 50.0, resolved_at=iso(150.0))])
    assert (judged.found, judged.false) == (0, 1)


def test_several_alerts_of_one_segment_find_it_once() -> None:
    judged = leaking_pump().judge([fired("pump", 110.0), fired("pump", 111.0, "level")])
    assert (judged.total, judged.found, judged.true) == (2, 1, 2)


def test_alerts_of_what_nobody_has_marked_are_not_judged() -> None:
    assert Truth().verdict(fired("fan", 1.0)) == "unjudged"
    assert leaking_pump(complete=False).verdict(fired("pump", 500.0)) == "unjudged"


def test_an_alert_of_silence_is_right_where_the_recording_has_a_gap() -> None:
    truth = Truth()
    truth.note_times("pump", [0.0, 60.0, 120.0, 4000.0, 4060.0])
    assert truth.verdict(fired("pump", 900.0, "silence", started_at=iso(120.0))) == "true"
    assert truth.verdict(fired("pump", 70.0, "silence", started_at=iso(60.0))) == "false"


def test_a_fraud_alert_is_right_if_the_payment_that_began_it_is_a_fraud() -> None:
    truth = Truth()
    truth.payment("tx-1", "card-1", 100.0, fraud=True)
    truth.payment("tx-2", "card-1", 200.0, fraud=False)
    assert truth.verdict(fired("card-1", 100.0, "fraud")) == "true"
    assert truth.verdict(fired("card-1", 200.0, "fraud")) == "false"


class Seen:
    """What an observer has seen."""

    def __init__(self, alerts: Iterable[dict[str, Any]], decisions: dict[str, str], latencies: list[float]) -> None:
        self.alerts = {alert["alert_id"]: alert for alert in alerts}
        self.decisions, self.latencies = decisions, latencies
        self.dead_letters = Counter(not_json=2, wrong_type=1)


def summary(latencies: list[float]) -> dict[str, Any]:
    truth = leaking_pump()
    truth.payment("tx-1", "card-1", 100.0, fraud=True)
    truth.payment("tx-2", "card-1", 200.0, fraud=False)
    alerts = [fired("pump", 110.0), fired("pump", 500.0), fired("card-1", 100.0, "fraud")]
    seen = Seen(alerts, {"tx-1": "decline", "tx-2": "review"}, latencies)
    return summarise(truth, seen, events=10, seconds=2.0)  # type: ignore[arg-type]


def test_the_summary_says_what_was_found_and_what_was_false() -> None:
    said = summary([0.1, 0.1, 0.3])
    assert said["alerts"] == 3
    assert said["alerts_by_kind"] == {"fraud": 1, "spike": 2}
    assert (said["true_alerts"], said["false_alerts"]) == (2, 1)
    assert said["known_anomalies"] == {"total": 2, "found": 1}
    assert said["frauds"] == {"total": 1, "found": 1, "false": 1}
    assert said["dead_letters"] == 3
    assert said["event_to_alert_seconds"]["p50"] == 0.1
    assert json.loads(json.dumps(said)) == said


def test_without_alerts_there_is_no_latency() -> None:
    assert summary([])["event_to_alert_seconds"] == {"p50": None, "p99": None}


def test_the_worker_runs_on_the_defaults_whatever_is_configured_around_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    around = {"TOCSIN_TELEMETRY__SCORES": "all", "TOCSIN_CONFIG": "/no/such.yaml", "KAFKA_BOOTSTRAP": "other:9092"}
    for name, value in around.items():
        monkeypatch.setenv(name, value)
    environment = worker_environment(os.environ, KafkaSettings(bootstrap_servers="localhost:1"), 8123)
    configuration = load_settings(Configuration, environment=environment)
    assert configuration.telemetry == TelemetrySettings()
    assert configuration.kafka.bootstrap_servers == "localhost:1"
    assert configuration.http.port == 8123


def test_how_to_reach_an_existing_kafka_is_passed_on_to_the_worker(tmp_path: Path) -> None:
    kafka = KafkaSettings(
        bootstrap_servers="kafka:9092",
        topic_prefix=private_prefix("plant-", "demo"),
        security_protocol="SASL_SSL",
        username="me",
        password=SecretStr("secret"),
        check_hostname=False,
    )
    environment = worker_environment({}, kafka, 8123)
    assert load_settings(Configuration, environment=environment).kafka == kafka


def test_the_machine_is_read_as_finite_numbers() -> None:
    sampler = HostSampler()
    sampler.read()
    assert all(value >= 0 for value in sampler.read().values())


def test_the_load_can_be_ended_early() -> None:
    load = Load(60.0)
    assert not load.over()
    load.stop()
    assert load.over()


def test_keep_and_produce_to_exclude_each_other(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["demo", "--keep", "--produce-to", "localhost:1"]) == 2
    assert "--keep" in capsys.readouterr().err
