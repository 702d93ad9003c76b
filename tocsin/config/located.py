"""Values with the place each came from, so that an error can point at it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a value was written: a file with line and column (both from 1), or an environment variable."""

    source: str
    line: int | None = None
    column: int | None = None

    def __str__(self) -> str:
        if self.line is None:
            return self.source
        return f"{self.source}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing that is wrong with the configuration, where, and what to do about it."""

    place: str
    path: str
    reason: str

    def __str__(self) -> str:
        return ": ".join(part for part in (self.place, self.path, self.reason) if part)


class ConfigurationError(ValueError):
    """The configuration cannot be used.

    Parameters
    ----------
    problems
        Everything that is wrong, one line each.

    """

    def __init__(self, *problems: Problem) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems


@dataclass(slots=True)
class Located:
    """A tree of plain values, with the place of each key and each value by its path."""

    source: str
    values: dict[str, Any] = field(default_factory=dict)
    keys: dict[Path, Place] = field(default_factory=dict)
    places: dict[Path, Place] = field(default_factory=dict)

    def place(self, path: Path, *, of_key: bool = False) -> Place:
        """Return the place of a path, or of the nearest one above it that was written down."""
        known = self.keys if of_key else self.places
        for length in range(len(path), 0, -1):
            if path[:length] in known:
                return known[path[:length]]
            known = self.keys
        return Place(self.source)


def read_yaml(text: str, source: str) -> Located:
    """Read a YAML document and remember where everything stands.

    Parameters
    ----------
    text
        The document; plain YAML only, no Python tags.
    source
        Its name in error messages.

    Raises
    ------
    ConfigurationError
        If it is no valid YAML, holds a key twice, or is no mapping.

    Examples
    --------
    >>> located = read_yaml("http:\\n  port: 80\\n", "tocsin.yaml")
    >>> located.values, str(located.place(("http", "port")))
    ({'http': {'port': 80}}, 'tocsin.yaml:2:9')

    """
    located = Located(source)
    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return located
        _refuse_repeated_keys(node, source)
        values = loader.construct_document(node)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = Place(source, mark.line + 1, mark.column + 1) if mark else Place(source)
        raise ConfigurationError(Problem(str(place), "", error.problem or "not valid YAML")) from error
    except yaml.YAMLError as error:
        raise ConfigurationError(Problem(source, "", f"not valid YAML: {error}")) from error
    finally:
        loader.dispose()
    if not isinstance(values, dict):
        reason = "the file must hold keys and values, such as `kafka: {bootstrap_servers: localhost:9092}`"
        raise ConfigurationError(Problem(str(_place(node, source)), "", reason))
    located.values = values
    for path, key, value in _walk(node, ()):
        located.places[path] = _place(value, source)
        located.keys[path] = _place(key or value, source)
    return located


def _walk(node: yaml.Node, path: Path) -> Iterator[tuple[Path, yaml.Node | None, yaml.Node]]:
    """Yield every key and item of a constructed document (in which merge keys have been resolved)."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            below = (*path, str(key.value))
            yield below, key, value
            yield from _walk(value, below)
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            yield (*path, index), None, item
            yield from _walk(item, (*path, index))


def _refuse_repeated_keys(root: yaml.Node, source: str) -> None:
    # YAML lets the last of two equal keys win silently, which hides mistakes. A node that contains itself
    # through an alias has no meaning as a setting either.
    pending: list[tuple[yaml.Node, frozenset[int]]] = [(root, frozenset())]
    while pending:
        node, above = pending.pop()
        if id(node) in above:
            raise ConfigurationError(Problem(str(_place(node, source)), "", "this value contains itself"))
        above |= {id(node)}
        if isinstance(node, yaml.MappingNode):
            seen: set[str] = set()
            for key, value in node.value:
                if key.value in seen and key.tag != "tag:yaml.org,2002:merge":
                    place = str(_place(key, source))
                    raise ConfigurationError(Problem(place, str(key.value), "written twice; keep one"))
                if isinstance(key.value, str):
                    seen.add(key.value)
                pending.append((value, above))
        elif isinstance(node, yaml.SequenceNode):
            pending.extend((item, above) for item in node.value)


def _place(node: yaml.Node, source: str) -> Place:
    return Place(source, node.start_mark.line + 1, node.start_mark.column + 1)
