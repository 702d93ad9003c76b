"""Which incidents an alert may belong to: what it has in common with their alerts."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from alerts.alert import Alert
from alerts.topology import Topology

_NODE, _OWN, _ATTRIBUTES = "node\x1f", "own\x1f", "attributes\x1f"


class Relations:
    """An index of incidents by what their alerts have in common: what they depend on, their source, their attributes.

    Two alerts are related if one depends on the other, or both on a third, within ``hops``; or if they agree in all
    attributes of ``group_by``. So whether an alert is related to any of the alerts of an incident is a few look-ups,
    however many these are.

    Parameters
    ----------
    topology
        What depends on what, and has which attributes.
    hops
        How far up.
    group_by
        Names of attributes; ``stream`` is one of the alert itself.

    """

    def __init__(self, topology: Topology, hops: int, group_by: tuple[str, ...]) -> None:
        self._topology, self._hops, self._group_by = topology, hops, group_by
        self._index: dict[str, dict[str, int]] = {}

    def keys(self, alert: Alert) -> tuple[str, ...]:
        """Return what an alert may have in common with others; its source itself comes first."""
        ancestors = self._topology.ancestors(alert.source, self._hops)
        keys = (_OWN + alert.source, *(_NODE + node for node in ancestors))
        if not self._group_by:
            return keys
        attributes = {"stream": alert.stream} | self._topology.node(alert.source).attributes
        if not all(name in attributes for name in self._group_by):
            return keys
        return (*keys, _ATTRIBUTES + "\x1f".join(f"{name}={attributes[name]}" for name in self._group_by))

    def own(self, keys: tuple[str, ...]) -> tuple[str, ...]:
        """Return those incidents that an alert's own source has been part of."""
        return tuple(self._index.get(keys[0], ()))

    def others(self, keys: tuple[str, ...]) -> tuple[str, ...]:
        """Return all incidents with which there is something in common."""
        return tuple(dict.fromkeys(incident for key in keys for incident in self._index.get(key, ())))

    def of_node(self, node: str) -> Collection[str]:
        """Return the incidents that a node of the graph may have to do with."""
        return self._index.get(_NODE + node, {}).keys()

    def add(self, incident: str, keys: Iterable[str]) -> None:
        """Note what the alerts of an incident may have in common with others."""
        for key in keys:
            found = self._index.setdefault(key, {})
            found[incident] = found.get(incident, 0) + 1

    def remove(self, incident: str, keys: Iterable[str]) -> None:
        """Take back what was noted of alerts that are no longer part of an incident."""
        for key in keys:
            found = self._index[key]
            found[incident] -= 1
            if not found[incident]:
                del found[incident]
            if not found:
                del self._index[key]


def components(keys_of: dict[str, tuple[str, ...]]) -> list[list[str]]:
    """Return the groups of alerts that hang together by what they have in common, in the order of their first ones.

    Examples
    --------
    >>> components({"a": ("x",), "b": ("y",), "c": ("x", "z")})
    [['a', 'c'], ['b']]

    """
    group_of: dict[str, str] = {}

    def root(key: str) -> str:
        while group_of[key] != key:
            group_of[key] = group_of[group_of[key]]
            key = group_of[key]
        return key

    for keys in keys_of.values():
        for key in keys:
            group_of.setdefault(key, key)
            group_of[root(key)] = root(keys[0])
    groups: dict[str, list[str]] = {}
    for alert, keys in keys_of.items():
        groups.setdefault(root(keys[0]), []).append(alert)
    return list(groups.values())
