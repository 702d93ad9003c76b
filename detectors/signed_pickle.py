"""Pickles of River's objects, signed: whoever can write a pickle can run code."""

from __future__ import annotations

import hashlib
import hmac
import pickle
from typing import Any

from detectors.base import SnapshotError
from detectors.river_forest import pickled


def write(objects: Any, key: bytes | None, kind: str) -> tuple[bytes, bytes]:
    """Return a signature and a pickle.

    Parameters
    ----------
    objects
        Objects of River.
    key
        The secret.
    kind
        What they are, for people: ``detector`` or ``forecaster``.

    Raises
    ------
    detectors.base.SnapshotError
        If there is no secret.

    Examples
    --------
    >>> read(*write({"n": 1}, b"secret", "detector"), b"secret", "detector")
    {'n': 1}
    >>> read(*write({"n": 1}, b"secret", "detector"), b"another", "detector")
    Traceback (most recent call last):
    ...
    detectors.base.SnapshotError: the state is not signed with this state key: set the key that wrote it, or reset it

    """
    written = pickled(objects)
    return _signature(written, key, kind), written


def read(signature: bytes, written: bytes, key: bytes | None, kind: str) -> Any:
    """Return what ``write`` was given, if it was given this secret.

    Raises
    ------
    detectors.base.SnapshotError
        If not.

    """
    if not hmac.compare_digest(signature, _signature(written, key, kind)):
        raise SnapshotError("the state is not signed with this state key: set the key that wrote it, or reset it")
    return pickle.loads(written)  # noqa: S301  its signature has been checked


def _signature(written: bytes, key: bytes | None, kind: str) -> bytes:
    if not key:
        raise SnapshotError(
            f"the state of a {kind} of River is a pickle and must be signed: set state.key, for instance with the"
            f" environment variable TOCSIN_STATE__KEY, or use the {kind} auto"
        )
    return hmac.digest(key, written, hashlib.sha256)
