"""Exported state: a file of JSON lines, which holds no code and says what it is.

The first line is a header (``Header``), the last one says how many states there are. Each line between is a state:
``stream``, ``partition``, ``key`` and ``state``, the latter two in base64. A file whose name ends in ``.gz`` is
compressed with gzip.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, cast

import msgspec

FORMAT = "tocsin-state"
VERSION = 1


class StateFileError(ValueError):
    """A file is no export that can be restored; the message says why and what to do."""


class Header(msgspec.Struct, kw_only=True, omit_defaults=True):
    """The first line.

    Parameters
    ----------
    format, version
        What the file is.
    created_at
        When it was written, ISO 8601.
    group
        Consumer group whose state it is, with its prefix.
    partitions
        Number of partitions of each input topic.
    covered
        Offset below which each partition's records have been learned, by ``stream/partition``.
    only
        The one source or account in it; ``None`` if it holds all there is. Of one, the state is as the source or
        account writes it; of all, as the changelog holds it.

    """

    format: str = FORMAT
    version: int = VERSION
    created_at: str
    group: str
    partitions: dict[str, int]
    covered: dict[str, int]
    only: str | None = None


class Exported(msgspec.Struct):
    """A line between: the state of a source or account, or of a whole partition."""

    stream: str
    partition: int
    key: bytes
    state: bytes


class _End(msgspec.Struct):
    states: int


def write_states(file: Path, header: Header, states: Iterable[Exported]) -> int:
    """Write an export and return how many states it has; it is there once it is whole.

    Parameters
    ----------
    file
        Where; compressed if its name ends in ``.gz``.
    header, states
        What.

    """
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(f".{file.name}.part")
    encode, count = msgspec.json.encode, 0
    with _opened(part, "wb", compressed=file.suffix == ".gz") as out:
        out.write(encode({"format": FORMAT, "version": VERSION, **msgspec.to_builtins(header)}) + b"\n")
        for count, state in enumerate(states, 1):  # noqa: B007 - the last number counts
            out.write(encode(state) + b"\n")
        out.write(encode(_End(count)) + b"\n")
    part.replace(file)
    return count


def read_states(file: Path) -> tuple[Header, Sequence[Exported]]:
    """Read an export whole.

    Raises
    ------
    streams.state_file.StateFileError
        If it is none, is incomplete, or was written by a newer version.

    """
    try:
        with _opened(file, "rb", compressed=file.suffix == ".gz") as lines:
            header = _header(file, lines.readline())
            return header, list(_states(file, lines))
    except (OSError, EOFError) as error:
        raise StateFileError(f"{file}: cannot be read: {error}") from error


def _header(file: Path, line: bytes) -> Header:
    try:
        found = msgspec.json.decode(line, type=dict[str, object])
        if found.get("format") != FORMAT:
            raise StateFileError(f"{file}: this is no state that `tocsin state export` wrote")
        if found.get("version") != VERSION:
            raise StateFileError(
                f"{file}: was written in version {found.get('version')} of the format, this program reads {VERSION}:"
                " use the program that wrote it"
            )
        return msgspec.convert(found, Header)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise StateFileError(f"{file}: this is no state that `tocsin state export` wrote ({error})") from error


def _states(file: Path, lines: Iterable[bytes]) -> Iterator[Exported]:
    decode = msgspec.json.Decoder(Exported).decode
    for count, line in enumerate(lines):
        if line.startswith(b'{"states":'):
            if msgspec.json.decode(line, type=_End).states != count:
                break
            return
        try:
            yield decode(line)
        except msgspec.DecodeError as error:
            raise StateFileError(f"{file}: line {count + 2} is no state ({error}): take another export") from error
    raise StateFileError(f"{file}: it is incomplete, its end is missing: take another export")


def _opened(file: Path, mode: str, *, compressed: bool) -> IO[bytes]:
    return cast(IO[bytes], gzip.open(file, mode, compresslevel=1) if compressed else file.open(mode))
