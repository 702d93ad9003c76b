"""What is usual depends on the hour, the day of the week, the time zone, or a period that is found in the values."""

from __future__ import annotations

import math
import random
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from detectors.auto import Auto
from detectors.signals.season import Season

HOUR = 3600.0


def test_auto_finds_a_missing_daily_peak():
    detector, chance = Auto(), random.Random(8)

    def usual(hour: int) -> float:
        return 20 + 15 * max(0.0, math.sin((hour % 24 - 6) / 12 * math.pi)) + chance.gauss(0, 0.5)

    for hour in range(24 * 30):
        detector.process_one({"x": usual(hour)}, HOUR * hour)
    found = [detector.process_one({"x": chance.gauss(20, 0.5)}, HOUR * (24 * 30 + hour)) for hour in range(24)]
    assert min(score.p_value for score in found[:6]) > 1e-3
    assert min(score.p_value for score in found[6:12]) <= 1e-3
    assert found[12].values["x"].expected == pytest.approx(35, abs=1)


def test_auto_finds_a_day_off_that_is_busy():
    detector, chance = Auto(), random.Random(8)

    def load(hour: int, busy: int) -> float:
        return (30 if hour // 24 % 7 < busy and 8 <= hour % 24 < 18 else 5) + chance.gauss(0, 1)

    weeks = [detector.process_one({"x": load(hour, 5)}, HOUR * hour) for hour in range(24 * 7 * 8)]
    assert sum(score.p_value <= 0.01 for score in weeks[-24 * 14 :]) <= 5
    start = 24 * 7 * 8
    last = [detector.process_one({"x": load(hour, 6)}, HOUR * hour) for hour in range(start, start + 24 * 6)]
    assert all(score.p_value > 2e-3 for score in last[: 24 * 5 + 8])
    assert last[24 * 5 + 8].p_value <= 2e-3
    assert last[24 * 5 + 8].values["x"].expected < 10


@pytest.mark.parametrize(("timezone", "follows"), [("Europe/Berlin", True), ("UTC", False)])
def test_eight_o_clock_stays_eight_o_clock_in_summer(timezone, follows):
    zone, chance = ZoneInfo("Europe/Berlin"), random.Random(4)
    detector, expected = Auto(timezone=timezone), {}
    start = datetime(2024, 1, 8, tzinfo=UTC).timestamp()
    for hour in range(24 * 90):  # daylight saving time begins on the 31st of March
        local = datetime.fromtimestamp(start + HOUR * hour, zone)
        usual = 40 if 8 <= local.hour < 18 else 10
        score = detector.process_one({"x": usual + chance.gauss(0, 1)}, start + HOUR * hour)
        if (local.month, local.day) == (4, 1):
            expected[local.hour] = score.values["x"].expected
    assert (expected[8] > 35 and expected[18] < 15) == follows
    assert expected[12] > 35


def test_a_time_zone_that_there_is_not_is_refused():
    with pytest.raises(ValueError, match="Europe/Berlin"):
        Auto(timezone="Europe/Nowhere")


def test_a_period_is_found_in_the_values_and_a_break_of_it_seen():
    detector, signal, chance = Auto(), Season(), random.Random(5)

    def wave(i: int) -> float:
        return 5 * math.sin(i / 50 * 2 * math.pi) + chance.gauss(0, 0.3)

    usual = []
    for i in range(4000):
        x = {"x": wave(i)}
        usual.append(detector.process_one(x, float(i)))
        signal.process_one(x, float(i))
    assert usual[-1].values["x"].expected == pytest.approx(wave(3999), abs=4)
    assert sum(score.p_value <= 0.01 for score in usual[-1500:]) <= 38
    broken, alone = [], []
    for i in range(4000, 4050):
        x = {"x": wave(i + 25)}
        broken.append(detector.process_one(x, float(i)).p_value)
        alone.append(signal.process_one(x, float(i)).p_value)
    assert min(broken) <= 1e-4
    assert min(alone) <= 0.05
