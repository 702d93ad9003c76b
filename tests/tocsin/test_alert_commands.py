"""`tocsin alerts` as its users type it, against Apache Kafka itself."""

from __future__ import annotations

import json

from alerts.alert import Alert, Severity, State, Transition

ALERT = Alert(
    alert_id="1a3d",
    stream="telemetry",
    source="pump-7",
    kind="spike",
    state=State.FIRING,
    severity=Severity.WARNING,
    started_at=0.0,
    fired_at=0.0,
    updated_at=0.0,
    anomaly_score=0.9,
    p_value=1e-5,
    summary="pump-7: x jumped [to] 93",
    owner="plant-a",
    history=(Transition(state=State.FIRING, at=0.0),),
)


def test_alerts_are_listed_shown_and_acknowledged(tocsin):
    over = ALERT.model_copy(update={"alert_id": "2b4e", "state": State.RESOLVED})
    tocsin.send("alerts", ALERT.encode(), key=b"1a3d")
    tocsin.send("alerts", over.encode(), key=b"2b4e")
    listed = tocsin("alerts", "list").stdout
    assert "1a3d" in listed and "x jumped [to] 93" in listed and "2b4e" not in listed
    shown = tocsin("alerts", "show", "1a").stdout.splitlines()
    assert shown == ["1a3d firing warning", ALERT.summary, "owner: plant-a", "  1970-01-01T00:00:00.000Z firing"]
    assert tocsin("alerts", "ack", "1a3d", "--by", "ann", "--comment", "mine").returncode == 0
    (command,) = tocsin.records("commands")
    sent = json.loads(command.value)
    assert command.key == b"1a3d"
    assert (sent["command"], sent["source"], sent["by"], sent["comment"]) == ("acknowledge", "pump-7", "ann", "mine")


def test_what_an_alert_cannot_take_is_refused_with_the_reason(tocsin):
    tocsin.send("alerts", ALERT.model_copy(update={"state": State.RESOLVED}).encode(), key=b"1a3d")
    refused = tocsin("alerts", "ack", "1a3d")
    assert refused.returncode == 1
    assert refused.stderr == "tocsin: alert 1a3d is resolved: only alerts that go on take commands\n"
    assert tocsin("alerts", "show", "77").stderr == (
        "tocsin: there is no alert '77'; `tocsin alerts list --all` lists them\n"
    )
