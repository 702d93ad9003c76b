"""The commands that speak to Kafka, each as a user types it, against Apache Kafka itself."""

from __future__ import annotations

import json
import signal
import subprocess
import sys

INPUTS_AND_OUTPUTS = {
    "telemetry",
    "transactions",
    "labels",
    "changes",
    "policies",
    "commands",
    "rules",
    "lists",
    "artefacts",
    "promotions",
    "silences",
    "scores",
    "decisions",
    "models",
    "forecasts",
    "failures",
    "alerts",
    "incidents",
    "actions",
    "notifications",
    "dead-letters",
}


def test_topics_are_created_once(tocsin):
    again = tocsin("topics", "create", "--json")
    assert again.returncode == 0
    assert json.loads(again.stdout) == {tocsin.prefix + name: False for name in INPUTS_AND_OUTPUTS}


def test_topics_are_listed_for_people_and_for_programs(tocsin):
    tocsin.send("telemetry", {"a": 1}, {"a": 2})
    listed = {topic["topic"]: topic for topic in json.loads(tocsin("topics", "list", "--json").stdout)}
    assert set(listed) == {tocsin.prefix + name for name in INPUTS_AND_OUTPUTS}
    assert listed[f"{tocsin.prefix}telemetry"] == {
        "topic": f"{tocsin.prefix}telemetry",
        "partitions": 3,
        "replicas": 1,
        "records": 2,
    }
    assert f"{tocsin.prefix}telemetry" in tocsin("topics", "list").stdout


def test_check_connects(tocsin):
    assert tocsin("check", "--connect").stdout == "the configuration is valid; 1 Kafka broker answered\n"
    assert json.loads(tocsin("check", "--connect", "--json").stdout) == {"ok": True, "brokers": 1}


def test_tail_shows_all_that_is_there(tocsin):
    tocsin.send("alerts", *({"n": n} for n in range(5)))
    shown = tocsin("tail", "alerts", "--until-end", "--json")
    assert shown.returncode == 0, shown.stderr
    assert sorted(json.loads(line)["n"] for line in shown.stdout.splitlines()) == [0, 1, 2, 3, 4]


def test_tail_of_an_empty_topic_ends_at_once(tocsin):
    shown = tocsin("tail", "alerts", "--until-end")
    assert (shown.returncode, shown.stdout) == (0, "")


def test_tail_ends_after_the_number_asked_for(tocsin):
    tocsin.send("alerts", *({"n": n} for n in range(5)))
    assert len(tocsin("tail", "alerts", "--from-beginning", "-n", "2", "--json").stdout.splitlines()) == 2


def test_tail_follows_what_comes_and_ends_with_ctrl_c(tocsin):
    tocsin.send("alerts", {"n": "before"}, key=b"k")
    following = tocsin.start("tail", "alerts", "--json")
    assert following.stderr is not None
    assert "waiting" in following.stderr.readline()
    tocsin.send("alerts", {"n": "after"}, key=b"k")
    assert following.stdout is not None
    assert json.loads(following.stdout.readline()) == {"n": "after"}
    following.send_signal(signal.SIGINT)
    assert following.wait(timeout=20) == 0
    assert following.stderr.read() == ""


def test_tail_gives_programs_the_position_and_key_too(tocsin):
    tocsin.send("alerts", {"n": 1}, key=b"k")
    record = json.loads(tocsin("tail", "alerts", "--until-end", "--json", "--envelope").stdout)
    assert record.pop("timestamp").endswith("Z")
    assert record.pop("partition") in range(3)
    assert record == {
        "topic": f"{tocsin.prefix}alerts",
        "offset": 0,
        "key": "k",
        "headers": {},
        "value": {"n": 1},
    }


def test_tail_shows_whatever_bytes_there_are(tocsin):
    tocsin.send("alerts", b"\xff\xfe", b'{"x": NaN}', None, b"plain", key=b"k")
    shown = tocsin("tail", "alerts", "--until-end", "--json").stdout.splitlines()
    assert [json.loads(line) for line in shown] == ["base64://4=", '{"x": NaN}', None, "plain"]


def test_an_alert_is_one_line_for_people(tocsin):
    alert = {"alert_id": "a", "state": "firing", "severity": "critical", "source": "pump-7", "kind": "spike"}
    tocsin.send("alerts", alert | {"summary": "pump-7: temperature jumped to 90, above the expected 71."})
    (line,) = tocsin("tail", "alerts", "--until-end").stdout.splitlines()
    assert line.endswith("firing critical pump-7 spike pump-7: temperature jumped to 90, above the expected 71.")


def test_tail_into_a_reader_that_leaves_ends_in_peace(tocsin):
    tocsin.send("alerts", *({"n": n} for n in range(2000)))
    line = f"{sys.executable} -m tocsin tail alerts --from-beginning --json | head -n 1"
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {line}"],
        env=tocsin.environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "waiting for records of alerts; Ctrl-C ends\n")


def test_an_unknown_topic_names_those_there_are(tocsin):
    shown = tocsin("tail", "alarms")
    assert shown.returncode == 1
    assert f"there is no topic {tocsin.prefix}alarms" in shown.stderr
    assert f"{tocsin.prefix}alerts" in shown.stderr


def test_a_label_goes_to_its_topic_as_it_was_said(tocsin):
    said = tocsin("label", "leak-42", "--true", "--by", "ann", "--source", "pump-7", "--at", "2026-01-02T03:04:05Z")
    assert said.stdout == f"leak-42 is labelled true, sent to topic {tocsin.prefix}labels\n"
    (line,) = tocsin("tail", "labels", "--until-end", "--json").stdout.splitlines()
    label = json.loads(line)
    assert label.pop("timestamp") > 1.7e9
    assert label == {"id": "leak-42", "label": True, "by": "ann", "source": "pump-7", "at": "2026-01-02T03:04:05Z"}
