"""Policies that people apply while the service runs: documents in versions, laid over the configuration's policy."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Annotated, Literal

import msgspec
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from alerts.alert import Alert, PolicyReference, Severity
from alerts.calendars import Window, Word, muted_until
from alerts.policy import Policy, Thresholds
from alerts.versions import Version
from detectors.score import Score, SignalScore, ValueExplanation

Stream = Literal["telemetry", "transactions"]
RANGE, EARLY_WARNING = "range", "early_warning"
"""Kinds of the alerts on a value outside of its valid range, and on what is likely to come."""


class ValidRange(BaseModel):
    """What a value may be at all: one outside always begins an alert, however usual it is."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    min: float | None = Field(None, allow_inf_nan=False, description="Smallest valid value")
    max: float | None = Field(None, allow_inf_nan=False, description="Largest valid value")
    severity: Severity = Field(Severity.WARNING, description="Severity of an alert on a value outside")

    @model_validator(mode="after")
    def _holds_something(self) -> ValidRange:
        if self.min is None and self.max is None:
            raise ValueError("say `min`, `max` or both")
        if self.min is not None and self.max is not None and self.min >= self.max:
            raise ValueError(f"min ({self.min:g}) must be below max ({self.max:g})")
        return self

    def side(self, value: float) -> int:
        """Return 1 if a value is above the range, -1 if it is below, else 0.

        Examples
        --------
        >>> [ValidRange(min=0, max=120).side(value) for value in (-1.0, 0.0, 120.0, 121.0)]
        [-1, 0, 0, 1]

        """
        if self.max is not None and value > self.max:
            return 1
        return -1 if self.min is not None and value < self.min else 0


class Sources(BaseModel):
    """Which sources a document is about: a glob, or a regular expression that must match the whole name."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: Word | None = Field(None, description="Glob: `*` any characters, `?` one, `[ab]` one of these")
    source_re: Word | None = Field(None, description="Regular expression, anchored at both ends as in Prometheus")

    @field_validator("source_re")
    @classmethod
    def _compiles(cls, pattern: str | None) -> str | None:
        if pattern is not None:
            try:
                re.compile(pattern)
            except re.error as error:
                raise ValueError(f"is no regular expression: {error}; a glob belongs into `source`") from error
        return pattern

    @model_validator(mode="after")
    def _one_of_both(self) -> Sources:
        if self.source is not None and self.source_re is not None:
            raise ValueError("say `source` (a glob) or `source_re` (a regular expression), not both")
        return self

    def matches(self, source: str) -> bool:
        """Say whether a source is meant; a document that names none means all.

        Examples
        --------
        >>> [Sources(source="pump-*").matches(name) for name in ("pump-7", "Pump-7", "a-pump-7")]
        [True, False, False]
        >>> [Sources(source_re="pump-[78]").matches(name) for name in ("pump-7", "pump-77")]
        [True, False]

        """
        return self._pattern.fullmatch(source) is not None

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        if self.source_re is not None:
            return re.compile(self.source_re)
        return re.compile(fnmatch.translate(self.source or "*"))


class PolicyDocument(Sources):
    """A policy for some sources. What it does not say is as in the documents and the configuration below it."""

    name: Word = Field(description="Names the document; its versions share it")
    stream: Stream = Field("telemetry", description="Input topic that it is about; of `transactions`, the accounts")
    priority: int = Field(0, ge=-1000, le=1000, description="Laid over those of lower priority; of equal ones, by name")
    default: Thresholds = Field(default_factory=Thresholds, description="Thresholds of every kind")
    kinds: dict[Word, Thresholds] = Field(default_factory=dict, description="Thresholds of single kinds, over these")
    values: dict[Word, ValidRange] = Field(default_factory=dict, description="Valid ranges, by name of the value")
    per_source_a_day: float | None = Field(None, gt=0, le=1000, description="Alert budget of each of the sources")
    calendar: tuple[Window, ...] = Field(
        (), description="Times in which its alerts are muted, and perhaps nothing is learned; all documents' count"
    )
    owner: Word | None = Field(None, description="Whom its alerts are for; alerts carry it")
    runbook: Annotated[str, Field(min_length=1, max_length=1000)] | None = Field(
        None, description="Where it says what to do, a URL; alerts carry it"
    )

    @model_validator(mode="after")
    def _fits_the_stream(self) -> PolicyDocument:
        if self.stream == "transactions":
            given = [name for name in ("values", "per_source_a_day") if getattr(self, name)]
            if given:
                raise ValueError(f"{given[0]}: is for telemetry; each alert of transactions is a decision")
            if any(window.freeze for window in self.calendar):
                raise ValueError("calendar: `freeze` is for telemetry; the fraud model learns from labels")
        return self


class PolicyVersion(Version):
    """The JSON value of topic ``policies``: one version of one document, by whom and why.

    Examples
    --------
    >>> version = PolicyVersion(name="pumps", version=2, author="ann", at=0.0, policy=PolicyDocument(name="pumps"))
    >>> version.encode()
    b'{"name":"pumps","version":2,"author":"ann","at":"1970-01-01T00:00:00.000Z","policy":{"name":"pumps"}}'
    >>> PolicyVersion.model_validate_json(version.encode()).key
    b'pumps@2'

    """

    policy: PolicyDocument | None = Field(None, description="The document; without one, it is withdrawn")

    @model_validator(mode="after")
    def _one_name(self) -> PolicyVersion:
        if self.policy is not None and self.policy.name != self.name:
            raise ValueError(f"policy.name {self.policy.name!r} is not name {self.name!r}")
        return self

    def encode(self) -> bytes:
        """Return the JSON value: what the author said, and no defaults, which may differ elsewhere."""
        return self.model_dump_json(exclude_unset=True).encode()


@dataclass(frozen=True)
class Ruling:
    """What governs one source: the configuration's policy with all documents about it laid over.

    Parameters
    ----------
    policy
        Thresholds, gates and the source's budget.
    values
        Valid ranges, by name of the value.
    versions
        Of the documents, lowest priority first.
    owner, runbook
        Whom alerts are for, and where it says what to do.
    windows
        Of the calendar, by the document's name and their own.

    """

    policy: Policy
    values: Mapping[str, ValidRange] = field(default_factory=dict)
    versions: tuple[PolicyReference, ...] = ()
    owner: str | None = None
    runbook: str | None = None
    windows: Mapping[str, Window] = field(default_factory=dict)

    def muted_by(self, kind: str, t: float) -> str | None:
        """Return the name of the window that mutes alerts of a kind at an event time, ``None`` if none does."""
        for name, window in self.windows.items():
            if window.mutes(kind) and window.end_of(t) is not None:
                return name
        return None

    def muted_until(self, kind: str, t: float) -> float | None:
        """Return until when alerts of a kind are muted at an event time, ``None`` if they are not."""
        return muted_until(self.windows, kind, t) if self.windows else None

    def is_frozen(self, t: float) -> bool:
        """Say whether nothing is learned at an event time."""
        return any(window.freeze and window.end_of(t) is not None for window in self.windows.values())

    def snapshot(self) -> bytes:
        """Return all of it; with what is not said, since defaults may differ elsewhere."""
        return self._bytes

    @cached_property
    def _bytes(self) -> bytes:
        values = {name: valid.model_dump() for name, valid in self.values.items()}
        versions = [one.model_dump() for one in self.versions]
        windows = {name: window.model_dump() for name, window in self.windows.items()}
        said = (self.policy.model_dump(), values, versions, self.owner, self.runbook, windows)
        return msgspec.msgpack.encode(said)

    @classmethod
    def restored(cls, state: bytes) -> Ruling:
        """Return what ``snapshot`` gave."""
        policy, values, versions, owner, runbook, windows = msgspec.msgpack.decode(state)
        return cls(
            Policy.model_validate(policy),
            {name: ValidRange.model_validate(valid) for name, valid in values.items()},
            tuple(PolicyReference.model_validate(one) for one in versions),
            owner,
            runbook,
            {name: Window.model_validate(window) for name, window in windows.items()},
        )

    def stamped(self, alert: Alert) -> Alert:
        """Return an alert that says what governs it."""
        if self.versions == alert.policies == ():
            return alert
        return alert.model_copy(update={"policies": self.versions, "owner": self.owner, "runbook": self.runbook})

    def with_outside(self, readings: Mapping[str, float], score: Score) -> Score:
        """Return a score with a signal for the value that is outside of its valid range, if any is.

        Of several it is the one of the highest severity, then by name. It is a rule and no improbability: its p-value
        is the one at which alerts begin.

        Examples
        --------
        >>> ruling = Ruling(Policy(), {"x": ValidRange(max=120)})
        >>> ruling.with_outside({"x": 130.0}, Score(0.5, 0.2)).signals[0].p_value
        0.0001
        >>> ruling.with_outside({"x": 110.0}, Score(0.5, 0.2)).signals
        ()

        """
        outside = [
            (-valid.severity.rank, name)
            for name, valid in self.values.items()
            if (value := readings.get(name)) is not None and valid.side(value)
        ]
        if not outside:
            return score
        name = min(outside)[1]
        valid, value = self.values[name], readings[name]
        side = valid.side(value)
        bound = valid.max if side > 0 else valid.min
        signal = SignalScore(RANGE, self.policy.of(RANGE).fire_p, name, side, None, bound, valid.min, valid.max)
        values = dict(score.values)
        contribution = values[name].contribution if name in values else 1.0
        values[name] = ValueExplanation(value, bound, valid.min, valid.max, contribution)
        return msgspec.structs.replace(score, signals=(signal, *score.signals), values=values)

    def severity(self, kind: str, p_value: float, name: str | None) -> Severity:
        """Return the severity of a signal; that of a value outside of its valid range is the range's.

        An early warning has no improbability to go by: it is a ``warning``.
        """
        if kind == RANGE and name is not None and name in self.values:
            return self.values[name].severity
        if kind == EARLY_WARNING:
            return self.policy.of(kind).bounded(Severity.WARNING)
        return self.policy.of(kind).severity(p_value)


def rule(configured: Policy, versions: Iterable[PolicyVersion]) -> Ruling:
    """Return what governs a source that these versions are about.

    Parameters
    ----------
    configured
        The configuration's policy, beneath.
    versions
        Versions of different documents, none of them withdrawn.

    Examples
    --------
    >>> quiet = PolicyDocument(name="quiet", owner="plant", default=Thresholds(fire_after=60))
    >>> level = PolicyDocument(name="level", priority=1, kinds={"level": Thresholds(fire_p=1e-6)})
    >>> ruling = rule(Policy(), [PolicyVersion(name=d.name, version=1, author="ann", at=0, policy=d)
    ...                          for d in (level, quiet)])
    >>> ruling.policy.of("level").fire_after, ruling.policy.of("level").fire_p, ruling.policy.of("spike").fire_p
    (60.0, 1e-06, 0.0001)
    >>> ruling.owner, [str(version) for version in ruling.versions]
    ('plant', ['quiet@1', 'level@1'])

    """
    documents = [(one.policy, one.version) for one in versions if one.policy is not None]
    documents.sort(key=lambda pair: (pair[0].priority, pair[0].name))
    policy, values = configured, dict[str, ValidRange]()
    windows: dict[str, Window] = {}
    owner = runbook = None
    for document, _ in documents:
        policy = _laid_over(policy, document)
        values |= document.values
        windows |= {f"{document.name}/{window.name}": window for window in document.calendar}
        owner, runbook = document.owner or owner, document.runbook or runbook
    references = tuple(PolicyReference(name=document.name, version=version) for document, version in documents)
    return Ruling(policy, values, references, owner, runbook, windows)


def present(versions: Iterable[PolicyVersion]) -> dict[str, PolicyVersion]:
    """Return the present version of each document, by name; a later one of the same number takes its place."""
    newest: dict[str, PolicyVersion] = {}
    for version in versions:
        if version.name not in newest or version.version >= newest[version.name].version:
            newest[version.name] = version
    return dict(sorted(newest.items()))


def _laid_over(policy: Policy, document: PolicyDocument) -> Policy:
    default = overlaid(policy.default, document.default)
    kinds = {
        kind: overlaid(overlaid(policy.of(kind), document.default), document.kinds.get(kind, Thresholds()))
        for kind in sorted({*policy.kinds, *document.kinds})
    }
    budget = policy.budget
    if document.per_source_a_day is not None:
        budget = budget.model_copy(update={"per_source_a_day": document.per_source_a_day})
    return Policy(default=default, kinds=kinds, budget=budget)


def overlaid(beneath: Thresholds, over: Thresholds) -> Thresholds:
    """Return thresholds with what others say laid over; only what was said counts.

    ``clear_p`` is never below ``fire_p``: where only the latter is raised beyond it, both are the same.

    Examples
    --------
    >>> from alerts.policy import Gates
    >>> above = Thresholds(fire_after=5, gates=Gates(direction="above"))
    >>> merged = overlaid(above, Thresholds(gates=Gates(min_deviation=2)))
    >>> merged.fire_after, merged.gates.direction, merged.gates.min_deviation
    (5.0, 'above', 2.0)

    """
    said = {name: getattr(over, name) for name in over.model_fields_set - {"gates"}}
    if "gates" in over.model_fields_set:
        gates = {name: getattr(over.gates, name) for name in over.gates.model_fields_set}
        said["gates"] = beneath.gates.model_copy(update=gates)
    merged = beneath.model_copy(update=said)
    return merged if merged.clear_p >= merged.fire_p else merged.model_copy(update={"clear_p": merged.fire_p})
