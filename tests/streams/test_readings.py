"""The quick way to decode an event gives what the schema gives, for whatever is sent."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from streams.codec import Rejected, decode
from streams.readings import ReadingDecoder
from streams.schemas import EventLimits, TelemetryEvent

LIMITS = EventLimits()
TIMES = (
    "2026-01-02T03:04:05Z",
    "2026-01-02T03:04:05.123Z",
    "2026-01-02T03:04:05.123456Z",
    "2026-01-02T03:04:05.1234567Z",
    "2026-01-02 03:04:05Z",
    "2026-01-02T03:04:05+02:00",
    "2026-01-02T03:04:05",
    "2026-W01-1T03:04:05Z",
    "2026-01-02T03:04:60Z",
    "2026-02-30T03:04:05Z",
    "2026-01-02T24:00:00Z",
    "2026-01-02T03:04:05,123Z",
    "２026-01-02T03:04:05Z",
    "1767323045",
    "",
    0,
    -1,
    1767323045,
    1767323045.25,
    1767323045123,
    20_000_000_000,
    20_000_000_001,
    253_402_300_799_999,
    253_402_300_800_000,
    10**30,
    True,
    None,
)
NAMES = st.one_of(st.sampled_from(["pump-7", "", "a\tb", "ü", "a" * 257, " ", "\x7f", "\u200b"]), st.text(max_size=5))
NUMBERS = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False),
    st.integers(),
    st.sampled_from([None, True, "1", 2**53 + 1, 2**63, 2**64, 10**40, [1]]),
)
ANYTHING = st.recursive(NUMBERS, lambda inner: st.dictionaries(st.text(max_size=3), inner, max_size=2), max_leaves=4)


def by_schema(value: bytes) -> Any:
    event = decode(TelemetryEvent, value, LIMITS)
    if isinstance(event, Rejected):
        return event
    return event.source, event.time, event.readings, len(event.values), event.event_id, event.all_attributes


def quickly(value: bytes) -> Any:
    event = ReadingDecoder(LIMITS).decode(value)
    if isinstance(event, Rejected):
        return event
    return event.source, event.time, event.values, event.sent, event.event_id, event.attributes


@given(
    source=NAMES,
    timestamp=st.sampled_from(TIMES) | st.integers(20_000_000_000, 300_000_000_000_000),
    values=st.dictionaries(NAMES, NUMBERS, max_size=3),
    more=st.fixed_dictionaries(
        {},
        optional={
            "event_id": st.one_of(NAMES, st.none(), st.integers()),
            "attributes": st.one_of(st.dictionaries(st.text(max_size=3), ANYTHING, max_size=2), st.none()),
            "site": ANYTHING,
        },
    ),
)
@example(source="a", timestamp=0, values={"x": -0.0}, more={})
@settings(max_examples=1000, deadline=None)
def test_any_event_is_what_the_schema_says(source: str, timestamp: Any, values: dict, more: dict) -> None:
    value = json.dumps({"source": source, "timestamp": timestamp, "values": values, **more}).encode()
    assert repr(quickly(value)) == repr(by_schema(value))


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"{",
        b"[]",
        b"7",
        b"\xff",
        b'{"source": "a", "timestamp": 1, "values": {"x": 1}} ',
        b'{"source": "a", "timestamp": 1, "values": {"x": 1}} x',
        b'{"source": "a", "timestamp": 1, "values": {"x": NaN}}',
        b'{"source": "a", "timestamp": 1, "values": {"x": 1e999}}',
        b'{"source": "a", "timestamp": 1, "values": {"x": 1e-999}}',
        b'{"source": "a", "timestamp": 1, "values": {"x": -0}}',
        b'{"source": "a", "timestamp": 1, "values": {"x": 01}}',
        b'{"source": "a", "timestamp": -0, "values": {"x": 1}}',
        b'{"source": "a", "timestamp": 1, "values": {"x": 0.1234567890123456789012345678901234567890}}',
        b'{"source": "a", "timestamp": 1, "values": {"x": 123456789012345678901234567890}}',
        b'{"source": "a", "source": "b", "timestamp": 1, "values": {"x": 1, "x": 2}}',
        b'{"source": "a", "timestamp": 1, "values": {"x": 1}, "attributes": {"a": 1, "a": 2}}',
        b'{"source": "a", "timestamp": 1, "values": {"x": 1}, "attributes": {"a": 123456789012345678901234567890}}',
        b'{"source": "a", "timestamp": 1, "values": {"x": 1}, "attributes": {"a": NaN}}',
        b'{"source": "a", "timestamp": 1, "values": {"x": 1}, "attributes": {"a": "\xff"}}',
        b'{"source": "a", "timestamp": 1, "values": {"x": 1}, "attributes": null}',
        b'{"source": "\\ud800", "timestamp": 1, "values": {"x": 1}}',
        b'{"source": "\\ud83d\\ude00", "timestamp": 1, "values": {"x": 1}}',
        b'\xef\xbb\xbf{"source": "a", "timestamp": 1, "values": {"x": 1}}',
        b'{"source": "a", "timestamp": 1, "values": {"x": 1}, "attributes": ' + b"[" * 5000 + b"]" * 5000 + b"}",
    ],
)
def test_odd_bytes_are_what_the_schema_says(value: bytes) -> None:
    assert repr(quickly(value)) == repr(by_schema(value))


def test_attributes_that_come_again_are_the_same() -> None:
    decoder = ReadingDecoder(LIMITS)
    value = b'{"source": "a", "timestamp": 1, "values": {"x": 1}, "attributes": {"type": "pump"}}'
    first, again = (decoder.decode(value) for _ in range(2))
    assert first == again
    assert first.attributes == {"type": "pump"}
