"""Turns pydantic's errors into lines with file, line, column and what to do."""

from __future__ import annotations

import difflib
from typing import Any

from pydantic import BaseModel, ValidationError

from tocsin.config import fields
from tocsin.config.located import Located, Path, Problem
from tocsin.config.sources import dotted, variable


def explain(model: type[BaseModel], located: Located, error: ValidationError) -> list[Problem]:
    """Say of each error where it is and what to do.

    Parameters
    ----------
    model
        Top of the tree of settings.
    located
        What was validated.
    error
        What pydantic found. Its full text repeats the input, which may be a secret: only reasons are used.

    """
    reasons: dict[tuple[str, str], list[str]] = {}
    for one in error.errors(include_url=False, include_input=False):
        path = _path(located.values, one["loc"], one["type"])
        unknown = one["type"] == "extra_forbidden"
        place = located.place(path, of_key=unknown)
        found = reasons.setdefault((str(place), dotted(path)), [])
        reason = _unknown(model, path) if unknown else _reason(model, path, one)
        if reason not in found:
            found.append(reason)
    # The same place with several reasons is a value that may be of several types and is of none.
    return [Problem(place, path, "; or ".join(found)) for (place, path), found in reasons.items()]


def _path(values: Any, location: tuple[str | int, ...], kind: str) -> Path:
    """Leave out of pydantic's location what no user wrote, such as the names of a union's types."""
    path: list[str | int] = []
    for index, part in enumerate(location):
        try:
            values = values[part]
        except (LookupError, TypeError):
            if kind != "missing" or index < len(location) - 1:
                continue
        path.append(part)
    return tuple(path)


def _reason(model: type[BaseModel], path: Path, error: Any) -> str:
    if error["type"] == "missing":
        if fields.is_secret_at(model, path):
            return f"is required: set {variable(path)}, or `{path[-1]}{fields.SECRET_FILE}: PATH` in the file"
        return f"is required: write it in the file, or set {variable(path)}"
    message = str(error["msg"]).removeprefix("Value error, ").removeprefix("Assertion failed, ")
    if error["type"] in ("model_type", "model_attributes_type", "dict_type"):
        names = ", ".join(fields.names_at(model, path))
        return f"should hold keys and values{f' ({names})' if names else ''}"
    return message[:1].lower() + message[1:]


def _unknown(model: type[BaseModel], path: Path) -> str:
    name, known = str(path[-1]), fields.names_at(model, path[:-1])
    near = difflib.get_close_matches(name, known, 1)
    if near:
        return f"unknown key; did you mean `{near[0]}`?"
    elsewhere = next(fields.paths_to(model, name), None)
    if elsewhere:
        return f"unknown key here; did you mean `{elsewhere}`?"
    nearest = difflib.get_close_matches(name, known, 1, cutoff=0.0)
    if nearest:
        return f"unknown key; the nearest known one is `{nearest[0]}` (all: {', '.join(known)})"
    return "unknown key"
