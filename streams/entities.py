"""Entities of one partition, such as devices: the histories that declared features are of."""

from __future__ import annotations

from collections.abc import Iterator

from detectors.transactions.declared import DeclaredFeatures, Facts
from detectors.transactions.entity import EntityHistory
from streams.atomic_states import AtomicStates, Change
from streams.forgetting import Forgetting
from streams.kept_states import KeptStates

ENTITY = "entity/"
"""What the keys of their states begin with."""

ENTITY_BYTES = 2048
"""What one takes in memory beside the bytes of its snapshot."""


class Entities:
    """What a partition knows of the entities of declared features; kept, stored and forgotten as counterparties are.

    Parameters
    ----------
    declared
        The features.
    states
        Where they are stored.
    forget_after
        Seconds without a transaction after which one is forgotten; ``None`` is never.

    Examples
    --------
    >>> from detectors.transactions.declared import Declared
    >>> declared = DeclaredFeatures([Declared("device_since_last", ("device",), "since_last")])
    >>> entities, facts = Entities(declared, AtomicStates({}, "shard"), None), declared.facts({"device": "d"}, 20.0)
    >>> entities.learn(0.0, facts, now=0.0)
    >>> entities.features(60.0, facts, now=60.0)
    [60.0]

    """

    def __init__(self, declared: DeclaredFeatures, states: AtomicStates, forget_after: float | None) -> None:
        self.declared = declared
        self._states = states
        self.kept = KeptStates(
            lambda name: EntityHistory(declared.group_of(name)), lambda name: states.get(ENTITY + name), ENTITY_BYTES
        )
        self._silent = Forgetting(self.kept, states, ENTITY, forget_after)

    def features(self, t: float, facts: Facts, now: float) -> list[float]:
        """Return the values of all declared features for a transaction, before it is learned.

        Parameters
        ----------
        t
            Event time of the transaction, epoch seconds.
        facts
            What they go by.
        now
            How far the partition has come in event time.

        """
        values = list(self.declared.missing)
        for name in facts.entities:
            found = self._silent.change(name, now).features(t, facts)
            for place, value in zip(self.declared.group_of(name).places, found, strict=True):
                values[place] = value
        return values

    def learn(self, t: float, facts: Facts, now: float) -> None:
        """Add a transaction to the histories of its entities; those of groups that are not declared are passed over."""
        for name in facts.entities:
            if self.declared.group_of(name).features:
                self._silent.change(name, now).learn(t, facts)

    def learn_label(self, names: tuple[str, ...], t: float, now: float, *, fraud: bool, corrected: bool) -> None:
        """Count the label of a transaction that happened at ``t``, or its correction."""
        for name in names:
            if self.declared.group_of(name).label_days:
                history = self._silent.change(name, now)
                (history.correct_label if corrected else history.learn_label)(t, fraud=fraud)

    def forget(self, now: float) -> None:
        """Delete some of those that have been silent for too long."""
        for _ in self._silent.forget(now):
            pass

    def changes(self) -> Iterator[Change]:
        """Return what has changed since the last call."""
        for name, state in self.kept.changes():
            yield ENTITY + name, state, self._states.get(ENTITY + name)
