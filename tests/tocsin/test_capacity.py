"""The capacity guide: formulas fitted to measurements give those measurements back, and hold at other scales."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.capacity import BEGIN, DEFAULT, END, Constants, Plan, main, report

THROUGHPUT = {"events_per_second": {DEFAULT: 20_000.0}}
MEMORY = {
    "runs": [
        {"sources": n, "in_memory": min(n, 50_000), "end_bytes": 200e6 + 8_000 * min(n, 50_000), "state_bytes": 3_000}
        for n in (1_000, 10_000, 100_000)
    ]
}
RECOVERY = {
    "runs": [
        {"sources": n, "local_median": 3 + n / 20_000, "changelog_median": 4 + n / 5_000}
        for n in (1_000, 10_000, 100_000)
    ]
}


@pytest.fixture
def measured() -> Constants:
    return Constants.of(THROUGHPUT, MEMORY, RECOVERY)


def test_lines_go_through_what_was_measured(measured: Constants) -> None:
    assert measured.memory.at(10_000) == pytest.approx(280e6)
    assert measured.local.at(100_000) == pytest.approx(8)
    assert measured.changelog.at(100_000) == pytest.approx(24)


def test_a_process_is_planned_for_half_its_rate(measured: Constants) -> None:
    assert Plan(10_000_000, 10_000_000, measured).processes == 1000


def test_a_checkpoint_writes_a_busy_source_once_and_a_rare_one_with_each_event(measured: Constants) -> None:
    busy = Plan(sources=1_000, rate=100_000, measured=measured)
    assert busy.changelog_rate == pytest.approx(1_000 * 3_000 / 5)
    rare = Plan(sources=1_000_000, rate=100, measured=measured)
    assert rare.changelog_rate == pytest.approx(100 * 3_000, rel=0.01)


def test_the_tables_go_between_the_markers_of_the_guide(tmp_path: Path) -> None:
    guide = tmp_path / "capacity.md"
    guide.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    files = []
    for name, found in (("throughput", THROUGHPUT), ("memory", MEMORY), ("recovery", RECOVERY)):
        files.append(tmp_path / name)
        files[-1].write_text("a table\n" + json.dumps(found))
    main(*files, write=guide)
    text = guide.read_text()
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "old" not in text
    assert report(Constants.of(THROUGHPUT, MEMORY, RECOVERY)) in text
