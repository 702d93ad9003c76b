"""Rules and lists as people apply them while the service runs, and from when on they count."""

from __future__ import annotations

import heapq
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from alerts.alert import Time
from alerts.calendars import Word
from alerts.versions import Text, Version
from detectors.transactions import Decision, FraudScore
from detectors.transactions.lists import Entry, ListName, Lists
from detectors.transactions.order import NOTHING, ordered
from detectors.transactions.rules import Finding, RuleError, RuleSet
from streams.absorbed import Offsets, unread
from streams.codec import Reason, Rejected, decode
from streams.processor import Record
from streams.schemas import EventLimits, TransactionEvent
from streams.settling import counts_after

RULES, LISTS = "rules", "lists"
LARGEST = 1e15
"""Amounts beyond are this much to rules: zen-engine takes no number of any size."""
MOST_BYTES = 900_000
"""A graph is larger than an event."""

LIMITS = EventLimits(max_bytes=MOST_BYTES)


class RuleVersion(Version):
    """The JSON value of topic ``rules``: one version of one rule set, by whom and why.

    Examples
    --------
    >>> RuleVersion(name="night", version=3, author="ann", at=0.0, mode="withdrawn").key
    b'night@3'

    """

    mode: Literal["active", "shadow", "withdrawn"] = Field(
        "active", description="`shadow` is noted in decisions and changes none; `withdrawn` ends both"
    )
    graph: dict[str, Any] | None = Field(None, description="The decision graph, in the JSON Decision Model")

    @model_validator(mode="after")
    def _has_rules(self) -> Self:
        if (self.graph is None) != (self.mode == "withdrawn"):
            raise ValueError("graph: what is active or in shadow has one, what is withdrawn has none")
        return self

    def rules(self) -> RuleSet:
        """Return the rules, ready to be asked.

        Raises
        ------
        detectors.transactions.rules.RuleError
            If they cannot be.

        """
        return RuleSet(self.key.decode(), json.dumps(self.graph))

    def encode(self) -> bytes:
        """Return the JSON value."""
        return self.model_dump_json(exclude_none=True).encode()


class ListChange(BaseModel):
    """The JSON value of topic ``lists``: something is put on a list, or taken off.

    Examples
    --------
    >>> ListChange(list="block", field="counterparty", value="shop-9", by="ann", at=0.0).key
    b'block/counterparty/shop-9'

    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    list: ListName = Field(description="`allow` and `block` decide; `watch` asks for review")
    field: Word = Field(description="`account`, `counterparty`, `currency`, `channel`, or an attribute")
    value: Word = Field(description="Whose transactions")
    until: Time | None = Field(None, description="Event time at which the entry ends; null is never")
    removed: bool = Field(False, description="Whether it is taken off")
    by: Word = Field(description="Who says so")
    reason: Text | None = Field(None, description="Why")
    at: Time = Field(description="When it was said")

    @property
    def key(self) -> bytes:
        """Key of the record."""
        return f"{self.list}/{self.field}/{self.value}".encode()

    def encode(self) -> bytes:
        """Return the JSON value."""
        return self.model_dump_json(exclude_none=True).encode()


_Applied = ListChange | tuple[RuleVersion, RuleSet | None]


class Judged(NamedTuple):
    """A decision, what rule sets said of it, which were asked, and the lists that it stands on."""

    decision: Decision
    findings: tuple[Finding, ...]
    versions: tuple[str, ...]
    hits: Mapping[str, Mapping[str, str]]


class RuleBook:
    """Every rule set and list entry, each from the moment on at which it counts.

    What was applied counts for transactions that were produced ``SETTLING`` seconds later. So it makes no difference
    how early it was read, and a replay decides each transaction under the same rules as the first run did. Nothing of
    it is part of the state: the topics are compacted, and are read from their beginning at each start.

    Attributes
    ----------
    absorbed
        Last offset taken in, by topic and partition.

    Examples
    --------
    >>> book = RuleBook()
    >>> change = ListChange(list="block", field="account", value="ann", by="bob", at=60.0, reason="stolen card")
    >>> book.absorb([Record("lists", 0, 0, 60.0, change.key, change.encode())])
    []
    >>> [(book.reach(produced_at), book.is_empty)[1] for produced_at in (62.0, 62.1)]
    [True, False]

    """

    def __init__(self) -> None:
        self.absorbed: Offsets = {}
        self._waiting: list[tuple[float, str, int, _Applied]] = []
        self._active: dict[str, RuleSet] = {}
        self._shadow: dict[str, RuleSet] = {}
        self._lists = Lists()

    @property
    def is_empty(self) -> bool:
        """Whether nothing has anything to say."""
        return not (self._active or self._shadow or len(self._lists))

    def absorb(self, records: Sequence[Record]) -> list[tuple[Record, Rejected]]:
        """Take in records of both topics, and return those that cannot be taken: what was before them goes on."""
        wrong = []
        for record in unread(records, self.absorbed):
            if record.value is None:
                continue  # Kafka's own deletion of a key
            said = self._said_in(record)
            if isinstance(said, Rejected):
                wrong.append((record, said))
            else:
                after = counts_after(record.timestamp)
                heapq.heappush(self._waiting, (after, record.topic, record.offset, said))
        return wrong

    def reach(self, produced_at: float) -> None:
        """Let count what counts for a transaction produced at a time."""
        while self._waiting and self._waiting[0][0] < produced_at:
            *_, applied = heapq.heappop(self._waiting)
            if isinstance(applied, ListChange):
                until = math.inf if applied.until is None else applied.until
                entry = None if applied.removed else Entry(until, applied.reason or "")
                self._lists.put(applied.list, applied.field, applied.value, entry)
            else:
                self._apply(*applied)

    def judge(self, decision: Decision, event: TransactionEvent, score: FraudScore) -> Judged | None:
        """Let lists and rules have their say over the decision of the score; ``None`` while there are none."""
        if self.is_empty:
            return None
        fields = fields_of(event)
        hits = self._lists.hits({name: value for name, value in fields.items() if isinstance(value, str)}, event.time)
        facts = facts_of(event, score, hits)
        findings = [self._active[name].ask(facts) for name in sorted(self._active)]
        findings += [self._shadow[name].ask(facts, shadow=True) for name in sorted(self._shadow)]
        telling = tuple(one for one in findings if one.action is not None or one.error)
        return Judged(ordered(decision, hits, findings), telling, tuple(sorted(one.rules for one in findings)), hits)

    def _said_in(self, record: Record) -> _Applied | Rejected:
        if record.topic == LISTS:
            return decode(ListChange, record.value, LIMITS)
        version = decode(RuleVersion, record.value, LIMITS)
        if isinstance(version, Rejected):
            return version
        try:
            return version, None if version.graph is None else version.rules()
        except RuleError as error:
            return Rejected(Reason.OUT_OF_RANGE, f"graph: {error}")

    def _apply(self, version: RuleVersion, rules: RuleSet | None) -> None:
        """Let a version count: an active one in place of all before, one in shadow beside the active one."""
        self._shadow.pop(version.name, None)
        if rules is None:
            self._active.pop(version.name, None)
        else:
            (self._active if version.mode == "active" else self._shadow)[version.name] = rules


def facts_of(event: TransactionEvent, score: FraudScore, hits: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
    """Return what rules are asked with."""
    return {
        "transaction": {**fields_of(event), "amount": min(event.amount, LARGEST), "timestamp": event.time},
        "features": dict(score.features),
        "score": score.probability,
        "lists": {name: list(hits.get(name, ())) for name in NOTHING},
    }


def fields_of(event: TransactionEvent) -> dict[str, Any]:
    """Return what rules, lists and declared features go by; a field hides an attribute of its name."""
    own = {
        "transaction_id": event.transaction_id,
        "account": event.account,
        "counterparty": event.counterparty,
        "currency": event.currency,
        "channel": event.channel,
    }
    return {**event.all_attributes, **{name: value for name, value in own.items() if value is not None}}
