"""Silences: alerts that match are not told from one time to another, and whoever asks learns why."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from alerts.alert import Time
from alerts.matchers import Matcher, Matchers, matches_all, parsed
from alerts.suppression import Suppressor

Name = Annotated[str, Field(min_length=1, max_length=256)]

BY_ITSELF = "tocsin"
"""Who ends a silence that ends by itself."""


class SilenceChange(BaseModel):
    """One entry of a silence's history."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    what: Literal["created", "expired"]
    at: Time
    by: Name
    comment: str = Field("", max_length=2000)


class Silence(BaseModel):
    """The JSON value of topic ``silences``; its key is the id.

    Examples
    --------
    >>> silence = Silence(
    ...     silence_id="s1", matchers=('source=~"pump-.*"',), starts_at=0.0, ends_at=3600.0, created_by="ann",
    ...     comment="pumps are serviced",
    ... )
    >>> silence.is_active(10.0), silence.expired(10.0, "ann").is_active(10.0)
    (True, False)

    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    silence_id: Name
    matchers: Matchers = Field(min_length=1, description='All must match: `source="pump-7"`, `severity!="critical"`')
    starts_at: Time
    ends_at: Time
    created_by: Name
    comment: str = Field(max_length=2000, description="Why")
    until_resolved: bool = Field(False, description="Ends by itself once the alerts that it silenced are over")
    history: tuple[SilenceChange, ...] = Field((), description="Who did what, and when")

    @model_validator(mode="after")
    def _silences_something(self) -> Silence:
        if self.ends_at < self.starts_at:
            raise ValueError("ends_at must not be before starts_at")
        if all(matcher.matches({}) for matcher in parsed(self.matchers)):
            # As Alertmanager: a silence that matches an alert without labels matches nearly all there are.
            raise ValueError('at least one matcher must not match the empty text: write one such as source=~".+"')
        return self

    def is_active(self, now: float) -> bool:
        """Say whether it silences at a time."""
        return self.starts_at <= now < self.ends_at

    def expired(self, now: float, by: str, comment: str = "") -> Silence:
        """Return the silence ended, and who did it."""
        change = SilenceChange(what="expired", at=now, by=by, comment=comment)
        return self.model_copy(
            update={"starts_at": min(self.starts_at, now), "ends_at": now, "history": (*self.history, change)}
        )

    def encode(self) -> bytes:
        """Return the JSON value; the same silence always gives the same bytes."""
        return self.model_dump_json().encode()


class Silences:
    """All silences, and which alerts those that end by themselves have silenced.

    Parameters
    ----------
    matched
        Ids of silences that have silenced something, from before a restart.

    """

    def __init__(self, matched: Iterable[str] = ()) -> None:
        self._silences: dict[str, tuple[Silence, tuple[Matcher, ...]]] = {}
        self._matched = set(matched)
        self._covered: dict[str, set[str]] = {}
        self._of_alert: dict[str, tuple[str, ...]] = {}

    def __iter__(self) -> Iterator[Silence]:
        return (silence for silence, _ in self._silences.values())

    def __len__(self) -> int:
        return len(self._silences)

    def put(self, silence_id: str, silence: Silence | None, active: Mapping[str, Mapping[str, str]]) -> None:
        """Take in a silence or that there is none; ``active`` holds the labels of alerts that go on, by id."""
        self._silences.pop(silence_id, None)
        self._covered.pop(silence_id, None)
        self._of_alert.clear()
        if silence is None:
            return
        matchers = parsed(silence.matchers)
        self._silences[silence_id] = silence, matchers
        if silence.until_resolved:
            self._covered[silence_id] = {one for one, labels in active.items() if matches_all(matchers, labels)}

    def alert_goes_on(self, alert_id: str, labels: Mapping[str, str]) -> None:
        """Note an alert that is active, or its new labels."""
        self._of_alert.pop(alert_id, None)
        for silence_id, covered in self._covered.items():
            if matches_all(self._silences[silence_id][1], labels):
                covered.add(alert_id)
            else:
                covered.discard(alert_id)

    def alert_is_over(self, alert_id: str) -> None:
        """Note that an alert has ended."""
        self._of_alert.pop(alert_id, None)
        for covered in self._covered.values():
            covered.discard(alert_id)

    def suppressors(self, alert_id: str, labels: Mapping[str, str], now: float) -> Iterator[Suppressor]:
        """Yield the silences that keep an active alert from being told now."""
        found = self._of_alert.get(alert_id)
        if found is None:
            matching = (key for key, (_, matchers) in self._silences.items() if matches_all(matchers, labels))
            found = tuple(sorted(matching))
            self._of_alert[alert_id] = found
        for key in found:
            silence = self._silences[key][0]
            if silence.is_active(now):
                because = f"{silence.created_by}: {silence.comment}"
                yield Suppressor(kind="silence", id=silence.silence_id, because=because)

    def end_those_that_are_over(self, now: float) -> list[Silence]:
        """Expire the silences whose alerts are all over, and return them as they are now."""
        ended = []
        for key, covered in list(self._covered.items()):
            silence = self._silences[key][0]
            if not silence.is_active(now):
                continue
            if covered:
                self._matched.add(key)
            elif key in self._matched:
                silence = silence.expired(now, BY_ITSELF, "the alerts that it silenced are over")
                self.put(key, silence, {})
                ended.append(silence)
        return ended

    def forget_those_ended_before(self, time: float) -> list[str]:
        """Drop silences that ended before a time, and return their ids."""
        gone = [key for key, (silence, _) in self._silences.items() if silence.ends_at < time]
        for key in gone:
            self.put(key, None, {})
            self._matched.discard(key)
        return gone

    @property
    def matched(self) -> frozenset[str]:
        """Ids of silences that end by themselves and have silenced something."""
        return frozenset(self._matched)
