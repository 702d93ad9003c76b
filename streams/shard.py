"""What one partition of transactions has learned: its accounts, counterparties, model and labels."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain

import msgspec

from alerts.commands import Command
from alerts.policy import Policy
from detectors.transactions import (
    Contest,
    CounterpartyHistory,
    FraudModel,
    FraudModelSettings,
    FraudScore,
)
from detectors.transactions.breaker import Breaker, BreakerSettings
from detectors.transactions.classifier import AdditiveLogisticRegression
from detectors.transactions.contest import DEFAULT, Scores
from detectors.transactions.declared import DeclaredFeatures
from detectors.transactions.drift import DriftDetector, DriftSettings, DriftState
from detectors.transactions.model import named
from detectors.transactions.snapshots import decode_state
from detectors.transactions.windows import Row
from streams.account_commands import AccountCommands, SaidOfAlert
from streams.accounts import Account
from streams.atomic_states import AtomicStates, Change
from streams.awaiting_labels import Awaiting, AwaitingLabels
from streams.elsewhere import ElsewhereState, PaymentElsewhere, PaymentsElsewhere
from streams.entities import Entities
from streams.forgetting import Forgetting
from streams.kept_states import KeptStates
from streams.late_labels import LateLabel, LateLabels
from streams.promotions import Promotions, Said
from streams.transaction_settings import Challenge, LabelSettings

COMMIT_KEY, ACCOUNT, COUNTERPARTY = "shard", "account/", "counterparty/"
"""Key of what ends a checkpoint, and what those of accounts and counterparties begin with."""

ACCOUNT_BYTES, COUNTERPARTY_BYTES = 4096, 1024
"""What one takes in memory beside the bytes of its snapshot."""


class _ContestState(msgspec.Struct, array_like=True, frozen=True):
    contest: bytes
    promotions: list[Said]


class _ShardState(msgspec.Struct, array_like=True, frozen=True):
    version: int
    offset: int
    event_time: float
    produced_at: float
    absorbed: list[tuple[str, int, int]]
    elsewhere: ElsewhereState
    model: bytes
    contest: _ContestState | None = None
    breaker: list[Row] = []
    commands: list[SaidOfAlert] = []
    drift: DriftState | None = None


class Shard:
    """All state behind one partition of transactions, stored so that no crash tears it apart.

    Parameters
    ----------
    model
        Settings of the model.
    labels
        How long labels may take.
    policy
        When an account's alert begins and ends.
    forget_after
        Seconds without a transaction after which an account, counterparty or entity is forgotten; ``None`` is never.
    states
        What was stored.
    challenge
        Models beside the shard's own, if there are any.
    breaker
        When declines are too many.
    drift
        When the model has been overtaken.
    stops_at
        Probability of fraud from which on a payment is stopped.
    declared
        Features beside the built-in ones.

    """

    def __init__(
        self,
        model: FraudModelSettings,
        labels: LabelSettings,
        policy: Policy,
        forget_after: float | None,
        states: Mapping[str, bytes],
        challenge: Challenge | None,
        breaker: BreakerSettings,
        drift: DriftSettings,
        stops_at: float,
        declared: DeclaredFeatures,
    ) -> None:
        self._states = AtomicStates(states, COMMIT_KEY)
        self.accounts = KeptStates(
            lambda name: Account(name, model, policy), lambda name: self._states.get(ACCOUNT + name), ACCOUNT_BYTES
        )
        self.counterparties = KeptStates(
            lambda _: CounterpartyHistory(),
            lambda name: self._states.get(COUNTERPARTY + name),
            COUNTERPARTY_BYTES,
        )
        self._silent_accounts = Forgetting(self.accounts, self._states, ACCOUNT, forget_after)
        self._silent_counterparties = Forgetting(self.counterparties, self._states, COUNTERPARTY, forget_after)
        self.entities = Entities(declared, self._states, forget_after)
        saved = None if self._states.commit is None else decode_state(self._states.commit, _ShardState, 2)
        self.awaiting = AwaitingLabels(labels.wait_seconds, labels.wait_limit, self._states, declared.names)
        self.elsewhere = PaymentsElsewhere(
            labels.wait_seconds, labels.wait_limit, self._states, saved.elsewhere if saved else None
        )
        self.labels = LateLabels()
        self.commands = AccountCommands(saved.commands if saved else None)
        self.model = FraudModel(model, declared)
        self.breaker = Breaker(breaker, saved.breaker if saved else None)
        self._drift_settings = drift
        self.drift = DriftDetector(drift, stops_at, saved.drift if saved else None)
        self.drifts = 0
        self.contest: Contest | None = None
        self.promotions: Promotions | None = None
        self.offset = -1
        self.event_time = self.produced_at = -math.inf
        self.absorbed: dict[tuple[str, int], int] = {}
        self._stored_labels: set[str] = set()
        self._restore(saved)
        if challenge is not None:
            self._contest(challenge, saved)
        self._covered = self._reached()

    def reach(self, event_time: float, produced_at: float) -> Iterator[LateLabel]:
        """Note how far the transactions have come, do what people said by then, and give out the labels due by then."""
        self.event_time = max(self.event_time, event_time)
        self.produced_at = max(self.produced_at, produced_at)
        for t, facts in self.elsewhere.reach(self.produced_at):
            self.entities.learn(t, facts, self.event_time)
        self._obey()
        return self.labels.due(self.event_time, self.produced_at)

    @property
    def classifier(self) -> AdditiveLogisticRegression:
        """That of the model which decides."""
        return self.model.classifier if self.contest is None else self.contest.classifier

    def score(self, features: bytes) -> tuple[FraudScore, Scores | None]:
        """Return the score of the model that decides, and what all say if there are several."""
        return (self.model.score(features), None) if self.contest is None else self.contest.score(features)

    def learn(self, label: LateLabel) -> str | None:
        """Learn a label with the features of its transaction as they were, and return what became of it.

        Most labels are of transactions that other shards decide: what these say of the counterparty counts here too,
        and nobody is told.
        """
        awaiting = self.awaiting.get(label.id)
        if awaiting is None:
            self._learn_elsewhere(label)
            return None
        if awaiting.label == label.label:
            return "label_repeated"
        corrected = awaiting.label is not None
        self._count(awaiting, fraud=label.label, corrected=corrected)
        if not corrected:
            self._watch(awaiting.features, fraud=label.label)
            if self.contest is None:
                self.model.learn(awaiting.features, fraud=label.label)
            else:
                scores = awaiting.scores or {}
                self.contest.learn(awaiting.features, scores, awaiting.amount, fraud=label.label, at=self.event_time)
        self.awaiting.settle(label.id, label=label.label)
        return "label_corrected" if corrected else "label_learned"

    def commanded(self, produced_at: float) -> Iterator[tuple[Account, Command]]:
        """Yield what people said to alerts of accounts that are here, as far as it counts for a time of production."""
        for said in self.commands.due(produced_at):
            account = self.accounts.find(said.account)
            if account is not None:
                self.accounts.change(said.account)
                yield account, said.command

    def expire(self) -> int:
        """Give up what has waited too long for a label, and return how many of the shard's own never got one."""
        self.elsewhere.expire(self.event_time)
        return self.awaiting.expire(self.event_time)

    def newest_of(self, name: str) -> float:
        """Return the event time of an account's newest transaction, -inf if none is known."""
        account = self.accounts.read(name)
        return -math.inf if self._silent_accounts.is_forgotten(account, self.event_time) else account.newest

    def account(self, name: str) -> tuple[Account, Account | None]:
        """Return an account to change, and what is forgotten in its favour."""
        before = self.accounts.read(name)
        account = self._silent_accounts.change(name, self.event_time)
        return account, None if account is before else before

    def counterparty(self, name: str) -> CounterpartyHistory:
        """Return a counterparty to change."""
        return self._silent_counterparties.change(name, self.event_time)

    def forget(self) -> Iterator[Account]:
        """Delete some of what has been silent for too long, and yield the accounts among it."""
        yield from self._silent_accounts.forget(self.event_time)
        for _ in self._silent_counterparties.forget(self.event_time):
            pass
        self.entities.forget(self.event_time)

    def changes(self) -> Iterable[tuple[str, bytes | None]]:
        """Return the states that have changed since the last call, in the order in which to store them."""
        covered = self._reached()
        if covered == self._covered:
            return []
        self._covered = covered
        absorbed = [(topic, partition, offset) for (topic, partition), offset in sorted(self.absorbed.items())]
        elsewhere = list(self.elsewhere.changes())
        commit = _ShardState(
            2,
            self.offset,
            self.event_time,
            self.produced_at,
            absorbed,
            self.elsewhere.state(),
            self.model.snapshot(),
            self._contest_state(),
            self.breaker.snapshot(),
            self.commands.waiting(),
            self.drift.snapshot(),
        )
        changed = chain(
            self._with_before(ACCOUNT, self.accounts.changes()),
            self._with_before(COUNTERPARTY, self.counterparties.changes()),
            self.entities.changes(),
            self.awaiting.changes(),
            elsewhere,
            self._label_changes(),
        )
        return self._states.checkpoint(changed, msgspec.msgpack.encode(commit))

    def kept_bytes(self) -> int:
        """Return how many bytes the accounts, counterparties and entities in memory take."""
        return self.accounts.bytes + self.counterparties.bytes + self.entities.kept.bytes

    def put_away(self, down_to: int) -> int:
        """Let accounts, counterparties and entities that have not changed leave memory, each kind its share."""
        self._states.was_stored()
        share = down_to / max(self.kept_bytes(), 1)
        kinds = (self.accounts, self.counterparties, self.entities.kept)
        return sum(kept.put_away(int(share * kept.bytes)) for kept in kinds)

    def _reached(self) -> tuple[object, ...]:
        return self.offset, dict(self.absorbed), self.commands.taken

    def _with_before(self, prefix: str, changes: Iterable[tuple[str, bytes | None]]) -> Iterator[Change]:
        for name, state in changes:
            key = prefix + name
            yield key, state, self._states.get(key)

    def _watch(self, features: bytes, *, fraud: bool) -> None:
        """Let a label show whether the model that decides has been overtaken; if it has, it learns faster."""
        if not self._drift_settings.enabled:
            return
        probability = self.classifier.predict_proba_one(named(features, self.model.names))[True]
        drift = self.drift.judge(probability, fraud=fraud, at=self.event_time)
        if drift is not None:
            self.classifier.hurry(self._drift_settings.faster)
            self.drifts += 1
            if self.contest is not None:
                self.contest.tell_of_champion()

    def _count(self, awaiting: Awaiting, *, fraud: bool, corrected: bool) -> None:
        self._count_for_others(awaiting, fraud=fraud, corrected=corrected)
        if fraud or corrected:
            self.account(awaiting.account)[0].history.learn_fraud(awaiting.timestamp, 1 if fraud else -1)

    def _learn_elsewhere(self, label: LateLabel) -> None:
        payment = self.elsewhere.get(label.id)
        if payment is not None and payment.label != label.label:
            self._count_for_others(payment, fraud=label.label, corrected=payment.label is not None)
            self.elsewhere.settle(label.id, label=label.label)

    def _count_for_others(self, payment: Awaiting | PaymentElsewhere, *, fraud: bool, corrected: bool) -> None:
        counterparty = self.counterparty(payment.counterparty)
        count = counterparty.correct_label if corrected else counterparty.learn_label
        count(payment.timestamp, payment.amount, fraud=fraud)
        self.entities.learn_label(
            payment.entities, payment.timestamp, self.event_time, fraud=fraud, corrected=corrected
        )

    def _label_changes(self) -> Iterator[Change]:
        held = {_label_key(label): label for label in self.labels}
        for key in sorted(self._stored_labels - held.keys()):
            yield key, None, None
        for key in sorted(held.keys() - self._stored_labels):
            yield key, msgspec.msgpack.encode(held[key]), None
        self._stored_labels = set(held)

    def _contest(self, challenge: Challenge, saved: _ShardState | None) -> None:
        before = saved.contest if saved else None
        self.contest = Contest(
            self.model.classifier,
            challenge.challengers,
            challenge.promotion,
            challenge.decision,
            before.contest if before else None,
            at=self.event_time,
            declared=self.entities.declared,
        )
        self.promotions = Promotions(
            [DEFAULT, *challenge.challengers], challenge.limits, before.promotions if before else None
        )

    def _contest_state(self) -> _ContestState | None:
        if self.contest is None or self.promotions is None:
            return None
        return _ContestState(self.contest.snapshot(), self.promotions.waiting())

    def _obey(self) -> None:
        """Do what people said of models, as far as it counts by now."""
        if self.contest is None or self.promotions is None:
            return
        for said in self.promotions.due(self.produced_at):
            if said.model is None:
                self.contest.roll_back(self.event_time, said.by, said.reason)
            else:
                self.contest.promote(said.model, self.event_time, said.by, said.reason)

    def _restore(self, saved: _ShardState | None) -> None:
        for key, state in self._states.items("label/"):
            self.labels.add(msgspec.msgpack.decode(state, type=LateLabel))
            self._stored_labels.add(key)
        if saved is None:
            return
        self.offset, self.event_time, self.produced_at = saved.offset, saved.event_time, saved.produced_at
        self.absorbed = {(topic, partition): offset for topic, partition, offset in saved.absorbed}
        self.model.restore(saved.model)


def _label_key(label: LateLabel) -> str:
    return f"label/{label.partition}/{label.offset}"
