"""Trained models as files: data without code, with a schema, how good they are, and a signature."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import zlib
from typing import Any, Self

import msgspec

FORMAT = "tocsin-model"
VERSION = 1

HMAC, PLAIN = "hmac-sha256", "sha256"
MOST_BYTES = 64 * 1024 * 1024
"""What a payload may unpack to: a small file must not fill the memory."""


class ArtefactError(ValueError):
    """A file holds no model that can be used; the message says why and what to do."""


class Artefact(msgspec.Struct, frozen=True, kw_only=True):
    """A trained model.

    Parameters
    ----------
    kind
        What it is for, such as ``rul``.
    name
        The model's name; versions of one model share it.
    created_at
        When it was trained, ISO 8601: the version.
    schema
        What it takes and gives.
    metrics
        How good it is, and on what.
    payload
        What it has learned: MessagePack of plain data, compressed.
    format, version
        What the file is.

    """

    format: str = FORMAT
    version: int = VERSION
    kind: str
    name: str
    created_at: str
    schema: dict[str, Any]
    metrics: dict[str, Any]
    payload: bytes

    @classmethod
    def of(
        cls, learned: Any, *, kind: str, name: str, created_at: str, schema: dict[str, Any], metrics: dict[str, Any]
    ) -> Self:
        """Return the artefact of what a model has learned, plain data that MessagePack takes."""
        payload = zlib.compress(msgspec.msgpack.encode(learned), 6)
        return cls(kind=kind, name=name, created_at=created_at, schema=schema, metrics=metrics, payload=payload)

    def learned(self) -> Any:
        """Return what the model has learned.

        Raises
        ------
        ArtefactError
            If it cannot be unpacked.

        """
        unpacker = zlib.decompressobj()
        try:
            data = unpacker.decompress(self.payload, MOST_BYTES)
            if unpacker.unconsumed_tail:
                raise ArtefactError(f"model {self.name}: it unpacks to more than {MOST_BYTES >> 20} MiB")
            return msgspec.msgpack.decode(data)
        except (zlib.error, msgspec.DecodeError) as error:
            raise ArtefactError(f"model {self.name}: what it has learned cannot be read ({error})") from error

    def encode(self, key: bytes | None = None) -> bytes:
        """Return the file: JSON, whose ``signature`` covers all else.

        Parameters
        ----------
        key
            Secret that signs it. Without one the signature is a plain digest, which shows damage but not forgery.

        """
        said = msgspec.to_builtins(self)
        return json.dumps({**said, "signature": _signature(said, key)}, indent=1).encode() + b"\n"

    @classmethod
    def decode(cls, file: bytes, key: bytes | None = None) -> Self:
        """Return the artefact that ``encode`` wrote, if its signature holds.

        Parameters
        ----------
        file
            What was written.
        key
            Secret that must have signed it.

        Raises
        ------
        ArtefactError
            If it is no model, is damaged, forged or signed with another key, or is of a newer format.

        """
        try:
            said = json.loads(file)
        except (ValueError, RecursionError) as error:
            raise ArtefactError(f"this is no model: {error}") from None
        if not isinstance(said, dict) or said.get("format") != FORMAT:
            raise ArtefactError("this is no model that `tocsin train` wrote")
        version = said.get("version")
        if version != VERSION:
            raise ArtefactError(
                f"the model has format {version}, this program reads {VERSION}:"
                + (" update this program" if isinstance(version, int) and version > VERSION else " train it again")
            )
        signature = said.pop("signature", None)
        _check(said, signature, key)
        try:
            found = msgspec.convert(said, cls)
        except msgspec.ValidationError as error:
            raise ArtefactError(f"the model has another schema: {error}") from None
        return found


def _signature(said: dict[str, Any], key: bytes | None) -> dict[str, str]:
    text = json.dumps(said, sort_keys=True, separators=(",", ":")).encode()
    if key is None:
        return {"algorithm": PLAIN, "value": base64.b64encode(hashlib.sha256(text).digest()).decode()}
    return {"algorithm": HMAC, "value": base64.b64encode(hmac.digest(key, text, hashlib.sha256)).decode()}


def _check(said: dict[str, Any], signature: Any, key: bytes | None) -> None:
    algorithm, value = (signature.get("algorithm"), signature.get("value")) if isinstance(signature, dict) else ("", "")
    if algorithm not in (HMAC, PLAIN) or not isinstance(value, str):
        raise ArtefactError("the model's signature is missing or broken: take another copy of the file")
    if key is not None and algorithm == PLAIN:
        raise ArtefactError(
            "the model is not signed with a key, but state.key is set: sign it by training with that key"
        )
    if key is None and algorithm == HMAC:
        raise ArtefactError("the model is signed with a key: set state.key to it, so that it can be checked")
    if not hmac.compare_digest(value.encode(), _signature(said, key)["value"].encode()):
        why = "the file is damaged, or was changed" if key is None else "it was changed, or signed with another key"
        raise ArtefactError(f"the model's signature is broken: {why}")
