"""`tocsin bench`: commands that measure run, compare and end with what programs can read."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from detectors.auto import Auto
from detectors.base import Detector
from detectors.score import Score, anomaly_score
from tocsin.bench import cold_start
from tocsin.bench.cold_start import WITH, WITHOUT, Fleet
from tocsin.bench.contenders import OTHERS, of_detector
from tocsin.bench.simulated import TYPES, simulated
from tocsin.bench.state_size import largest_states
from tocsin.cli import run


def last_line(capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    return json.loads(capsys.readouterr().out.splitlines()[-1])


def test_bench_detectors_compares_all_in_one_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plot = tmp_path / "detectors.svg"
    assert run(["bench", "detectors", "--short", "--plot", str(plot), "--json"]) == 0
    found = last_line(capsys)
    assert found["detector"] == "auto"
    for values in ("1", "8"):
        costs = found["costs"][values]
        assert list(costs) == ["auto", *OTHERS]
        assert costs["auto"]["ratio"] == 1.0
        assert all(set(cost) == {"microseconds", "ratio", "state_bytes"} for cost in costs.values())
    assert found["largest_state"] == []
    assert "HalfSpaceTrees(25, 8)" in plot.read_text()


def test_every_contender_takes_events_of_one_and_of_many_values() -> None:
    for made in (lambda: of_detector(Auto), *OTHERS.values()):
        contender = made()
        for i in range(50):
            contender.step({"a": float(i % 7)}, float(i))
        assert contender.state()


def test_the_largest_state_is_looked_for_in_every_file_of_nab_and_skab(tmp_path: Path) -> None:
    for below, names in (("nab/data/made", ["short", "long"]), ("skab/data/valve", ["pump"])):
        folder = tmp_path / below
        folder.mkdir(parents=True)
        for name in names:
            rows = 40 if name == "short" else 300
            lines = [f"{1_767_225_600 + 60 * i},{i % 11},{i % 7},{int(i > 30)}" for i in range(rows)]
            (folder / f"{name}.csv").write_text("\n".join(["timestamp,a,b,anomaly", *lines]))
    nab, skab = largest_states(tmp_path, Auto)
    assert (nab.corpus, nab.source, nab.values) == ("NAB", "made/long", 2)
    assert (skab.corpus, skab.source, skab.values) == ("SKAB", "valve/pump", 2)
    assert nab.state_bytes > 1_000


def test_a_folder_without_the_corpora_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["bench", "detectors", "--short", "--data", str(tmp_path)]) == 2
    assert "neither nab/data nor skab/data is in it" in capsys.readouterr().err


def test_a_plot_that_cannot_be_written_is_refused_before_the_work(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["bench", "detectors", "--short", "--plot", "times.gif"]) == 2
    assert "use .svg or .png" in capsys.readouterr().err


class Bell(Detector):
    """A p-value from a normal distribution: known to those with a prior, learned by the others."""

    def __init__(self) -> None:
        self.n, self.mean, self.square = 0, 0.0, 0.0

    def process_one(self, x: Mapping[str, float], t: float | None = None) -> Score:
        (value,) = x.values()
        p_value = 1.0
        if self.n >= 20:
            sigma = math.sqrt(max(self.square / self.n - self.mean**2, 1e-12))
            p_value = max(math.erfc(abs(value - self.mean) / sigma / math.sqrt(2)), 1e-12)
        self.n += 1
        self.mean += (value - self.mean) / self.n
        self.square += value * value
        return Score(p_value, anomaly_score(p_value))

    def score_one(self, x: Mapping[str, float], t: float | None = None) -> float:
        raise NotImplementedError

    def learn_one(self, x: Mapping[str, float], t: float | None = None) -> None:
        self.process_one(x, t)

    def prior(self) -> bytes | None:
        return self.snapshot()

    def adopt(self, priors: Sequence[bytes]) -> None:
        self.restore(priors[0])

    def snapshot(self) -> bytes:
        return json.dumps([self.n, self.mean, self.square]).encode()

    def restore(self, state: bytes) -> None:
        self.n, self.mean, self.square = json.loads(state)


def same_pressure(kind: str, number: int) -> object:
    """Sources that are all alike, so that a peer's experience is one's own."""
    return simulated("pressure", 7)


def test_with_the_experience_of_peers_a_source_is_usable_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cold_start, "simulated", same_pressure)
    fleet = Fleet(sources=5, ages=(10, 30, 400), peers=1, mature=5_000)
    found = cold_start.bench("bell", Bell, fleet)
    assert found.ready[WITHOUT][10].found == 0.0
    assert found.ready[WITH][10].found == 1.0
    assert found.ready[WITH][400].usable == 1.0
    assert found.usable_at(WITHOUT, 0.9) == 400


def test_a_detector_without_priors_is_reported_without_peers_only() -> None:
    class Loner(Bell):
        def prior(self) -> bytes | None:
            return None

    found = cold_start.bench("loner", Loner, cold_start.SHORT)
    assert list(found.ready) == [WITHOUT]
    assert "learns nothing from peers" in found.tables()[0].title


def test_bench_coldstart_reports_each_age(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plot = tmp_path / "coldstart.svg"
    assert run(["bench", "coldstart", "--short", "--plot", str(plot), "--json"]) == 0
    found = last_line(capsys)
    assert [one["age"] for one in found["ages"]] == list(cold_start.SHORT.ages)
    assert set(found["ages"][0]["without"]) == {"usable", "calibration", "found"}
    assert set(found["usable_at"]["without"]) == {"half", "most"}
    assert "share of sources usable" in plot.read_text()


@pytest.mark.parametrize("kind", TYPES)
def test_a_simulated_source_varies_as_much_as_it_says(kind: str) -> None:
    source = simulated(kind, 3)
    values = [source.next_value(i) for i in range(4_000)]
    steady = [later - sum(values[i : i + 5]) / 5 for i, later in enumerate(values[5:])]
    spread = math.sqrt(sum(step * step for step in steady) / len(steady))
    assert 0.3 * source.sigma < spread < 2.0 * source.sigma


@pytest.mark.timeout(240)
def test_bench_memory_measures_a_real_worker(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plot = tmp_path / "memory.svg"
    assert run(["bench", "memory", "--short", "--plot", str(plot), "--json"]) == 0
    few, more = last_line(capsys)["runs"]
    assert (few["sources"], few["in_memory"], few["evicted"]) == (200, 200, 0)
    assert few["events"] == 2000
    assert more["peak_bytes"] >= more["end_bytes"] > 50_000_000
    assert few["checkpoint_bytes"] > 0 and few["state_bytes"] > 100
    assert "resident memory" in plot.read_text()


@pytest.mark.timeout(240)
def test_bench_recovery_measures_restarts_after_kill_9(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plot = tmp_path / "recovery.svg"
    assert run(["bench", "recovery", "--short", "--plot", str(plot), "--json"]) == 0
    (found,) = last_line(capsys)["runs"]
    assert found["sources"] == 200
    assert len(found["local_seconds"]) == len(found["changelog_seconds"]) == 1
    assert found["changelog_median"] > 0
    assert "seconds until ready" in plot.read_text()
