"""What processors see of a partition's store."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import rocksdict

from streams.publication import Publisher
from streams.state import MARKER_KEY, StateTable
from streams.state_keys import names_after

OFFSET_KEY = b"__faust\0offset__"


@pytest.fixture
def table(tmp_path: Path) -> StateTable:
    database = rocksdict.Rdict(str(tmp_path / "store"), options=rocksdict.Options(raw_mode=True))
    for key in (MARKER_KEY, OFFSET_KEY, *(b"%c" % letter for letter in range(ord("A"), ord("z") + 1))):
        database[key] = b"1"
    store = SimpleNamespace(offset_key=OFFSET_KEY, _db_for_partition=lambda partition: database)
    return StateTable(SimpleNamespace(data=store), Publisher(lambda: None))


@pytest.mark.parametrize("count", [1, 7, 30])
def test_all_names_are_found_a_part_at_a_time_whatever_the_store_keeps_among_them(table: StateTable, count: int):
    states, found, part = table.of(0), [], ["\x01"]
    while part:
        part = names_after(states, part[-1], count)
        assert len(part) == count or not names_after(states, (part or found)[-1], count)
        found += part
    assert found == [chr(letter) for letter in range(ord("A"), ord("z") + 1)]
