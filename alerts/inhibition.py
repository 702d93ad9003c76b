"""Inhibition: while one alert fires, others that follow from it are not told."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator, Mapping, Sequence

from pydantic import BaseModel, ConfigDict, Field

from alerts.matchers import Matchers, matches_all, parsed
from alerts.suppression import Suppressor


class InhibitRule(BaseModel):
    """Alertmanager's inhibition rule."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field("", description="Named in what it suppresses")
    source_matchers: Matchers = Field(min_length=1, description="Alerts that inhibit")
    target_matchers: Matchers = Field(min_length=1, description="Alerts that are inhibited")
    equal: tuple[str, ...] = Field((), description="Labels that both must have alike; one that is missing is empty")

    def __str__(self) -> str:
        return self.name or f"{{{', '.join(self.source_matchers)}}} inhibits {{{', '.join(self.target_matchers)}}}"


class Inhibitor:
    """Which active alerts inhibit which.

    As in Alertmanager, an alert that matches both sides of a rule is not inhibited by one that does too, itself
    included; and an alert that is silenced still inhibits.

    Examples
    --------
    >>> rule = InhibitRule(source_matchers=('kind="silence"',), target_matchers=('kind!="silence"',), equal=("site",))
    >>> inhibitor = Inhibitor([rule])
    >>> inhibitor.alert_goes_on("a1", {"kind": "silence", "site": "A"})
    >>> [one.id for one in inhibitor.suppressors({"kind": "spike", "site": "A"})]
    ['a1']
    >>> list(inhibitor.suppressors({"kind": "spike", "site": "B"}))
    []

    """

    def __init__(self, rules: Sequence[InhibitRule]) -> None:
        self._rules = [(rule, parsed(rule.source_matchers), parsed(rule.target_matchers)) for rule in rules]
        # By the rule's number and the values of its `equal`: alerts that inhibit, and those that are targets too.
        self._sources: dict[tuple[int, tuple[str, ...]], tuple[list[str], list[str]]] = {}
        self._places: dict[str, list[tuple[int, tuple[str, ...], bool]]] = {}

    def alert_goes_on(self, alert_id: str, labels: Mapping[str, str]) -> None:
        """Note an alert that is active, or its new labels."""
        self.alert_is_over(alert_id)
        for number, (rule, source, target) in enumerate(self._rules):
            if matches_all(source, labels):
                values, both = _values(rule, labels), matches_all(target, labels)
                insort(self._sources.setdefault((number, values), ([], []))[both], alert_id)
                self._places.setdefault(alert_id, []).append((number, values, both))

    def alert_is_over(self, alert_id: str) -> None:
        """Note that an alert has ended."""
        for number, values, both in self._places.pop(alert_id, ()):
            sources = self._sources[number, values]
            del sources[both][bisect_left(sources[both], alert_id)]
            if not any(sources):
                del self._sources[number, values]

    def suppressors(self, labels: Mapping[str, str]) -> Iterator[Suppressor]:
        """Yield, for each rule that inhibits an alert with these labels, the first alert that does."""
        for number, (rule, source, target) in enumerate(self._rules):
            sources = self._sources.get((number, _values(rule, labels)))
            if sources is None or not matches_all(target, labels):
                continue
            only_sources, targets_too = sources
            found = only_sources[:1] if matches_all(source, labels) else only_sources[:1] + targets_too[:1]
            if found:
                yield Suppressor(kind="inhibition", id=min(found), because=str(rule))


def _values(rule: InhibitRule, labels: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(labels.get(name, "") for name in rule.equal)
