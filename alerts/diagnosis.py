"""Which of the sources in an incident, or what they depend on, may have caused it, and why."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import msgspec
from pydantic import BaseModel, ConfigDict, Field

from alerts.happening import ChangeEvent
from alerts.incident import Cause, Evidence
from alerts.summary import clock, duration, odds
from alerts.topology import Topology

MOST_CAUSES = 5


class DiagnosisSettings(BaseModel):
    """How much each kind of evidence says."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    onset_error: float = Field(20.0, gt=0, description="Seconds by which the start of an anomaly is usually misjudged.")
    longest_lag: float = Field(600.0, gt=0, description="Seconds after which a cause has lost most of its effect.")
    decay: float = Field(0.85, gt=0, le=1, description="What is left of an effect from one node to the next.")
    unobserved: float = Field(0.35, ge=0, le=1, description="How likely a cause raises no alert itself.")
    change: float = Field(1.0, ge=0, description="How much likelier a recent change makes a cause: 1 doubles it.")
    change_half_life: float = Field(900.0, gt=0, description="Seconds in which that halves.")


class Observed(msgspec.Struct, frozen=True):
    """What an incident knows of one source.

    Parameters
    ----------
    began
        When its first alert's anomaly started, epoch seconds.
    p_value
        Lowest of its alerts.
    what
        What of it is unusual, in words.

    """

    began: float
    p_value: float
    what: str


class _Candidate(msgspec.Struct):
    """What speaks for one node; sums over the sources that it may explain."""

    reached: list[tuple[str, int]] = []
    coverage: float = 0.0
    score: float = 0.0
    change: ChangeEvent | None = None
    changed: float = 0.0
    precision: float = 1.0


class Diagnosis:
    """Ranks the causes of one incident.

    Each alerting source is explained by itself, and by what it depends on: the less the further away, and the less the
    more clearly it began before that (a logistic in the lag, since starts are misjudged). A candidate's score is the
    share of the incident that it explains, times: how many of its own dependents are affected; how strongly it is
    unusual itself; a recent change to it; and how little anything before it explains. What a better candidate explains
    is its symptom, and is never named. The idea of explaining effects through a graph with noisy-or is that of
    Sherlock [1]_; changes and lags come on top.

    Parameters
    ----------
    topology
        What depends on what.
    hops
        How far up causes are looked for.
    settings
        How much each kind of evidence says.

    References
    ----------
    .. [1] P. Bahl et al. (2007). Towards highly reliable enterprise network services via inference of multi-level
       dependencies. SIGCOMM. https://doi.org/10.1145/1282380.1282383

    Examples
    --------
    >>> from alerts.topology import SourceRule, TopologySettings
    >>> rules = (SourceRule(match="web", depends_on=("api",)), SourceRule(match="api", depends_on=("db",)))
    >>> diagnosis = Diagnosis(Topology(TopologySettings(sources=rules)), 4, DiagnosisSettings())
    >>> causes = diagnosis.causes({"web": Observed(90.0, 1e-6, "level"), "db": Observed(0.0, 1e-5, "level")})
    >>> [(cause.source, cause.observed) for cause in causes]
    [('db', True)]

    """

    def __init__(self, topology: Topology, hops: int, settings: DiagnosisSettings) -> None:
        self._topology, self._hops, self._settings = topology, hops, settings

    def causes(self, observed: Mapping[str, Observed], changes: Sequence[ChangeEvent] = ()) -> tuple[Cause, ...]:
        """Return the causes of an incident, likeliest first.

        Parameters
        ----------
        observed
            Its sources.
        changes
            What was changed of late.

        """
        if not observed:
            return ()
        above = {name: self._topology.ancestors(name, self._hops) for name in observed}
        candidates = self._candidates(above)
        weights = {name: _weight(one) for name, one in observed.items()}
        total = sum(weights.values())
        of_source: dict[str, list[ChangeEvent]] = {}
        for change in changes:
            of_source.setdefault(change.source, []).append(change)
        for name, candidate in candidates.items():
            self._weigh(name, candidate, observed, weights, total)
            self._blame(name, candidate, observed, of_source.get(name, ()))
        unexplained = {name: self._unexplained(name, above[name], observed) for name in observed}
        for name, candidate in candidates.items():
            candidate.score *= unexplained[name] if name in observed else self._hidden(candidate, unexplained)
        return self._ranked(candidates, observed, weights, above)

    def explains(self, cause: Observed, effect: Observed, distance: int) -> float:
        """Return how well a cause explains an effect so many nodes away, 0…1."""
        if distance == 0:
            return 1.0
        settings = self._settings
        near: float = settings.decay**distance
        lag = effect.began - cause.began
        after = 1.0 / (1.0 + math.exp(-max(-50.0, min(50.0, lag / settings.onset_error))))
        return near * after * math.exp(-max(lag, 0.0) / settings.longest_lag)

    def _candidates(self, above: Mapping[str, Mapping[str, int]]) -> dict[str, _Candidate]:
        candidates: dict[str, _Candidate] = {}
        for name, ancestors in above.items():
            for ancestor, distance in ancestors.items():
                candidate = candidates.get(ancestor)
                if candidate is None:
                    candidate = candidates[ancestor] = _Candidate([])
                candidate.reached.append((name, distance))
        return candidates

    def _weigh(
        self,
        name: str,
        candidate: _Candidate,
        observed: Mapping[str, Observed],
        weights: Mapping[str, float],
        total: float,
    ) -> None:
        """Set what speaks for a candidate but for changes and what began before it."""
        itself = observed.get(name) or self._supposed(candidate, observed)
        explained = sum(weights[s] * self.explains(itself, observed[s], d) for s, d in candidate.reached)
        candidate.coverage = explained / total
        nearest = sum(1 for _, distance in candidate.reached if distance == 1)
        dependents = max(len(self._topology.children(name)), nearest)
        candidate.precision = (nearest + 1.0) / (dependents + 1.0)
        own = 0.5 + 0.5 * weights[name] if name in observed else 1.0
        candidate.score = candidate.coverage * math.sqrt(candidate.precision) * own

    def _blame(
        self,
        name: str,
        candidate: _Candidate,
        observed: Mapping[str, Observed],
        changes: Sequence[ChangeEvent],
    ) -> None:
        """Count the last change to a candidate before it began."""
        began = observed[name].began if name in observed else min(observed[s].began for s, _ in candidate.reached)
        for change in changes:
            ago = began - change.timestamp
            if ago >= -self._settings.onset_error:
                changed = 0.5 ** (max(ago, 0.0) / self._settings.change_half_life)
                if changed > candidate.changed:
                    candidate.change, candidate.changed = change, changed
        candidate.score *= 1.0 + self._settings.change * candidate.changed

    def _unexplained(self, name: str, ancestors: Mapping[str, int], observed: Mapping[str, Observed]) -> float:
        """Return how little of a source is explained by what it depends on and has been observed."""
        left = 1.0
        for ancestor, distance in ancestors.items():
            if distance and ancestor in observed:
                left *= 1.0 - self.explains(observed[ancestor], observed[name], distance)
        return left

    @staticmethod
    def _supposed(candidate: _Candidate, observed: Mapping[str, Observed]) -> Observed:
        """Return what may have happened to a node that raised no alert: it began with the first that depends on it."""
        return Observed(min(observed[source].began for source, _ in candidate.reached), 1.0, "")

    def _hidden(self, candidate: _Candidate, unexplained: Mapping[str, float]) -> float:
        """Return how likely a node without an alert is a cause: the more so, the more nothing else explains."""
        roots = sum(max(2.0 * unexplained[source] - 1.0, 0.0) for source, _ in candidate.reached)
        likely: float = 1.0 - (1.0 - self._settings.unobserved) ** max(roots - 1.0, 0.0)
        return likely * candidate.precision**1.5

    def _ranked(
        self,
        candidates: Mapping[str, _Candidate],
        observed: Mapping[str, Observed],
        weights: Mapping[str, float],
        above: Mapping[str, Mapping[str, int]],
    ) -> tuple[Cause, ...]:
        """Name one cause after another; what one explains is its symptom, and explains less for the next."""
        left = dict(weights)
        whole = sum(candidate.score for candidate in candidates.values()) or 1.0
        scores = {name: candidate.score for name, candidate in candidates.items() if candidate.score > 0}
        causes: list[Cause] = []
        while scores and len(causes) < MOST_CAUSES:
            name = min(scores, key=lambda name: (-scores[name], name))
            score = scores.pop(name)
            if score < 0.02 * whole and causes:
                break
            causes.append(self._cause(name, candidates[name], observed, score / whole))
            cause = observed.get(name) or self._supposed(candidates[name], observed)
            for symptom, distance in candidates[name].reached:
                explained = self.explains(cause, observed[symptom], distance)
                left[symptom] *= 1.0 - explained
                if symptom != name and explained > 0.3 * self._settings.decay**distance:
                    scores.pop(symptom, None)
            for other in scores:
                share = self._share_left(candidates[other], left, weights)
                scores[other] = candidates[other].score * (0.3 + 0.7 * share)
        return tuple(causes)

    @staticmethod
    def _share_left(candidate: _Candidate, left: Mapping[str, float], weights: Mapping[str, float]) -> float:
        reached = sum(weights[name] for name, _ in candidate.reached)
        return sum(left[name] for name, _ in candidate.reached) / reached

    def _cause(self, name: str, candidate: _Candidate, observed: Mapping[str, Observed], share: float) -> Cause:
        evidence = sorted(self._evidence(name, candidate, observed), key=lambda one: (-one.weight, one.kind))
        change_id = candidate.change.change_id if candidate.change else None
        return Cause(
            source=name,
            score=min(share, 1.0),
            observed=name in observed,
            change_id=change_id,
            evidence=tuple(evidence),
        )

    def _evidence(self, name: str, candidate: _Candidate, observed: Mapping[str, Observed]) -> list[Evidence]:
        itself, found = observed.get(name), []
        others = [observed[source] for source, distance in candidate.reached if distance]
        if others:
            share = len(others) / max(len(observed) - (itself is not None), 1)
            text = f"{len(others)} of {len(observed)} affected sources depend on it"
            found.append(Evidence(kind="position", weight=share * candidate.precision, detail=text))
        if itself and others:
            later = sum(one.began >= itself.began for one in others)
            first = min(one.began for one in others) - itself.began
            said = f"the first of them {duration(first)} later" if first > 0 else f"{later} of them began no earlier"
            text = f"began {clock(itself.began)}, {said}"
            found.append(Evidence(kind="lag", weight=later / len(others), detail=text))
        if candidate.change:
            change = candidate.change
            text = f"{change.kind} {change.change_id} at {clock(change.timestamp)}"
            text += f": {change.summary}" if change.summary else ""
            found.append(Evidence(kind="change", weight=candidate.changed, detail=text))
        if itself:
            text = f"{itself.what}: {odds(itself.p_value)} normal events look like this"
            found.append(Evidence(kind="contribution", weight=_weight(itself), detail=text))
        else:
            found.append(Evidence(kind="contribution", weight=0.0, detail="raised no alert itself"))
        return found


def _weight(observed: Observed) -> float:
    """Return how much a source counts: from a quarter, up to 1 from a p-value of 1e-8 on."""
    return 0.25 + 0.75 * min(-math.log10(max(observed.p_value, 1e-300)), 8.0) / 8.0
