"""A store of states that may be written in part, and what a processor says that goes on from it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from hypothesis import strategies as st

from streams.processor import Output, Processor, Record

ENDS = st.sampled_from(("nothing", "checkpoint", "crash", "torn"))
"""What comes after a batch."""


def in_batches(
    own: Sequence[Record], heard: Iterable[Record], size: int
) -> Iterator[tuple[Sequence[Record], list[Record]]]:
    """Yield records in batches, each with what was broadcast until its last was produced."""
    left = iter(heard)
    waiting = next(left, None)
    for start in range(0, len(own), size):
        batch, news = own[start : start + size], []
        while waiting is not None and waiting.timestamp <= batch[-1].timestamp:
            news.append(waiting)
            waiting = next(left, None)
        yield batch, news


def store(states: dict[str, bytes], changes: Iterable[tuple[str, bytes | None]]) -> None:
    """Write changes as a store does, once all are known: a processor may look up what they replace."""
    for key, state in list(changes):
        if state is None:
            states.pop(key, None)
        else:
            states[key] = state


def with_a_torn_checkpoint(
    make: Callable[[dict[str, bytes]], Processor],
    work: Sequence[tuple[Sequence[Record], Sequence[Record]]],
    crash_at: int,
    cut: float,
    checkpoint_every: int,
) -> list[Output]:
    """Return what is put out in all: by a processor that crashes within a checkpoint, and by the one that goes on."""
    states: dict[str, bytes] = {}
    processor = make(states)
    kept: list[Output] = []
    unsaved: list[Output] = []
    saved = 0
    for number, (batch, news) in enumerate(work[: crash_at + 1]):
        unsaved += processor.absorb(news).outputs + processor.process(batch).outputs
        if number == crash_at:
            changes = list(processor.changes())
            store(states, changes[: int(cut * (len(changes) - 1))])
        elif number % checkpoint_every == 0:
            store(states, processor.changes())
            kept, unsaved, saved = kept + unsaved, [], number + 1
    again = make(states)
    for batch, news in work[saved:]:
        kept += again.absorb(news).outputs + again.process(batch).outputs
        store(states, again.changes())
    return kept


def over_several_lives(
    make: Callable[[dict[str, bytes]], Processor],
    events: Sequence[Record],
    known_at: Callable[[float], list[Record]],
    sizes: Sequence[int],
    data: Any,
) -> dict[int, list[tuple[str, bytes]]]:
    """Return what each event led to, with crashes in between; one that comes again leads to the same or to nothing.

    Parameters
    ----------
    make
        Makes a processor from what is stored.
    events
        Of one partition.
    known_at
        What has been broadcast when events are processed whose last was produced at a time.
    sizes
        Of the batches, over and over.
    data
        Hypothesis's, which decides what comes after each batch.

    """
    found: dict[int, list[tuple[str, bytes]]] = {}
    states: dict[str, bytes] = {}
    processor, done, stored = make(states), 0, 0
    for size in list(sizes) * len(events):
        batch = events[done : done + size]
        if not batch:
            break
        processor.absorb(known_at(batch[-1].timestamp))
        told = by_offset(processor.process(batch).outputs)
        for record in batch:  # one that its source had learned before a torn checkpoint is passed over
            now = told.get(record.offset, [])
            assert now == found.setdefault(record.offset, now) or now == []
        done += len(batch)
        end = data.draw(ENDS)
        if end in ("checkpoint", "torn"):
            changes = list(processor.changes())
            store(states, changes[: None if end == "checkpoint" else data.draw(st.integers(0, len(changes)))])
        if end == "checkpoint":
            stored = done
        elif end != "nothing":
            processor, done = make(states), stored
    return found


def by_offset(outputs: Iterable[Output]) -> dict[int, list[tuple[str, bytes]]]:
    """Return topics and values by the offset of what led to them."""
    found: dict[int, list[tuple[str, bytes]]] = {}
    for output in outputs:
        found.setdefault(output.cause.offset, []).append((output.topic, output.value))
    return found


def assert_as_undisturbed(
    found: dict[int, list[tuple[str, bytes]]], expected: dict[int, list[tuple[str, bytes]]]
) -> None:
    """Hold what several lives put out against what one does."""
    assert {offset: outputs for offset, outputs in found.items() if outputs} == {
        offset: outputs for offset, outputs in expected.items() if offset in found
    }


def assert_crashes_change_nothing(
    make: Callable[[dict[str, bytes] | None], Processor],
    events: Sequence[Record],
    said: Sequence[Record],
    sizes: Sequence[int],
    data: Any,
) -> None:
    """Let a processor live several times; it says what one says that does not crash.

    Parameters are those of ``over_several_lives``; ``said`` is all that is ever broadcast.
    """
    undisturbed = make(None)
    undisturbed.absorb(said)
    expected = by_offset(undisturbed.process(events).outputs)

    def known_at(time: float) -> list[Record]:
        return [one for one in said if one.timestamp <= time]

    assert_as_undisturbed(over_several_lives(make, events, known_at, sizes, data), expected)
