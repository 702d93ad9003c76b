"""Routing: which receivers hear of an alert, and how it is grouped for each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, Field

from alerts.durations import Duration
from alerts.matchers import Matcher, Matchers, matches_all, parsed

ALL = "..."
"""In ``group_by``: all labels, so that each alert is a group of its own."""


class Route(BaseModel):
    """A node of Alertmanager's tree of routes; what it does not say it has from the one above.

    An alert goes to the first of ``routes`` that matches, and on to the next ones if that says ``continue``; to this
    node itself only if none of them matches.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    receiver: str | None = Field(None, description="Name of the receiver")
    matchers: Matchers = Field((), description="All must match")
    group_by: tuple[str, ...] | None = Field(
        None, description="Labels by which alerts share a notification; `[...]` is all; default: one group of all"
    )
    group_wait: Duration | None = Field(None, description="Time that a new group waits for more; default 30s")
    group_interval: Duration | None = Field(None, description="Time between notifications of a group; default 5m")
    repeat_interval: Duration | None = Field(
        None, description="Time after which a group that goes on is told again, unless acknowledged; default 4h"
    )
    max_groups: int | None = Field(
        None, ge=1, le=10_000, description="Groups of their own; alerts beyond share one more; default 100"
    )
    continue_: bool = Field(False, alias="continue", description="Whether the next routes are asked too")
    routes: tuple[Route, ...] = Field((), description="Routes below")


@dataclass(frozen=True, slots=True)
class Destination:
    """A node of the tree with all that it has from above.

    Parameters
    ----------
    id
        Its path: the matchers of all nodes down to it, and where several have the same ones, their number.
    receiver
        Name of the receiver.
    group_by
        Labels; ``None`` is all.
    group_wait, group_interval, repeat_interval
        Seconds.
    max_groups
        Groups of their own.

    """

    id: str
    receiver: str
    group_by: tuple[str, ...] | None
    group_wait: float
    group_interval: float
    repeat_interval: float
    max_groups: int

    def group_labels(self, labels: Mapping[str, str]) -> dict[str, str]:
        """Return the labels of the group that an alert belongs to."""
        if self.group_by is None:
            return dict(sorted(labels.items()))
        return {name: labels[name] for name in sorted(self.group_by) if labels.get(name)}


class Router:
    """The tree of routes, ready to be asked.

    Examples
    --------
    >>> router = Router(Route(receiver="ops", routes=(Route(matchers=('severity="critical"',), receiver="pager"),)))
    >>> [one.receiver for one in router.destinations({"severity": "critical"})]
    ['pager']
    >>> [one.receiver for one in router.destinations({"severity": "info"})]
    ['ops']

    """

    def __init__(self, root: Route, default_receiver: str = "default") -> None:
        base = Destination("", root.receiver or default_receiver, (), 30.0, 300.0, 14_400.0, 100)
        self._root = _Node(root, base, "")
        self.by_id = {one.id: one for one in self._root.all()}

    def destinations(self, labels: Mapping[str, str]) -> list[Destination]:
        """Return where an alert goes, in the order of the tree."""
        return self._root.ask(labels)


class _Node:
    def __init__(self, route: Route, above: Destination, number: str) -> None:
        self.matchers: Sequence[Matcher] = parsed(route.matchers)
        said = route.model_dump(
            include={"receiver", "group_wait", "group_interval", "repeat_interval", "max_groups"}, exclude_none=True
        )
        group_by = above.group_by if route.group_by is None else None if ALL in route.group_by else route.group_by
        path = f"{above.id}/{{{','.join(map(str, self.matchers))}}}{number}"
        self.destination = Destination(
            id=path,
            group_by=group_by,
            **{name: said.get(name, getattr(above, name)) for name in _INHERITED},
        )
        self.goes_on = route.continue_
        seen: dict[tuple[str, ...], int] = {}
        self.below = []
        for child in route.routes:
            times = seen[child.matchers] = seen.get(child.matchers, 0) + 1
            self.below.append(_Node(child, self.destination, f"#{times}" if times > 1 else ""))

    def ask(self, labels: Mapping[str, str]) -> list[Destination]:
        if not matches_all(self.matchers, labels):
            return []
        found: list[Destination] = []
        for child in self.below:
            of_child = child.ask(labels)
            found += of_child
            if of_child and not child.goes_on:
                break
        return found or [self.destination]

    def all(self) -> Iterator[Destination]:
        yield self.destination
        for child in self.below:
            yield from child.all()


_INHERITED = ("receiver", "group_wait", "group_interval", "repeat_interval", "max_groups")
