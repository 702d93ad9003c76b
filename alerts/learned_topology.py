"""What seems to depend on what: learned from sources that are unusual together, one after the other."""

from __future__ import annotations

from collections import deque

import msgspec

from alerts.happening import RareMoment

MOST_RECENT = 48
"""Sources unusual at about the same time beyond which nothing is learned: of a storm, all pairs would be."""

MOST_PAIRS = 50_000
"""Pairs that are remembered; when there are more, the rarest half goes."""

LEAST_TOGETHER = 4
"""Times that two must have been unusual together."""

LEAST_SHARE = 0.3
"""Of the times that the rarer one was unusual, those with the other."""

LEAST_LIFT = 3.0
"""How many times as often as by chance they must have been together."""

MOST_SOURCES = 20_000
"""Sources whose times are remembered; when there are more, those go that were not unusual for the longest."""

CLEAR_LEAD = 0.7
"""Share of the times that one came first from which on the other depends on it, and not both on each other."""


class _Pair(msgspec.Struct, array_like=True):
    """How often the one came first, the other, or neither; and which of them depends on the other, or both."""

    first: int = 0
    second: int = 0
    same: int = 0
    first_depends: bool = False
    second_depends: bool = False

    @property
    def together(self) -> int:
        return self.first + self.second + self.same


class LearnedTopology:
    """A graph of sources, from the order in which they become unusual.

    A source becomes unusual when a rare moment follows none of its own within ``longest_lag``. Two sources that do so
    together much more often than by chance are connected; if one of them mostly comes first, the other depends on it.

    Parameters
    ----------
    longest_lag
        Seconds within which what becomes unusual counts as together.

    Examples
    --------
    >>> learned = LearnedTopology(60.0)
    >>> for hour in range(8):
    ...     learned.saw(RareMoment("pump", 3600.0 * hour))
    ...     learned.saw(RareMoment("tank", 3600.0 * hour + 20.0))
    >>> learned.parents("tank"), learned.parents("pump")
    (('pump',), ())

    """

    __slots__ = ("_last", "_longest_lag", "_pairs", "_parents", "_recent", "_since", "_times", "_until")

    def __init__(self, longest_lag: float) -> None:
        self._longest_lag = longest_lag
        self._pairs: dict[tuple[str, str], _Pair] = {}
        self._parents: dict[str, set[str]] = {}
        self._times: dict[str, int] = {}
        self._last: dict[str, float] = {}
        self._recent: deque[tuple[float, str]] = deque()
        self._since = self._until = 0.0

    def saw(self, moment: RareMoment) -> None:
        """Take a moment at which a source was unusual, in about the order of time."""
        source, t = moment.source, moment.timestamp
        last = self._last.get(source)
        self._last[source] = t if last is None else max(t, last)
        if last is not None and t - last <= self._longest_lag:
            return
        self._since = t if not self._times else min(self._since, t)
        self._until = max(self._until, t)
        self._times[source] = self._times.get(source, 0) + 1
        while self._recent and t - self._recent[0][0] > self._longest_lag:
            self._recent.popleft()
        if len(self._recent) < MOST_RECENT:
            for before, other in self._recent:
                if other != source and abs(t - before) <= self._longest_lag:
                    self._together(other, source, t - before)
        self._recent.append((t, source))
        self._bound()

    def parents(self, name: str) -> tuple[str, ...]:
        """Return the sources that one seems to depend on."""
        return tuple(sorted(self._parents.get(name, ())))

    def snapshot(self) -> list[object]:
        """Return the state as plain values."""
        pairs = [(low, high, msgspec.to_builtins(pair)) for (low, high), pair in self._pairs.items()]
        sources = [(name, times, self._last[name]) for name, times in self._times.items()]
        return [pairs, sources, list(self._recent), self._since, self._until]

    def restore(self, state: object) -> None:
        """Take up what ``snapshot`` gave."""
        form = tuple[list[tuple[str, str, _Pair]], list[tuple[str, int, float]], list[tuple[float, str]], float, float]
        pairs, sources, recent, self._since, self._until = msgspec.convert(state, form)
        self._times = {name: times for name, times, _ in sources}
        self._last = {name: last for name, _, last in sources}
        self._recent, self._pairs, self._parents = deque(recent), {}, {}
        for low, high, pair in pairs:
            self._pairs[low, high] = pair
            self._connect(low, high, pair)

    def _together(self, before: str, after: str, lag: float) -> None:
        """Count two that were unusual together; ``after`` came ``lag`` seconds after ``before``."""
        low, high = sorted((before, after))
        pair = self._pairs.get((low, high))
        if pair is None:
            pair = self._pairs[low, high] = _Pair()
        if lag == 0:
            pair.same += 1
        elif (lag > 0) == (before == low):
            pair.first += 1
        else:
            pair.second += 1
        together = pair.together
        connected = self._is_no_chance(together, self._times[low], self._times[high])
        lead = (pair.first + pair.same / 2) / together
        pair.first_depends, pair.second_depends = connected and lead < CLEAR_LEAD, connected and 1 - lead < CLEAR_LEAD
        self._connect(low, high, pair)

    def _is_no_chance(self, together: int, times: int, other_times: int) -> bool:
        if together < max(LEAST_TOGETHER, LEAST_SHARE * min(times, other_times)):
            return False
        span = max(self._until - self._since, self._longest_lag)
        return together >= LEAST_LIFT * times * other_times * 2 * self._longest_lag / span

    def _connect(self, low: str, high: str, pair: _Pair) -> None:
        for name, other, depends in ((low, high, pair.first_depends), (high, low, pair.second_depends)):
            if depends:
                self._parents.setdefault(name, set()).add(other)
            elif name in self._parents:
                self._parents[name].discard(other)

    def _bound(self) -> None:
        """Forget the rarest pairs, and the sources that were not unusual for the longest, when there are too many."""
        if len(self._pairs) > MOST_PAIRS:
            rarest = sorted(self._pairs, key=lambda names: (self._pairs[names].together, names))
            self._forget(rarest[: MOST_PAIRS // 2])
        if len(self._times) > MOST_SOURCES:
            oldest = set(sorted(self._times, key=lambda name: (self._last[name], name))[: MOST_SOURCES // 2])
            self._forget([names for names in self._pairs if not oldest.isdisjoint(names)])
            for name in oldest:
                del self._times[name], self._last[name]

    def _forget(self, pairs: list[tuple[str, str]]) -> None:
        for low, high in pairs:
            del self._pairs[low, high]
            self._connect(low, high, _Pair())
