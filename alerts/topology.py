"""What depends on what: the declared graph of sources, and what is learned of it."""

from __future__ import annotations

import re
from collections.abc import Set
from functools import cached_property
from typing import NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from alerts.learned_topology import LearnedTopology

MOST_ANCESTORS = 64
"""Nodes that a source is asked about upwards; more would make a storm's cost depend on the graph."""

MOST_NODES = 100_000
"""Nodes whose rules are remembered; the others are looked up again."""

SPECIAL = frozenset(r"\.^$*+?{}[]()|")
"""What a regular expression has and a plain name has not."""


class SourceRule(BaseModel):
    r"""What is known of the sources with a name of some form.

    Examples
    --------
    >>> rule = SourceRule(
    ...     match=r"(?P<site>\w+)/sensor-\d+", depends_on=("{site}/gateway",), attributes={"site": "{site}"}
    ... )
    >>> rule.of("north/sensor-17")
    (('north/gateway',), {'site': 'north'})

    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    match: str = Field(
        description="Regular expression for the whole name of a source or node; its named groups may stand in braces"
        " in `depends_on` and `attributes`"
    )
    depends_on: tuple[str, ...] = Field((), description="Nodes whose faults reach it, with telemetry or without")
    attributes: dict[str, str] = Field(default_factory=dict, description="What it shares with others: site, rack")
    owner: str | None = Field(None, description="Who takes care of it")

    @model_validator(mode="after")
    def _is_written_well(self) -> Self:
        try:
            groups = re.compile(self.match).groupindex
        except re.error as error:
            raise ValueError(f"match: {self.match!r} is no regular expression: {error}") from error
        for template in (*self.depends_on, *self.attributes.values()):
            try:
                template.format(**dict.fromkeys(groups, ""))
            except (KeyError, IndexError, ValueError) as error:
                known = ", ".join(sorted(groups)) or "none"
                raise ValueError(f"{template!r} does not fit match: {error}; its named groups are: {known}") from error
        return self

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        return re.compile(self.match)

    def of(self, name: str) -> tuple[tuple[str, ...], dict[str, str]] | None:
        """Return what a node depends on and its attributes; ``None`` if the rule is not about it."""
        found = self._pattern.fullmatch(name)
        if found is None:
            return None
        groups = {group: text or "" for group, text in found.groupdict().items()}
        attributes = {key: value.format(**groups) for key, value in self.attributes.items()}
        return tuple(node.format(**groups) for node in self.depends_on), attributes


class TopologySettings(BaseModel):
    """A declared graph of sources: what depends on what."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sources: tuple[SourceRule, ...] = Field((), description="All rules that match a name count; the first owner wins")
    hops: int = Field(2, ge=0, le=8, description="How far up alerts are asked for a common cause to be one incident")
    cause_hops: int = Field(4, ge=1, le=16, description="How far up the graph causes are looked for")
    learn: bool = Field(
        False, description="Whether dependencies are also learned, from what moves together and its lag"
    )
    longest_lag: float = Field(120.0, gt=0, description="Seconds within which what moves together is learned from")


class Node(NamedTuple):
    """What is declared of one node."""

    depends_on: tuple[str, ...]
    attributes: dict[str, str]
    owner: str | None


class Topology:
    """The graph, looked up node by node when a node is first needed.

    Parameters
    ----------
    settings
        What is declared.
    learned
        What was learned besides, if it is to count.

    Examples
    --------
    >>> topology = Topology(TopologySettings(sources=(
    ...     SourceRule(match="web", depends_on=("api",)), SourceRule(match="api", depends_on=("db", "cache")),
    ... )))
    >>> topology.ancestors("web", 2)
    {'web': 0, 'api': 1, 'db': 2, 'cache': 2}

    """

    def __init__(self, settings: TopologySettings, learned: LearnedTopology | None = None) -> None:
        self._settings = settings
        self._learned = learned
        self._nodes: dict[str, Node] = {}
        self._children: dict[str, set[str]] = {}
        for rule in settings.sources:
            if not SPECIAL.intersection(rule.match):
                for parent in self.node(rule.match).depends_on:
                    self._children.setdefault(parent, set()).add(rule.match)

    def node(self, name: str) -> Node:
        """Return what is declared of a node."""
        node = self._nodes.get(name)
        if node is None:
            if len(self._nodes) >= MOST_NODES:
                self._nodes.clear()
            node = self._nodes[name] = self._declared(name)
        return node

    def parents(self, name: str) -> tuple[str, ...]:
        """Return the nodes that one depends on, declared ones first."""
        declared = self.node(name).depends_on
        learned = () if self._learned is None else self._learned.parents(name)
        return (*declared, *(node for node in learned if node not in declared)) if learned else declared

    def children(self, name: str) -> Set[str]:
        """Return the nodes that depend directly on one, of those declared by their plain names."""
        return self._children.get(name, frozenset())

    def ancestors(self, name: str, hops: int) -> dict[str, int]:
        """Return a node and those it depends on directly or not, each with its distance, nearest first."""
        found, edge = {name: 0}, [name]
        for distance in range(1, hops + 1):
            further = []
            for node in edge:
                for parent in self.parents(node):
                    if parent not in found and len(found) < MOST_ANCESTORS:
                        found[parent] = distance
                        further.append(parent)
            edge = further
        return found

    def _declared(self, name: str) -> Node:
        depends_on: dict[str, None] = {}
        attributes: dict[str, str] = {}
        owner = None
        for rule in self._settings.sources:
            matched = rule.of(name)
            if matched is not None:
                depends_on |= dict.fromkeys(node for node in matched[0] if node != name)
                attributes = matched[1] | attributes
                owner = owner or rule.owner
        return Node(tuple(depends_on), attributes, owner)
