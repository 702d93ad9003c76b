"""Which accounts and counterparties have been silent for so long that they are forgotten."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Generic, Protocol, TypeVar

from streams.atomic_states import AtomicStates
from streams.kept_states import KeptStates, Snapshotted

AT_ONCE = 10
"""Stored states that are looked at in one tick, a second: transactions do not wait for more."""


class Seen(Snapshotted, Protocol):
    """What knows when it was last seen."""

    @property
    def newest(self) -> float:
        """Event time of the newest that is known of it, -inf if nothing is."""


S = TypeVar("S", bound=Seen)


class Forgetting(Generic[S]):
    """States of one kind, of which those that were last seen too long ago count as gone.

    What is forgotten begins anew when it is next asked for. So its stored state may be deleted at any later moment, and
    nothing that is decided depends on when. Whoever deletes goes around all that is stored, a few names at a time.

    Parameters
    ----------
    kept
        The states.
    states
        Where they are stored.
    prefix
        What their keys begin with.
    after
        Seconds of event time; ``None`` is never.

    Examples
    --------
    >>> class Shop:
    ...     newest = 100.0
    ...     def snapshot(self):
    ...         return b"."
    ...     def restore(self, state):
    ...         pass
    >>> states = AtomicStates({}, "shard")
    >>> kept = KeptStates(lambda name: Shop(), lambda name: states.get("shop/" + name), overhead=100)
    >>> shops = Forgetting(kept, states, "shop/", after=60.0)
    >>> shop = shops.change("corner", 150.0)
    >>> shops.change("corner", 160.0) is shop, shops.change("corner", 161.0) is shop
    (True, False)

    """

    def __init__(self, kept: KeptStates[S], states: AtomicStates, prefix: str, after: float | None) -> None:
        self._kept, self._states, self._prefix = kept, states, prefix
        self._after = math.inf if after is None else after
        self._looked_at = prefix

    def is_forgotten(self, one: S, now: float) -> bool:
        """Say whether one was last seen too long before ``now``, in event time."""
        return now - one.newest > self._after and math.isfinite(one.newest)

    def change(self, name: str, now: float) -> S:
        """Return one to change, which is new if what was known by this name is forgotten."""
        one = self._kept.change(name)
        return self._kept.begin_anew(name) if self.is_forgotten(one, now) else one

    def forget(self, now: float) -> Iterator[S]:
        """Look at the next stored ones, delete those that are forgotten, and yield them as they were.

        One that has changed since the last checkpoint stays until the next time around: after a crash its records come
        again.
        """
        if not math.isfinite(self._after):
            return
        keys = self._states.keys_after(self._looked_at, AT_ONCE)
        for key in keys:
            if not key.startswith(self._prefix):
                break
            name = key.removeprefix(self._prefix)
            one = None if self._kept.has_changed(name) else self._kept.peek(name)
            if one is not None and self.is_forgotten(one, now):
                self._kept.forget(name)
                yield one
        ours = [key for key in keys if key.startswith(self._prefix)]
        self._looked_at = ours[-1] if len(ours) == AT_ONCE else self._prefix
