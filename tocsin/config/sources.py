"""Lays the sources of the configuration over each other: the file, secret files, environment variables."""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from pathlib import Path as FilePath
from typing import Any

import yaml
from pydantic import BaseModel

from tocsin.config import fields
from tocsin.config.located import ConfigurationError, Located, Path, Place, Problem, read_yaml

PREFIX = "TOCSIN_"
NESTED = "__"
SHORT_NAMES: Mapping[str, Path] = {
    "KAFKA_BOOTSTRAP": ("kafka", "bootstrap_servers"),
    "TOCSIN_STATE_KEY": ("state", "key"),
}
"""Variables with a name of their own; the long name of the same setting goes over them."""


def gather(model: type[BaseModel], file: FilePath | None, environment: Mapping[str, str]) -> Located:
    """Read the file, if any, and lay secret files and then environment variables over it.

    Parameters
    ----------
    model
        Top of the tree of settings; says which settings are secrets and which take lists.
    file
        A YAML file.
    environment
        Environment variables.

    Raises
    ------
    ConfigurationError
        If a source cannot be read, or the file holds a secret.

    """
    located = read_yaml(_text(file), str(file)) if file else Located("the environment")
    problems = _refuse_secrets(model, located)
    folder = file.parent if file else FilePath()
    problems += _read_secret_files(model, located, folder)
    problems += _lay_environment_over(model, located, environment)
    if problems:
        raise ConfigurationError(*sorted(problems))
    return located


def variable(path: Path) -> str:
    """Return the environment variable of a setting.

    Examples
    --------
    >>> variable(("kafka", "bootstrap_servers"))
    'TOCSIN_KAFKA__BOOTSTRAP_SERVERS'

    """
    return PREFIX + NESTED.join(map(str, path)).upper()


def _text(file: FilePath) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except OSError as error:
        reason = f"cannot be read: {error.strerror or error}; name another file with --config"
        raise ConfigurationError(Problem(str(file), "", reason)) from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(Problem(str(file), "", "is not UTF-8 text; save it as UTF-8")) from error


def _refuse_secrets(model: type[BaseModel], located: Located) -> list[Problem]:
    """A file is copied, committed and shown; a secret in it would go along."""
    problems = []
    for path, place in located.keys.items():
        if path[-1:] and fields.is_secret_at(model, path) and value_at(located.values, path) is not None:
            reason = (
                f"a secret must not be written in this file: set the environment variable {variable(path)}, "
                f"or write `{path[-1]}{fields.SECRET_FILE}: PATH` to read it from a file of its own"
            )
            problems.append(Problem(str(place), dotted(path), reason))
    return problems


def _read_secret_files(model: type[BaseModel], located: Located, folder: FilePath) -> list[Problem]:
    problems = []
    for path in list(located.places):
        secret = _secret_behind(model, path)
        if secret is None:
            continue
        name = value_at(located.values, path)
        parent = value_at(located.values, path[:-1])
        del parent[path[-1]]
        if name is None:
            continue
        try:
            parent[secret[-1]] = _secret_text(folder / str(name))
        except ValueError as error:
            problems.append(Problem(str(located.place(path)), dotted(path), str(error)))
        located.places[secret] = located.keys[secret] = located.place(path)
    return problems


def _secret_behind(model: type[BaseModel], path: Path) -> Path | None:
    """Return the path of the secret that `<name>_file` stands for, if it does."""
    name = str(path[-1])
    if not name.endswith(fields.SECRET_FILE) or fields.annotations_at(model, path):
        return None
    secret = (*path[:-1], name.removesuffix(fields.SECRET_FILE))
    return secret if fields.is_secret_at(model, secret) else None


def _lay_environment_over(model: type[BaseModel], located: Located, environment: Mapping[str, str]) -> list[Problem]:
    problems = []
    for name, path in _settings_in(model, environment):
        place = Place(f"environment variable {name}")
        try:
            _lay_variable_over(model, located, path, environment[name], place)
        except (LookupError, TypeError, ValueError) as error:
            problems.append(Problem(str(place), dotted(path), str(error.args[0])))
    return problems


def _lay_variable_over(model: type[BaseModel], located: Located, path: Path, text: str, place: Place) -> None:
    secret = _secret_behind(model, path)
    if secret is not None:
        path, text = secret, _secret_text(FilePath(text))
    annotations = fields.annotations_at(model, path)
    if not annotations:
        raise LookupError(_unknown(model, variable(path)))
    path = _assign(located.values, path, _value(annotations, text))
    for below in [one for one in located.places if one[: len(path)] == path]:
        del located.places[below], located.keys[below]
    located.places[path] = located.keys[path] = place


def _secret_text(file: FilePath) -> str:
    try:
        return file.read_text(encoding="utf-8").rstrip("\r\n")
    except OSError as error:
        raise ValueError(f"cannot read the secret from {file}: {error.strerror or error}") from error
    except UnicodeDecodeError:
        # Without its cause, which holds the secret's bytes.
        raise ValueError(f"cannot read the secret from {file}: it is not UTF-8 text") from None


def _settings_in(model: type[BaseModel], environment: Mapping[str, str]) -> list[tuple[str, Path]]:
    """Return the variables that are settings, the more general first so that the more precise go over them.

    An empty variable counts as not set: Compose files and Kubernetes manifests pass on what may be missing.
    """
    found = [
        (name, path)
        for name, path in SHORT_NAMES.items()
        if environment.get(name) and fields.annotations_at(model, path)
    ]
    long = []
    for name in sorted(environment):
        if not name.upper().startswith(PREFIX) or name in SHORT_NAMES or not environment[name]:
            continue
        path: Path = tuple(name[len(PREFIX) :].lower().split(NESTED))
        # A name without `__` may belong to something else, such as TOCSIN_JAVA_HOME.
        if len(path) > 1 or path[0] in model.model_fields or _secret_behind(model, path):
            long.append((name, path))
    return found + sorted(long, key=lambda setting: len(setting[1]))


def _unknown(model: type[BaseModel], name: str) -> str:
    every = [variable(known) for known, _ in fields.every_field(model)]
    nearest = difflib.get_close_matches(name, every, 1)
    hint = f"did you mean {nearest[0]}?" if nearest else "`tocsin check --schema` shows all settings"
    return f"no such setting; {hint}"


def _value(annotations: list[Any], text: str) -> Any:
    """Read a variable's text: pydantic turns text into numbers itself, but not into lists or mappings."""
    containers = [one for one in annotations if fields.is_container(one)]
    if containers and text.lstrip().startswith(("[", "{")):
        try:
            return yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise ValueError("is neither valid JSON nor YAML") from error
    if type(None) in annotations and text.lower() in ("null", "none"):
        return None
    if containers and str not in annotations and not fields.models_of(containers):
        return [part.strip() for part in text.split(",")]
    return text


def _assign(values: Any, path: Path, value: Any) -> Path:
    """Set a value in a tree of mappings and lists, and return its path there (list items by number)."""
    reached: list[str | int] = []
    for part in path:
        if isinstance(values, list):
            if not str(part).isdigit() or int(part) >= len(values):
                raise LookupError(f"there is no item {part} in the file; the list has {len(values)}")
            reached.append(int(part))
        elif isinstance(values, dict):
            reached.append(part)
        else:
            raise TypeError(f"{dotted(tuple(reached))} has no keys of its own, so it has no `{part}`")
        if len(reached) < len(path):
            if isinstance(values, dict) and values.get(part) is None:
                values[part] = {}
            values = values[reached[-1]]
    values[reached[-1]] = value
    return tuple(reached)


def value_at(values: Any, path: Path) -> Any:
    """Return the value at a path of plain mappings and lists, ``None`` where there is none."""
    for part in path:
        if isinstance(values, dict):
            values = values.get(part)
        elif isinstance(values, list) and isinstance(part, int) and part < len(values):
            values = values[part]
        else:
            return None
    return values


def dotted(path: Path) -> str:
    """Write a path as people say it."""
    return ".".join(map(str, path))


def current_environment() -> Mapping[str, str]:
    """Return this process's environment variables."""
    return os.environ
