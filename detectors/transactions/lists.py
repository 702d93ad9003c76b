"""Lists of accounts, counterparties and other attributes whose transactions are allowed, blocked or watched."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

import msgspec

ListName = Literal["allow", "block", "watch"]


class Entry(msgspec.Struct, frozen=True):
    """What stands on a list, until when, and why."""

    until: float
    reason: str


class Lists:
    """Entries by list, field and value.

    Examples
    --------
    >>> lists = Lists()
    >>> lists.put("block", "counterparty", "shop-9", Entry(until=100.0, reason="closed"))
    >>> lists.hits({"account": "ann", "counterparty": "shop-9"}, at=60.0)
    {'allow': {}, 'block': {'counterparty': 'closed'}, 'watch': {}}
    >>> lists.hits({"counterparty": "shop-9"}, at=100.0)["block"]
    {}

    """

    def __init__(self) -> None:
        self._entries: dict[str, dict[tuple[str, str], Entry]] = {name: {} for name in get_args(ListName)}
        self._fields: set[str] = set()

    def __len__(self) -> int:
        return sum(map(len, self._entries.values()))

    def put(self, name: ListName, field: str, value: str, entry: Entry | None) -> None:
        """Put an entry on a list in place of the one before; ``None`` takes it off."""
        if entry is None:
            self._entries[name].pop((field, value), None)
        else:
            self._entries[name][field, value] = entry
            self._fields.add(field)

    def hits(self, fields: Mapping[str, str], at: float) -> dict[str, dict[str, str]]:
        """Return, by list, the fields of a transaction that stand on it at an event time, each with the reason."""
        found: dict[str, dict[str, str]] = {name: {} for name in self._entries}
        for field in sorted(self._fields & fields.keys()):
            for name, entries in self._entries.items():
                entry = entries.get((field, fields[field]))
                if entry is not None and at < entry.until:
                    found[name][field] = entry.reason
        return found
