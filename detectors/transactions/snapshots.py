"""Reading states back: the one place that says why a state cannot be taken up."""

from __future__ import annotations

from typing import Protocol, TypeVar

import msgspec

from detectors.base import SnapshotError


class _Versioned(Protocol):
    @property
    def version(self) -> int: ...


State = TypeVar("State", bound=_Versioned)


def decode_state(state: bytes, kind: type[State], version: int) -> State:
    """Return the state as its plain values.

    Raises
    ------
    detectors.base.SnapshotError
        If the state is damaged, of another kind, or of another version of the format.

    """
    try:
        saved = msgspec.msgpack.decode(state, type=kind)
    except (msgspec.DecodeError, RecursionError) as error:
        raise SnapshotError(f"not a readable {kind.__name__}: {error}; restore an earlier snapshot") from error
    if saved.version != version:
        raise SnapshotError(
            f"{kind.__name__} has format {saved.version}, this version reads {version}; use the release that wrote it"
        )
    return saved
