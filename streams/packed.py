"""States as they are stored: packed, since most of a young source's record is zeros."""

from __future__ import annotations

import cramjam

_PACKED = b"\xc1\x01"
"""Begins what is packed, with the way it is: no MessagePack and no JSON begins so."""

_WORTH_IT = 256


def pack(state: bytes) -> bytes:
    """Return a state as it is stored.

    Examples
    --------
    >>> len(pack(bytes(7_000))) < 100, unpack(pack(bytes(7_000))) == bytes(7_000), pack(b"small")
    (True, True, b'small')

    """
    if len(state) < _WORTH_IT and not state.startswith(_PACKED):
        return state
    return _PACKED + bytes(cramjam.lz4.compress_block(state))


def unpack(stored: bytes) -> bytes:
    """Return a state as it was; what was stored before states were packed is as it is.

    Raises
    ------
    ValueError
        If it is damaged.

    """
    if not stored.startswith(_PACKED):
        return stored
    try:
        return bytes(cramjam.lz4.decompress_block(memoryview(stored)[len(_PACKED) :]))
    except cramjam.DecompressionError as error:
        raise ValueError(f"a stored state cannot be unpacked: {error}") from error
