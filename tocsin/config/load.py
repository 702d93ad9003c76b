"""From `tocsin.yaml` and the environment to one validated tree of settings."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from tocsin.config.located import ConfigurationError, Problem
from tocsin.config.problems import explain
from tocsin.config.sources import current_environment, gather

DEFAULT_FILE = Path("tocsin.yaml")
"""Read when it is there and no other file is named."""

FILE_VARIABLE = "TOCSIN_CONFIG"
"""Environment variable that names the file."""

Settings = TypeVar("Settings", bound=BaseModel)


def load_settings(
    model: type[Settings], file: Path | None = None, environment: Mapping[str, str] | None = None
) -> Settings:
    """Load a tree of settings.

    Parameters
    ----------
    model
        Top of the tree.
    file
        The YAML file; ``None`` takes the one that ``TOCSIN_CONFIG`` names, else ``tocsin.yaml`` if it is
        there, else only the environment and the defaults.
    environment
        Environment variables; ``None`` takes this process's.

    Raises
    ------
    ConfigurationError
        If anything is wrong, with every problem found, its place and what to do.

    """
    environment = current_environment() if environment is None else environment
    located = gather(model, file or _default_file(environment), environment)
    try:
        return model.model_validate(located.values)
    except ValidationError as error:
        raise ConfigurationError(*explain(model, located, error)) from None


def _default_file(environment: Mapping[str, str]) -> Path | None:
    named = environment.get(FILE_VARIABLE)
    if named:
        file = Path(named)
        if not file.is_file():
            place = f"environment variable {FILE_VARIABLE}"
            raise ConfigurationError(Problem(place, "", f"names {named}, which is no file"))
        return file
    return DEFAULT_FILE if DEFAULT_FILE.is_file() else None
