"""`tocsin produce`, as a user types it, against Apache Kafka itself."""

from __future__ import annotations

import json

from kafka.partitioner.default import murmur2

from streams.replay import find_recordings
from tests.tocsin.conftest import PARTITIONS, CommandLine


def partition_of(key: bytes) -> int:
    """What Kafka's own clients choose."""
    return int((murmur2(key) & 0x7FFFFFFF) % PARTITIONS)


def test_telemetry_is_sent_with_the_source_as_key_as_the_backtest_replays_it(tocsin):
    rows = "\n".join(f"2026-01-01 00:0{minute}:00,pump-{pump},{minute}.5" for minute in range(9) for pump in range(4))
    (tocsin.folder / "pumps.csv").write_text(f"timestamp,source,level\n{rows}\n")
    done = tocsin("produce", "telemetry", "pumps.csv", "--json")
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert (summary["topic"], summary["events"]) == (f"{tocsin.prefix}telemetry", 36)
    (replayed,) = find_recordings([tocsin.folder / "pumps.csv"])[0].rows()
    expected = [(name.encode(), event) for name, event in zip(replayed.sources, replayed.events, strict=True) if name]
    records = tocsin.records("telemetry")
    assert sorted((record.key, record.value) for record in records) == sorted(expected)
    assert all(record.partition == partition_of(record.key) for record in records)
    for pump in range(4):
        key = f"pump-{pump}".encode()
        assert [r.value for r in records if r.key == key] == [value for name, value in expected if name == key]


def test_a_folder_is_sent_whole(tocsin):
    for name in ("a/x.csv", "b/x.csv"):
        (tocsin.folder / "in" / name).parent.mkdir(parents=True)
        (tocsin.folder / "in" / name).write_text("time;x;label\n1;1;0\n2;2;1\n")
    done = tocsin("produce", "telemetry", "in", "--exclude", "label")
    assert "4 events in" in done.stdout, done.stderr
    events = [json.loads(record.value) for record in tocsin.records("telemetry")]
    assert sorted((event["source"], event["values"]["x"]) for event in events) == [
        ("a/x", 1.0),
        ("a/x", 2.0),
        ("b/x", 1.0),
        ("b/x", 2.0),
    ]


def test_lines_of_json_are_sent_as_they_are_even_broken_ones(tocsin):
    lines = ['{"source": "s", "timestamp":1, "values": {"x": 1e0}}', "{broken", '{"timestamp": 2}']
    done = tocsin("produce", "telemetry", "-", input="\n".join(lines) + "\n\n")
    assert done.returncode == 0, done.stderr
    sent = {record.value.decode(): record.key for record in tocsin.records("telemetry")}
    assert sent == {lines[0]: b"s", lines[1]: None, lines[2]: None}


PAYMENTS = "ref,time,card,merchant,amount,is_fraud\nt2,2026-01-02,ann,m,2,1\nt1,2026-01-01,ann,m,1,0\n"


def test_transactions_are_sent_in_the_order_of_their_times_with_the_account_as_key(tocsin):
    (tocsin.folder / "payments.csv").write_text(PAYMENTS)
    done = tocsin("produce", "transactions", "payments.csv", "--id", "ref")
    assert done.returncode == 0, done.stderr
    records = tocsin.records("transactions")
    assert [json.loads(record.value)["transaction_id"] for record in records] == ["t1", "t2"]
    assert {(record.key, record.partition) for record in records} == {(b"ann", partition_of(b"ann"))}
    assert json.loads(records[0].value) == {
        "transaction_id": "t1",
        "timestamp": "2026-01-01",
        "account": "ann",
        "counterparty": "m",
        "amount": 1.0,
    }


def test_columns_that_declared_features_go_by_are_sent_as_attributes_and_others_on_request(tocsin):
    (tocsin.folder / "tocsin.yaml").write_text("transactions: {features: [{key: device, of: since_last}]}\n")
    rows = "id,time,card,merchant,amount,device,points,shift\nt1,2026-01-01,ann,m,1,007,3,late\n"
    (tocsin.folder / "payments.csv").write_text(rows)
    done = tocsin("produce", "transactions", "payments.csv", "--config", "tocsin.yaml", "--attribute", "points")
    assert done.returncode == 0, done.stderr
    (event,) = [json.loads(record.value) for record in tocsin.records("transactions")]
    assert (event["device"], event["points"], "shift" in event) == ("007", 3, False)


def test_labels_of_transactions_are_sent_with_their_delay(tocsin):
    (tocsin.folder / "payments.csv").write_text(PAYMENTS)
    done = tocsin("produce", "labels", "payments.csv", "--id", "ref", "--label-delay", "7d")
    assert done.returncode == 0, done.stderr
    labels = {record.key: json.loads(record.value) for record in tocsin.records("labels")}
    assert labels == {
        b"t1": {"id": "t1", "label": False, "timestamp": "2026-01-08T00:00:00.000+00:00"},
        b"t2": {"id": "t2", "label": True, "timestamp": "2026-01-09T00:00:00.000+00:00"},
    }


def test_events_come_at_the_rate_that_was_asked_for(tocsin):
    lines = "".join(f'{{"source": "s", "timestamp": {n}, "values": {{"x": 1}}}}\n' for n in range(21))
    done = tocsin("produce", "telemetry", "-", "--rate", "20", "--json", input=lines)
    assert json.loads(done.stdout)["seconds"] >= 1.0
    sent_at = [record.timestamp for record in tocsin.records("telemetry")]
    assert sent_at[-1] - sent_at[0] >= 950


def test_a_topic_that_is_not_there_is_named_with_what_creates_it(kafka, tmp_path):
    command = CommandLine(kafka.bootstrap_servers, "nobody-made-", tmp_path)
    done = command("produce", "telemetry", "-", input="{}\n")
    assert done.returncode == 1
    assert done.stderr == "tocsin: there is no topic nobody-made-telemetry; `tocsin topics create` creates it\n"


def test_a_file_that_is_not_there_or_no_table_is_wrong_usage(tocsin):
    (tocsin.folder / "x.csv").write_text("a,b\n1,2\n")
    for name, said in (("nowhere.csv", "there is no such file"), ("x.csv", "Name it with --time")):
        done = tocsin("produce", "telemetry", name)
        assert done.returncode == 2
        assert said in done.stderr
        assert len(done.stderr.splitlines()) == 1
