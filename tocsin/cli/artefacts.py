"""Files of trained models, for commands that write or read them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tocsin.cli.columns import must_exist
from tocsin.cli.errors import WRONG_USAGE, CommandError

if TYPE_CHECKING:
    from detectors.artefact import Artefact
    from detectors.rul import Fleet
    from detectors.rul.packed import Schema


def state_key(config: Path | None) -> bytes | None:
    """Return the secret that signs models, if the configuration has one."""
    from tocsin.config import load_configuration  # noqa: PLC0415 - start-up time
    from tocsin.wiring import state_key as key_of  # noqa: PLC0415 - start-up time

    return key_of(load_configuration(config))


def write_model(file: Path, artefact: Artefact, key: bytes | None, card: str) -> Path:
    """Write a model and its card, each there once it is whole, and return where the card is."""
    about = file.with_suffix(".md")
    if about == file:
        raise CommandError(f"{file}: the card goes there; give the model another ending", WRONG_USAGE)
    file.parent.mkdir(parents=True, exist_ok=True)
    for target, content in ((about, card.encode()), (file, artefact.encode(key))):
        part = target.with_name(f".{target.name}.part")
        part.write_bytes(content)
        part.replace(target)
    return about


def read_model(file: Path, key: bytes | None) -> Artefact:
    """Return the model in a file.

    Raises
    ------
    tocsin.cli.errors.CommandError
        If there is none that can be used.

    """
    from detectors.artefact import Artefact, ArtefactError  # noqa: PLC0415 - start-up time

    must_exist(file)
    try:
        return Artefact.decode(file.read_bytes(), key)
    except ArtefactError as error:
        raise CommandError(f"{file}: {error}") from error


def read_fleet(file: Path, key: bytes | None) -> tuple[Fleet, Schema]:
    """Return the model of remaining useful life in a file.

    Raises
    ------
    tocsin.cli.errors.CommandError
        If there is none that can be used.

    """
    from detectors.artefact import ArtefactError  # noqa: PLC0415 - start-up time
    from detectors.rul.packed import unpack  # noqa: PLC0415 - start-up time

    try:
        return unpack(read_model(file, key))
    except ArtefactError as error:
        raise CommandError(f"{file}: {error}") from error
