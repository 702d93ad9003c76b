"""A backtest of sources that share a budget and teach each other is the live run, event for event."""

from __future__ import annotations

import csv
import json
import random
from pathlib import Path
from typing import Any

import pytest

from alerts.policy import BudgetLimits, Policy
from streams.backtest import backtest_telemetry
from streams.partitioner import partition_of
from streams.peers import PeerSettings
from streams.processor import Record
from streams.replay import TelemetryColumns, find_recordings
from streams.telemetry import TelemetryProcessor
from streams.telemetry_settings import TelemetrySettings
from tests.streams.told import Told


def configured(attribute: str) -> TelemetrySettings:
    return TelemetrySettings(
        policy=Policy(budget=BudgetLimits(per_source_a_day=2, per_stream_a_day=9)),
        peers=PeerSettings(attribute=attribute, after_events=5, refresh_events=20, priors=2, types=2, step=32),
        scores="all",
    )


def recording(path: Path, attribute: str) -> Path:
    chance = random.Random(5)
    with path.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["timestamp", "source", attribute, "p", "x"])
        for row in range(12_000):
            number = chance.randrange(3 + row // 400)
            p = chance.choice([1.0] * 7 + [10 ** chance.uniform(-9, -4)])
            kind = ["pump", "fan", ""][number % 3]
            table.writerow([1_767_225_600 + row * 60, f"s{number}", kind, p, chance.gauss(10 * (number % 3), 1)])
    return path


def told(score: dict[str, Any]) -> tuple[Any, ...]:
    expected = score["values"]["x"]["expected"]
    missing = "; ".join(score.get("missing", ()))
    return score["source"], score["alert"], score["p_value"], score["warm_up"], missing, score.get("held", ""), expected


def live(path: Path, found: TelemetrySettings, partitions: int) -> tuple[list[tuple[Any, ...]], list[bytes]]:
    columns = TelemetryColumns(attributes=(found.peers.attribute,))
    records: list[list[Record]] = [[] for _ in range(partitions)]
    place: dict[tuple[int, int], int] = {}
    for rows in find_recordings([path], columns)[0].rows():
        for source, event in zip(rows.sources, rows.events, strict=True):
            number = partition_of(source, partitions)
            place[number, len(records[number])] = len(place)
            records[number].append(Record("telemetry", number, len(records[number]), 2e9, None, event))
    scores, alerts = {}, []
    for number, found_here in enumerate(records):
        processor = TelemetryProcessor(found, number, {}, Told, partitions=partitions)
        for start in range(0, len(found_here), 77):
            for output in processor.process(found_here[start : start + 77]).outputs:
                row = place[number, output.cause.offset]
                if output.topic == "scores":
                    scores[row] = told(json.loads(output.value))
                elif output.topic == "alerts":
                    alerts.append((row, output.value))
    return [scores[row] for row in sorted(scores)], [value for _, value in sorted(alerts, key=lambda alert: alert[0])]


@pytest.mark.parametrize(("partitions", "attribute"), [(1, "type"), (3, "model")])
def test_a_backtest_gives_the_scores_and_alerts_of_the_live_run(tmp_path, partitions, attribute):
    path, found = recording(tmp_path / "plant.csv", attribute), configured(attribute)
    changes = tmp_path / "alerts.jsonl"
    backtest_telemetry([path], tmp_path / "out.csv", found, Told, partitions=partitions, alerts=changes)
    with (tmp_path / "out.csv").open(newline="") as file:
        offline = [
            (
                row["source"],
                int(row["alert"]),
                float(row["p_value"]),
                float(row["warm_up"]),
                row["missing"],
                row["held"],
                float(row["expected"]) if row["expected"] else None,
            )
            for row in csv.DictReader(file)
        ]
    scores, alerts = live(path, found, partitions)
    assert offline == scores
    assert changes.read_bytes().splitlines() == alerts
    assert {held for *_, held, _ in scores} == {"", "source_budget", "stream_budget"}
