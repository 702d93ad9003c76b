"""Everything Tocsin does with one partition of transactions: decide, explain, alert, and learn from labels."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from alerts.alert import Alert
from alerts.summary import duration
from detectors.transactions import (
    Decision,
    FraudScore,
    decide,
)
from detectors.transactions.declared import Facts
from detectors.transactions.trace import DecisionTrace
from streams.absorbed import unread
from streams.accounts import STREAM, Account
from streams.awaiting_labels import Awaiting, AwaitingDeclared
from streams.codec import Rejected, decode, misplaced, mistimed
from streams.dead_letters import dead_letter
from streams.decided import decision_record
from streams.elsewhere import PaymentElsewhere
from streams.fraud_alerts import KIND, as_score, sentence, worded
from streams.late_labels import LateLabel
from streams.models import alone, told
from streams.policy_book import TOPIC as POLICIES
from streams.policy_book import PolicyBook
from streams.processor import Output, Record, Result
from streams.promotions import TOPIC as PROMOTIONS
from streams.rule_book import LISTS, RULES, RuleBook, fields_of
from streams.schemas import LabelEvent, TransactionEvent
from streams.shard import Shard
from streams.source_commands import TOPIC as COMMANDS
from streams.transaction_settings import TransactionSettings

LARGEST_AMOUNT = 1e15
"""Amounts beyond count as this much: nobody pays it, and sums stay exact enough."""

OUTCOMES = (
    *("approve", "review", "decline", "breaker", "duplicate", "dead_letter", "replayed"),
    *("label_learned", "label_corrected", "label_repeated", "label_missed"),
    *("command_done", "command_without_effect", "drift"),
)


class TransactionProcessor:
    """One partition of topic ``transactions`` (a shard) as a function of its records and the labels.

    A shard has its own model, and decides the transactions of its own accounts. Of the other partitions it reads which
    payment went where: so a label, whoever decided its transaction, counts for the counterparty in every shard alike.

    Parameters
    ----------
    settings
        How to decide.
    partition
        Number of the partition.
    states
        States of this partition as they were stored.

    """

    broadcasts: tuple[str, ...]
    detector: str = KIND

    def __init__(
        self, settings: TransactionSettings, partition: int, states: Mapping[str, bytes] | None = None
    ) -> None:
        self._settings, self._thresholds = settings, settings.decision.model_dump()
        self._declared = settings.declared
        across = (STREAM,) if settings.labels.across_partitions else ()
        promotions = (PROMOTIONS,) if settings.challengers else ()
        rules = (RULES, LISTS) if settings.rules else ()
        self.broadcasts = ("labels", COMMANDS, POLICIES, *across, *promotions, *rules)
        self._rules = RuleBook()
        # Like the rules it is read anew at each start: nothing of it is part of the state.
        self._policies = PolicyBook(settings.policy, settings.limits, {}, STREAM)
        self._partition = partition
        self._shard = Shard(
            settings.model,
            settings.labels,
            settings.policy,
            settings.forget_after,
            {} if states is None else states,
            settings.challenge,
            settings.breaker,
            settings.drift,
            settings.decision.review_at,
            self._declared,
        )

    def process(self, records: Sequence[Record]) -> Result:
        """Decide transactions in the order of their offsets."""
        result = Result()
        for record in records:
            if record.offset <= self._shard.offset:
                result.outcomes["replayed"] += 1
            else:
                self._take(record, result)
                self._shard.offset = record.offset
        return result

    def absorb(self, records: Sequence[Record]) -> Result:
        """Take in labels, commands, payments of other partitions and promotions: they count once they are reached."""
        result = Result()
        whole = (RULES, LISTS, POLICIES)
        for record, wrong in self._rules.absorb([one for one in records if one.topic in (RULES, LISTS)]):
            self._speak_of(record, wrong, result)
        for _ in self._policies.absorb([one for one in records if one.topic == POLICIES]):
            pass  # of what cannot be taken, telemetry speaks, which reads the topic too
        for record in unread([one for one in records if one.topic not in whole], self._shard.absorbed):
            if record.topic == STREAM:
                self._hear(record)
            elif record.topic == PROMOTIONS:
                if self._shard.promotions and (rejected := self._shard.promotions.hear(record)):
                    self._speak_of(record, rejected, result)
            elif record.topic == COMMANDS:
                self._shard.commands.hear(record, self._settings.limits)
            else:
                self._hear_of_label(record, result)
        return result

    def absorbed(self) -> Mapping[tuple[str, int], int]:
        """Last offset taken in, by broadcast topic and partition."""
        return {**self._shard.absorbed, **self._rules.absorbed, **self._policies.absorbed}

    def tick(self, now: float) -> Result:
        """Forget some of what has been silent for too long, and obey commands."""
        result = Result()
        cause = Record(STREAM, self._partition, self._shard.offset, self._shard.produced_at, None, None)
        self._obey(now, cause, result)
        for account in self._shard.forget():
            self._end_forgotten(account, cause, result)
        return result

    def models(self) -> int:
        """Return 1: a shard's accounts share its model."""
        return 1

    def kept_bytes(self) -> int:
        """Return how many bytes the accounts, counterparties and entities in memory take."""
        return self._shard.kept_bytes()

    def put_away(self, down_to: int) -> int:
        """Let accounts, counterparties and entities that have not changed leave memory."""
        return self._shard.put_away(down_to)

    def changes(self) -> Iterable[tuple[str, bytes | None]]:
        """Return the states changed since the last call; they must be stored in this order."""
        return self._shard.changes()

    def _take(self, record: Record, result: Result) -> None:
        event = self._checked(record)
        if isinstance(event, Rejected):
            self._reject(record, event, result)
            return
        for label in self._shard.reach(event.time, record.timestamp):
            if outcome := self._shard.learn(label):
                result.outcomes[outcome] += 1
        self._obey(self._shard.produced_at, record, result)
        self._tell_of_models(record, result)
        if missed := self._shard.expire():
            result.outcomes["label_missed"] += missed
        if self._shard.awaiting.get(event.transaction_id) is not None:
            result.outcomes["duplicate"] += 1
            return
        self._decide(event, record, result)

    def _tell_of_models(self, record: Record, result: Result) -> None:
        """Say what is new about the models: roles and measures where there are challengers, and drifts."""
        shard = self._shard
        if shard.drifts:
            result.outcomes["drift"] += shard.drifts
            shard.drifts = 0
            if shard.contest is None:
                result.outputs.append(told(alone(shard.classifier), self._partition, record, shard.drift.last))
        if shard.contest is not None:
            news = shard.contest.news()
            result.outputs += [told(one, self._partition, record, shard.drift.last) for one in news]

    def _hear(self, record: Record) -> None:
        """Take in a payment that another shard decides; what it cannot take it reports itself."""
        if record.partition == self._partition:
            return
        event = decode(TransactionEvent, record.value, self._settings.limits)
        if isinstance(event, Rejected) or misplaced(record, event.account, "account"):
            self._shard.elsewhere.pass_over(record.partition, record.timestamp)
            return
        payment = PaymentElsewhere(event.counterparty, event.time, min(event.amount, LARGEST_AMOUNT))
        facts: Facts | None = None
        # One dated far ahead is refused where it is decided, and would make entities forget all before it.
        if self._declared and not mistimed(event.time, -math.inf, record, self._settings.limits):
            facts = self._declared.facts(fields_of(event), payment.amount, elsewhere=True)
            payment.entities = self._declared.labelled(facts)
        where = record.partition, record.offset, record.timestamp
        self._shard.elsewhere.hear(*where, event.transaction_id, payment, facts if facts and facts.entities else None)

    def _hear_of_label(self, record: Record, result: Result) -> None:
        event = decode(LabelEvent, record.value, self._settings.limits)
        if isinstance(event, Rejected):
            self._speak_of(record, event, result)
            return
        self._shard.labels.add(
            LateLabel(event.time, event.id, record.partition, record.offset, record.timestamp, event.label)
        )

    def _speak_of(self, record: Record, rejected: Rejected, result: Result) -> None:
        """Report what cannot be taken: every shard reads it, and that of the same number speaks."""
        if record.partition == self._partition:
            self._reject(record, rejected, result)

    def _reject(self, record: Record, rejected: Rejected, result: Result) -> None:
        result.outcomes["dead_letter"] += 1
        result.outputs.append(dead_letter(record, rejected))

    def _checked(self, record: Record) -> TransactionEvent | Rejected:
        event = decode(TransactionEvent, record.value, self._settings.limits)
        if isinstance(event, Rejected):
            return event
        return (
            misplaced(record, event.account, "account")
            or mistimed(event.time, self._shard.newest_of(event.account), record, self._settings.limits)
            or event
        )

    def _decide(self, event: TransactionEvent, record: Record, result: Result) -> None:
        shard, time, amount = self._shard, event.time, min(event.amount, LARGEST_AMOUNT)
        account, before = shard.account(event.account)
        if before is not None:
            self._end_forgotten(before, record, result)
        counterparty = shard.counterparty(event.counterparty)
        facts = self._declared.facts(fields_of(event), amount) if self._declared else None
        declared = () if facts is None else shard.entities.features(time, facts, shard.event_time)
        features = shard.model.features(time, amount, account.history, counterparty, event.counterparty, declared)
        score, scores = shard.score(features)
        decision = decide(self._settings.decision, score, amount, shard.classifier.learned[True])
        self._rules.reach(shard.produced_at)
        judged = self._rules.judge(decision, event, score)
        wanted = decision if judged is None else judged.decision
        decision = self._unless_too_many(wanted, time, result)
        trace = None
        if self._settings.traces == "all" or (self._settings.traces == "suspicious" and decision.verdict != "approve"):
            breaker = decision is not wanted
            trace = DecisionTrace.of(features, score, self._thresholds, breaker=breaker, names=shard.model.names)
        result.outcomes[decision.verdict] += 1
        result.scores.append(score.probability)
        key = event.account.encode()
        decided = decision_record(
            event,
            score,
            decision,
            learned=shard.classifier.learned,
            most=self._settings.contributions,
            judged=judged,
            contest=None if shard.contest is None or scores is None else (shard.contest, scores),
            shadow_scores=self._settings.shadow_scores,
            trace=trace,
        )
        result.outputs.append(Output("decisions", key, decided.encode(), "tocsin.decision.v1", record))
        account.heard = max(account.heard, record.timestamp)
        self._publish(self._alerts(event, account, score, decision, result), record, result)
        shard.model.observe(features)
        account.history.learn(time, amount, event.counterparty)
        account.newest = max(account.newest, time)
        counterparty.learn(time, amount)
        waiting = record.offset, time, event.account, event.counterparty, amount, features, None, scores
        if facts is None:
            shard.awaiting.add(event.transaction_id, Awaiting(*waiting))
        else:
            shard.entities.learn(time, facts, shard.event_time)
            labelled = self._declared.labelled(facts)
            shard.awaiting.add(event.transaction_id, AwaitingDeclared(*waiting, shard.awaiting.layout, labelled))

    def _unless_too_many(self, decision: Decision, time: float, result: Result) -> Decision:
        """Let people look at what would be declined, while too much is."""
        if not self._shard.breaker.count(time, declined=decision.verdict == "decline") or decision.verdict != "decline":
            return decision
        result.outcomes["breaker"] += 1
        share, window = self._settings.breaker.share or 0.0, duration(self._settings.breaker.window)
        why = f"breaker: more than {share:.0%} of all within {window} would be declined"
        return Decision("review", (why, *decision.reasons))

    def _end_forgotten(self, account: Account, cause: Record, result: Result) -> None:
        """End the alert of an account that is forgotten."""
        self._policies.govern(account, account.heard)
        ended = account.alerts.expire(self._settings.forget_after or 0.0)
        self._publish([worded(alert, account.suspicion) for alert in ended], cause, result)
        result.forgotten += 1

    def _obey(self, now: float, cause: Record, result: Result) -> None:
        for account, command in self._shard.commanded(now):
            self._policies.govern(account, account.heard)
            changes = account.alerts.command(command)
            result.outcomes["command_done" if changes else "command_without_effect"] += 1
            self._publish([worded(alert, account.suspicion) for alert in changes], cause, result)

    def _publish(self, alerts: Iterable[Alert], cause: Record, result: Result) -> None:
        for alert in alerts:
            result.outputs.append(Output("alerts", alert.alert_id.encode(), alert.encode(), "tocsin.alert.v1", cause))

    def _alerts(
        self, event: TransactionEvent, account: Account, score: FraudScore, decision: Decision, result: Result
    ) -> list[Alert]:
        """Follow the alert of the account, if there is anything to it."""
        suspicious = decision.verdict in self._settings.alert_on
        if not suspicious and not account.alerts.active:
            return []
        genuine = 1.0
        if suspicious:
            # A rule may ask for review where the score alone would not.
            genuine = min(max(1.0 - score.probability, 1e-12), self._settings.policy.of(KIND).fire_p)
            account.suspicion = sentence(event, score, decision)
        self._policies.govern(account, account.heard)
        step = account.alerts.step(event.time, as_score(genuine, score))
        result.held.update(step.newly_held)
        return [worded(alert, account.suspicion) for alert in step.changes]
