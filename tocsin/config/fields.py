"""What a tree of settings models knows at a path: its names, its types and which of them are secrets."""

from __future__ import annotations

import types
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, SecretBytes, SecretStr
from pydantic.fields import FieldInfo

from tocsin.config.located import Path

SECRET_FILE = "_file"  # noqa: S105 - a suffix of key names
"""`password_file: PATH` stands for the secret `password`."""


def annotations_at(root: Any, path: Path) -> list[Any]:
    """Return the types that a value at this path may have; none if the tree has no such path.

    Examples
    --------
    >>> class Web(BaseModel):
    ...     port: int | None = None
    >>> annotations_at(Web, ("port",))
    [<class 'int'>, <class 'NoneType'>]

    """
    found = list(_alternatives(root))
    for part in path:
        found = [below for one in found for below in _below(one, part)]
    return found


def names_at(root: Any, path: Path) -> list[str]:
    """Return the keys that a file may hold at this path."""
    names: list[str] = []
    for model in models_at(root, path):
        for name, field in _fields(model):
            names.append(name + SECRET_FILE if is_secret(field.annotation) else name)
    return names


def models_at(root: Any, path: Path) -> list[type[BaseModel]]:
    """Return the settings models that may stand at this path."""
    return models_of(annotations_at(root, path))


def models_of(annotations: list[Any]) -> list[type[BaseModel]]:
    """Return those of the types that are settings models."""
    return [one for one in annotations if _is_model(one)]


def is_secret(annotation: Any) -> bool:
    """Say whether a value of this type is a secret."""
    return any(one in (SecretStr, SecretBytes) for one in _alternatives(annotation))


def is_secret_at(root: Any, path: Path) -> bool:
    """Say whether a value at this path is a secret."""
    return any(one in (SecretStr, SecretBytes) for one in annotations_at(root, path))


def is_container(annotation: Any) -> bool:
    """Say whether a type holds several values."""
    return _is_model(annotation) or _is_a(annotation, (Mapping, Sequence, AbstractSet))


def paths_to(root: Any, name: str) -> Iterator[str]:
    """Yield every path of the tree that ends in this name, for whoever wrote it in the wrong place."""
    for path, _ in every_field(root):
        if path[-1] == name:
            yield ".".join(path)


def every_field(root: Any) -> Iterator[tuple[tuple[str, ...], FieldInfo]]:
    """Yield each field of a tree of models with its path, parents first."""
    pending: list[tuple[tuple[str, ...], Any]] = [((), root)]
    while pending:
        path, annotation = pending.pop(0)
        for model in (one for one in _alternatives(annotation) if _is_model(one)):
            for name, field in _fields(model):
                yield (*path, name), field
                if len(path) < 8:  # a model may contain itself
                    pending.append(((*path, name), field.annotation))


def _alternatives(annotation: Any) -> Iterator[Any]:
    if get_origin(annotation) is Annotated:
        yield from _alternatives(get_args(annotation)[0])
    elif get_origin(annotation) in (Union, types.UnionType):
        for one in get_args(annotation):
            yield from _alternatives(one)
    else:
        yield annotation


def _below(annotation: Any, part: str | int) -> Iterator[Any]:
    if _is_model(annotation):
        for name, field in _fields(annotation):
            if name == part:
                yield from _alternatives(field.annotation)
    elif _is_a(annotation, (Mapping,)):
        yield from _alternatives((*get_args(annotation), Any)[1])
    elif _is_a(annotation, (Sequence, AbstractSet)) and str(part).isdigit():
        yield from _alternatives((*get_args(annotation), Any)[0])


def _fields(model: type[BaseModel]) -> Iterator[tuple[str, FieldInfo]]:
    """Yield the fields by the names that a file uses: `continue` cannot be one in Python."""
    return ((field.alias or name, field) for name, field in model.model_fields.items())


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _is_a(annotation: Any, kinds: tuple[type, ...]) -> bool:
    kind = get_origin(annotation) or annotation
    return isinstance(kind, type) and issubclass(kind, kinds) and not issubclass(kind, (str, bytes))
