"""Exports of state in files and folders, and what it takes to restore one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from streams.partitioner import partition_of
from streams.state import Marker
from streams.state_file import Exported, Header, StateFileError, read_states, write_states
from streams.state_restore import NotThereError, all_again, key_of, marker_in, one_again, state_of
from tocsin.cli.changelogs import Changelog, commit_offsets, input_bounds, written
from tocsin.cli.errors import CommandError

if TYPE_CHECKING:
    from streams.settings import KafkaSettings

NAMED = "state-%Y%m%dT%H%M%SZ.jsonl.gz"
PATTERN = "state-*Z.jsonl.gz"

Only = tuple[str, str] | None
"""Stream and name of the one source or account that is meant; ``None`` for all."""


def write_export(kafka: KafkaSettings, target: Path, found: Sequence[Changelog], only: Only) -> tuple[Path, int]:
    """Write states to a file, or into a folder under the present time; return where, and how many.

    Parameters
    ----------
    kafka
        Whose states these are.
    target
        A file or an existing folder.
    found
        The states.
    only
        The one that is wanted.

    """
    now = datetime.now(UTC)
    file = target / now.strftime(NAMED) if target.is_dir() else target
    header = Header(
        created_at=now.isoformat(timespec="seconds").replace("+00:00", "Z"),
        group=kafka.group_id,
        partitions=dict(Counter(one.stream for one in found)),
        covered={f"{one.stream}/{one.partition}": one.marker.covered for one in found if one.marker is not None},
        only=None if only is None else only[1],
    )
    return file, write_states(file, header, _all(found) if only is None else [_one(found, *only)])


def remove_all_but(folder: Path, keep: int) -> None:
    """Remove the oldest exports of a folder."""
    for old in sorted(folder.glob(PATTERN))[:-keep]:
        old.unlink()


def newest_export(folder: Path, until: datetime | None) -> Path:
    """Return the newest export of a folder, of a time or before."""
    found = sorted(folder.glob(PATTERN))
    wanted = [file for file in found if until is None or file.name <= until.strftime(NAMED)]
    if not wanted:
        oldest = f"the oldest is {found[0].name}" if found else "there is none: `tocsin state export` writes them"
        raise CommandError(f"{folder}: no export is old enough; {oldest}" if found else f"{folder}: {oldest}")
    return wanted[-1]


def restore_export(
    kafka: KafkaSettings, file: Path, present: Sequence[Changelog], only: Only, *, from_now: bool
) -> tuple[int, dict[str, int]]:
    """Write an export, or one source or account of it, into the changelogs.

    Parameters
    ----------
    kafka
        Whose changelogs.
    file
        The export.
    present
        The states that there are.
    only
        The one that is wanted.
    from_now
        Whether to go on with the next event, and not with what the export covers.

    Returns
    -------
    How many records were written, and the offset that each partition goes on from.

    """
    try:
        header, states = read_states(file)
        _must_be_of(kafka, file, header)
        if header.only is None and only is None:
            return _restore_all(kafka, file, header, states, present, from_now=from_now)
        return _restore_one(kafka, file, header, states, present, only)
    except (StateFileError, NotThereError) as error:
        raise CommandError(str(error)) from error


def _must_be_of(kafka: KafkaSettings, file: Path, header: Header) -> None:
    if header.group != kafka.group_id:
        raise StateFileError(
            f"{file}: is the state of group {header.group}, this configuration's is {kafka.group_id}: check"
            " kafka.topic_prefix and kafka.group"
        )


def _restore_all(
    kafka: KafkaSettings,
    file: Path,
    header: Header,
    states: Sequence[Exported],
    present: Sequence[Changelog],
    *,
    from_now: bool,
) -> tuple[int, dict[str, int]]:
    there = {(one.stream, one.partition): one for one in present}
    exported = _by_partition(states)
    if dict(Counter(stream for stream, _ in there)) != header.partitions:
        raise StateFileError(f"{file}: is of {header.partitions} partitions, there are others now: it does not fit")
    markers: dict[tuple[str, int], Marker] = {}
    for place, one in there.items():
        of_export = marker_in(exported.setdefault(place, {}))
        if of_export is not None or one.marker is not None:
            # A partition that had learned nothing begins again.
            markers[place] = (one.marker if from_now else None) or of_export or Marker(0, {})
    _must_be_reachable(kafka, file, {place: marker.covered for place, marker in markers.items()}, exported)
    changes = [
        (stream, number, all_again(there[stream, number].states, exported[stream, number], marker))
        for (stream, number), marker in markers.items()
    ]
    count = written(kafka, changes)
    covered = {place: marker.covered for place, marker in markers.items()}
    commit_offsets(kafka, covered)
    return count, {f"{stream}/{number}": offset for (stream, number), offset in covered.items()}


def _must_be_reachable(
    kafka: KafkaSettings,
    file: Path,
    covered: dict[tuple[str, int], int],
    exported: dict[tuple[str, int], dict[str, bytes]],
) -> None:
    """Raise an error if events are gone that would have to be learned again, or have never been there."""
    bounds = input_bounds(kafka, covered)
    for (stream, number), offset in covered.items():
        begin, end = bounds[stream, number]
        own = marker_in(exported[stream, number]) or Marker(0, {})
        if max(offset, own.covered) > end:
            raise StateFileError(
                f"{file}: covers offset {own.covered} of {stream}/{number}, which ends at {end}: it is of another topic"
            )
        if offset < begin:
            raise StateFileError(
                f"{file}: covers {stream}/{number} up to {offset}, but its records before {begin} are gone: they cannot"
                " be learned again; with --from-now the workers go on with the next event"
            )


def _restore_one(
    kafka: KafkaSettings,
    file: Path,
    header: Header,
    states: Sequence[Exported],
    present: Sequence[Changelog],
    only: Only,
) -> tuple[int, dict[str, int]]:
    if header.only is None:
        stream, name = only or ("", "")
        state = _found(_by_partition(states), stream, name)
        if state is None:
            raise StateFileError(f"{file}: has no state of {name!r} in {stream}")
    else:
        (exported,) = states
        stream, name, state = exported.stream, header.only, exported.state
        if only is not None and only != (stream, name):
            raise StateFileError(f"{file}: is the state of {name!r} in {stream} only")
    place = _place_of(stream, name, present)
    count = written(kafka, [(stream, place.partition, one_again(stream, name, state, place.states))])
    marker = place.marker
    return count, {f"{stream}/{place.partition}": marker.covered if marker is not None else 0}


def _place_of(stream: str, name: str, present: Sequence[Changelog]) -> Changelog:
    """Return where a source or account is, or would be."""
    mine = [one for one in present if one.stream == stream]
    key = key_of(stream, name)
    for one in mine:
        if key in one.states:
            return one
    return mine[partition_of(name, len(mine))]


def _found(states: dict[tuple[str, int], dict[str, bytes]], stream: str, name: str) -> bytes | None:
    mine = (state_of(stream, name, inside) for place, inside in states.items() if place[0] == stream)
    return next((state for state in mine if state is not None), None)


def _by_partition(states: Sequence[Exported]) -> dict[tuple[str, int], dict[str, bytes]]:
    found: dict[tuple[str, int], dict[str, bytes]] = {}
    for one in states:
        found.setdefault((one.stream, one.partition), {})[one.key.decode()] = one.state
    return found


def _all(found: Sequence[Changelog]) -> Iterator[Exported]:
    for one in found:
        for key, state in one.states.items():
            yield Exported(one.stream, one.partition, key.encode(), state)


def _one(found: Sequence[Changelog], stream: str, name: str) -> Exported:
    for one in found:
        if one.stream == stream and (state := state_of(stream, name, one.states)) is not None:
            return Exported(stream, one.partition, key_of(stream, name).encode(), state)
    raise CommandError(f"there is no state of {name!r} in {stream}; `tocsin state list` says what there is")
