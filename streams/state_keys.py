"""Keys of a partition's states: a source's is its name, those of the whole partition are reserved."""

from __future__ import annotations

_RESERVED = "\x00"
"""What reserved keys begin with: names hold no control characters."""


def reserved(name: str) -> str:
    """Return the key of a state that is of the whole partition.

    Examples
    --------
    >>> [is_reserved(key) for key in (reserved("labels"), "labels")]
    [True, False]

    """
    return _RESERVED + name


def is_reserved(key: str) -> bool:
    """Say whether a key is of the whole partition, and so no source's."""
    return key.startswith(_RESERVED)
