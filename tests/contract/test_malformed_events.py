"""A thousand broken events of many kinds, among good ones: each is put aside with its reason, nothing stops."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.contract.conftest import Service

GOOD = {"source": "s", "timestamp": 1_767_225_600.0, "values": {"x": 1.0}}


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in GOOD.items() if key != name}


def having(**changes: Any) -> bytes:
    return json.dumps(GOOD | changes).encode()


words = st.text(st.characters(codec="ascii", categories=["L"]), min_size=1, max_size=12)
numbers = st.integers(-1000, 1000)

KINDS: dict[str, tuple[str, st.SearchStrategy[bytes]]] = {
    "empty": ("empty", st.just(b"")),
    "blank": ("not_json", st.sampled_from([b" ", b"\n\n", b"\t"])),
    "words": ("not_json", words.map(lambda w: f"hello {w}".encode())),
    "cut off": ("not_json", st.integers(1, 40).map(lambda n: json.dumps(GOOD).encode()[:n])),
    "bytes": ("not_utf8", st.binary(max_size=9).map(lambda b: b'{"source": "\xff\xfe' + b + b'"}')),
    "list": ("not_an_object", st.lists(numbers, max_size=4).map(lambda v: json.dumps(v).encode())),
    "number": ("not_an_object", numbers.map(lambda v: json.dumps(v).encode())),
    "string": ("not_an_object", words.map(lambda v: json.dumps(v).encode())),
    "null": ("not_an_object", st.just(b"null")),
    "no source": ("missing_field", st.just(json.dumps(without("source")).encode())),
    "no timestamp": ("missing_field", st.just(json.dumps(without("timestamp")).encode())),
    "no values": ("missing_field", st.just(json.dumps(without("values")).encode())),
    "source a number": ("wrong_type", numbers.map(lambda n: having(source=n))),
    "timestamp a word": ("wrong_type", words.map(lambda w: having(timestamp=w))),
    "timestamp a list": ("wrong_type", numbers.map(lambda n: having(timestamp=[n]))),
    "values a list": ("wrong_type", numbers.map(lambda n: having(values=[n]))),
    "value a word": ("wrong_type", words.map(lambda w: having(values={"x": w}))),
    "value a truth": ("wrong_type", st.booleans().map(lambda b: having(values={"x": b}))),
    "value nested": ("wrong_type", numbers.map(lambda n: having(values={"x": {"y": n}}))),
    "NaN": ("not_finite", st.sampled_from([b"NaN", b"Infinity", b"-Infinity", b"1e999"]).map(
        lambda n: b'{"source": "s", "timestamp": 1767225600, "values": {"x": %s}}' % n)),
    "empty source": ("out_of_range", st.just(having(source=""))),
    "no value at all": ("out_of_range", st.just(having(values={}))),
    "far future": ("too_far_ahead", st.integers(2100, 2900).map(lambda y: having(timestamp=f"{y}-01-01T00:00:00Z"))),
    "too large": ("too_large", st.integers(70_000, 80_000).map(lambda n: having(note="x" * n))),
}  # fmt: skip


def sample(strategy: st.SearchStrategy[bytes], count: int) -> list[bytes]:
    drawn: list[bytes] = []

    @settings(max_examples=count, database=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(strategy)
    def draw(value: bytes) -> None:
        drawn.append(value)

    _run(draw)
    return [drawn[i % len(drawn)] for i in range(count)]


def _run(draw: Callable[[], None]) -> None:
    draw()


def test_a_thousand_malformed_events_are_all_put_aside_and_the_good_ones_all_scored(service: Service) -> None:
    assert len(KINDS) >= 20
    malformed = {kind: sample(strategy, 3 if kind == "too large" else 44) for kind, (_, strategy) in KINDS.items()}
    messages: list[tuple[str, bytes | dict[str, Any]]] = []
    for kind, values in malformed.items():
        for i, value in enumerate(values):
            messages.append((kind, value))
            source = f"good-{i % 5}"
            messages.append(
                (source, {"source": source, "timestamp": 1_767_225_600.0 + len(messages), "values": {"x": 1}})
            )
    bad = sum(map(len, malformed.values()))
    assert bad >= 1000
    service.start_worker().wait_until_ready()
    service.produce("telemetry", messages)
    scores = service.read("scores", at_least=len(messages) - bad)
    letters = service.read("dead-letters", at_least=bad)
    assert len(scores) == len(messages) - bad
    assert len(letters) == bad
    positions = set()
    for record in letters:
        letter = json.loads(record.value)
        kind = record.key.decode()
        assert letter["reason"] == KINDS[kind][0], f"{kind}: {letter['reason']}: {letter['detail']}"
        assert letter["detail"]
        if "value" in letter and kind != "too large":
            assert base64.b64decode(letter["value"]) in malformed[kind]
        positions.add((letter["topic"], letter["partition"], letter["offset"]))
    assert len(positions) == bad


def test_an_event_much_older_than_its_sources_newest_is_put_aside(service: Service) -> None:
    service.start_worker().wait_until_ready()
    day = 86_400.0
    times = [10 * day, 10 * day + 60, 8 * day, 9.5 * day]
    service.produce("telemetry", [("s", {"source": "s", "timestamp": t, "values": {"x": 1}}) for t in times])
    (record,) = service.read("dead-letters", at_least=1)
    letter = json.loads(record.value)
    assert (letter["reason"], letter["offset"]) == ("too_old", 2)
    assert "172,860 s older" in letter["detail"]
    assert len(service.read("scores", at_least=3)) == 3
