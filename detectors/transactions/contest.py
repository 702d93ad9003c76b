"""The champion, who decides, and its challengers, who are scored beside it on the same transactions."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

import msgspec

from detectors.transactions.classifier import AdditiveLogisticRegression
from detectors.transactions.decision import DecisionSettings
from detectors.transactions.declared import NONE_DECLARED, DeclaredFeatures
from detectors.transactions.model import (
    FEATURES,
    ClassifierSettings,
    FraudScore,
    make_classifier,
    named,
    score_with,
)
from detectors.transactions.prequential import Measures, Prequential
from detectors.transactions.promotion import Comparison, PromotionSettings, Trial, TrialState
from detectors.transactions.snapshots import decode_state

DEFAULT = "default"
"""Name of the model that the configuration has under ``transactions.model``; the first champion."""

CONFIGURATION, AUTOMATIC = "configuration", "automatic"
"""Who says that a model has its role, if no person does."""

TOLD_EVERY = 1_000
"""Judged labels after which a model's measures are told anew."""

Role = Literal["champion", "challenger", "removed"]
Scores = dict[int, float]
"""What each model says of one transaction, by the model's number; waits with it for the label."""


class Standing(NamedTuple):
    """A model's role, since when and by whom, and how it does.

    ``comparison`` is that of a challenger with the champion; of a promoted one, how it compared with the one before.
    """

    model: str
    role: Role
    version: int
    since: float
    by: str
    reason: str | None
    classifier: AdditiveLogisticRegression | None
    measures: Measures | None
    comparison: Comparison | None


class _Told(msgspec.Struct, array_like=True, frozen=True):
    """What of a model has been told last."""

    role: str
    since: float
    better: bool
    thousands: int


@dataclass(slots=True)
class _Contestant:
    """A model; ``number`` tells it from one of the same name that had other settings."""

    name: str
    number: int
    settings: bytes
    classifier: AdditiveLogisticRegression
    measures: Prequential
    since: float
    by: str = CONFIGURATION
    reason: str | None = None
    trial: Trial | None = None
    won: Comparison | None = None
    told: _Told | None = None


class _ContestantState(msgspec.Struct, array_like=True, frozen=True):
    name: str
    number: int
    settings: bytes
    classifier: bytes
    measures: bytes
    since: float
    by: str
    reason: str | None
    trial: TrialState | None
    won: Comparison | None
    told: _Told | None


class _State(msgspec.Struct, array_like=True, frozen=True):
    version: int
    reign: int
    champion: str
    before: str | None
    held: list[str]
    next_number: int
    contestants: list[_ContestantState]


class Contest:
    """Champion and challengers of one shard as a state machine over transactions, labels and what people say.

    All models see the same features, computed once. What they say waits with the transaction for its label; then all
    are judged by it, and only then learn it. A model is judged by scores that it gave once it had learned as many
    frauds as it needs to decline (``decline_after_frauds``).

    Parameters
    ----------
    default
        The configuration's own model; its state is kept elsewhere.
    challengers
        Settings of the others, by name. One whose settings have changed begins anew.
    promotion
        The gate.
    decision
        Where a score becomes a decision.
    state
        As ``snapshot`` gave it.
    at
        Event time of now, epoch seconds: since when what the configuration says counts. Negative infinity before the
        first transaction.

    Raises
    ------
    detectors.base.SnapshotError
        If the state is damaged or of another format.

    Examples
    --------
    >>> from detectors.transactions import FraudModel, FraudModelSettings
    >>> model = FraudModel(FraudModelSettings())
    >>> slow = {"slow": ClassifierSettings(learning_rate=0.02)}
    >>> contest = Contest(model.classifier, slow, PromotionSettings(), DecisionSettings())
    >>> [(one.model, one.role) for one in contest.news()]
    [('default', 'champion'), ('slow', 'challenger')]
    >>> contest.promote("slow", at=60.0, by="ann", reason="it is calmer")
    >>> [(one.model, one.role, one.by) for one in contest.news()]
    [('default', 'challenger', 'ann'), ('slow', 'champion', 'ann')]

    """

    VERSION = 1

    def __init__(
        self,
        default: AdditiveLogisticRegression,
        challengers: Mapping[str, ClassifierSettings],
        promotion: PromotionSettings,
        decision: DecisionSettings,
        state: bytes | None = None,
        at: float = -math.inf,
        declared: DeclaredFeatures = NONE_DECLARED,
    ) -> None:
        self._declared, self._names = declared, (*FEATURES, *declared.names)
        self._default, self._challengers = default, challengers
        self._promotion, self._decision = promotion, decision
        self._at = at
        self.champion, self.reign = DEFAULT, 1
        self._before: str | None = None
        self._held: set[str] = set()
        self._next_number = 0
        self._changed = True
        saved = None if state is None else decode_state(state, _State, self.VERSION)
        known = {one.name: one for one in saved.contestants} if saved else {}
        if saved:
            self.reign, self._next_number = saved.reign, saved.next_number
            self.champion, self._before, self._held = saved.champion, saved.before, set(saved.held)
        wanted = {DEFAULT: b""} | {
            name: msgspec.json.encode(settings.model_dump(mode="json"), order="sorted")
            for name, settings in sorted(self._challengers.items())
        }
        self._models: dict[str, _Contestant] = {}
        for name, settings in wanted.items():
            was = known.get(name)
            self._models[name] = self._new(name, settings) if was is None or was.settings != settings else self._of(was)
        self._removed = [name for name in known if name not in wanted]
        anew = {name for name, was in known.items() if wanted.get(name) != was.settings}
        self._held -= anew
        if self._before in anew:
            self._before = None
        if self.champion in anew:
            self._crown(DEFAULT, self._at, CONFIGURATION, f"the settings of {self.champion} have changed")
            self._before = None

    @property
    def classifier(self) -> AdditiveLogisticRegression:
        """The champion's."""
        return self._models[self.champion].classifier

    def score(self, features: bytes) -> tuple[FraudScore, Scores]:
        """Return the champion's score of a transaction, and what of all models is to be judged by its label."""
        x = named(features, self._names)
        score = score_with(self.classifier, x)
        said: Scores = {}
        for model in self._models.values():
            if model.name == self.champion:
                said[model.number] = score.probability
            elif model.classifier.learned[True] >= self._decision.decline_after_frauds:
                said[model.number] = model.classifier.predict_proba_one(x)[True]
        return score, said

    def by_name(self, scores: Scores) -> dict[str, float]:
        """Return scores by the models' names."""
        return {name: scores[one.number] for name, one in self._models.items() if one.number in scores}

    def learn(self, features: bytes, scores: Scores, amount: float, *, fraud: bool, at: float) -> None:
        """Judge all models by a label, then let them learn it; perhaps one is promoted.

        Parameters
        ----------
        features, scores, amount
            Of the transaction, as they were when it was decided.
        fraud
            The label.
        at
            Event time of now, epoch seconds.

        """
        of_champion = scores.get(self._models[self.champion].number)
        x = named(features, self._names)
        for model in self._models.values():
            score = scores.get(model.number)
            if score is not None:
                model.measures.judge(score, amount, fraud=fraud)
                if model.trial is not None and of_champion is not None:
                    model.trial.judge(champion=of_champion, challenger=score, fraud=fraud)
            model.classifier.learn_one(x, fraud)
        self._changed = True
        if self._promotion.automatic:
            self._promote_the_best(at)

    def promote(self, name: str, at: float, by: str, reason: str | None) -> None:
        """Let a model decide from now on; a name that is none's, or the champion's, changes nothing."""
        if name in self._models and name != self.champion:
            self._held.discard(name)
            self._crown(name, at, by, reason)

    def roll_back(self, at: float, by: str, reason: str | None) -> None:
        """Let the champion before decide again; the present one is not promoted any more unless a person does so."""
        if self._before is not None:
            self._held.add(self.champion)
            self._crown(self._before, at, by, reason)
            self._before = None

    def tell_of_champion(self) -> None:
        """Let the champion be among the news, as there is something new about it."""
        self._models[self.champion].told = None
        self._changed = True

    def news(self) -> Iterator[Standing]:
        """Yield the models of which there is something new to tell since this was asked last."""
        if not self._changed:
            return
        self._changed = False
        for name in self._removed:
            yield Standing(name, "removed", self.reign, self._at, CONFIGURATION, None, None, None, None)
        self._removed = []
        for model in self._models.values():
            role: Role = "champion" if model.name == self.champion else "challenger"
            better = model.trial is not None and model.trial.verdict() == "better"
            told = _Told(role, model.since, better, model.measures.labels // TOLD_EVERY)
            if told != model.told:
                model.told = told
                yield Standing(
                    model.name,
                    role,
                    self.reign,
                    model.since,
                    model.by,
                    model.reason,
                    model.classifier,
                    model.measures.measures(),
                    model.trial.comparison(self.champion) if model.trial else model.won,
                )

    def snapshot(self) -> bytes:
        """Return the state in a compact, versioned, non-executable form; but for the default model's classifier."""
        contestants = [
            _ContestantState(
                one.name,
                one.number,
                one.settings,
                b"" if one.name == DEFAULT else one.classifier.snapshot(),
                one.measures.snapshot(),
                one.since,
                one.by,
                one.reason,
                one.trial.snapshot() if one.trial else None,
                one.won,
                one.told,
            )
            for one in self._models.values()
        ]
        held = sorted(self._held)
        state = _State(self.VERSION, self.reign, self.champion, self._before, held, self._next_number, contestants)
        return msgspec.msgpack.encode(state)

    def _promote_the_best(self, at: float) -> None:
        better = [
            (model.trial.comparison(self.champion), model.name)
            for model in self._models.values()
            if model.trial is not None and model.name not in self._held and model.trial.verdict() == "better"
        ]
        if better:
            shown, name = max(better, key=lambda pair: (pair[0].advantage, pair[1]))
            reason = (
                f"its loss is {shown.advantage:.1%} below that of {self.champion}, on {shown.labels} labels with"
                f" {shown.frauds} frauds (p = {shown.p_value:.2g})"
            )
            self._crown(name, at, AUTOMATIC, reason)

    def _crown(self, name: str, at: float, by: str, reason: str | None) -> None:
        """Change the champion: all comparisons begin anew."""
        winner = self._models[name]
        winner.won = winner.trial.comparison(self.champion) if winner.trial else None
        self._before, self.champion = self.champion, name
        self.reign += 1
        self._changed = True
        for model in self._models.values():
            if model.name in (name, self._before):
                model.since, model.by, model.reason = at, by, reason
            model.trial = self._new_trial(model.name)

    def _new_trial(self, name: str, saved: TrialState | None = None) -> Trial | None:
        return None if name == self.champion else Trial(self._promotion, len(self._challengers), saved)

    def _new(self, name: str, settings: bytes) -> _Contestant:
        number, self._next_number = self._next_number, self._next_number + 1
        classifier = self._default if name == DEFAULT else make_classifier(self._challengers[name], self._declared)
        measures = Prequential(self._decision.review_at)
        return _Contestant(name, number, settings, classifier, measures, self._at, trial=self._new_trial(name))

    def _of(self, saved: _ContestantState) -> _Contestant:
        classifier = self._default
        if saved.name != DEFAULT:
            classifier = make_classifier(self._challengers[saved.name], self._declared)
            classifier.restore(saved.classifier)
        measures = Prequential(self._decision.review_at)
        measures.restore(saved.measures)
        return _Contestant(
            saved.name,
            saved.number,
            saved.settings,
            classifier,
            measures,
            saved.since,
            saved.by,
            saved.reason,
            self._new_trial(saved.name, saved.trial),
            saved.won,
            saved.told,
        )
