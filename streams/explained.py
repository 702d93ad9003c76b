"""What became of one event of telemetry that has a score, published or made again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

from alerts.evidence import strongest_of_each_kind
from alerts.policies import Ruling
from alerts.why import Finding, decided_again, findings, unremarkable
from detectors.score import Score, SignalScore, ValueExplanation
from streams.account import Account, Outcome, Versions
from streams.policy_book import PolicyBook
from streams.processor import Record
from streams.rescoring import Replayed, position_of
from streams.scores import ScoreRecord
from streams.telemetry_settings import TelemetrySettings
from streams.traces import program


class Scored(NamedTuple):
    """A record of topic ``scores`` with the position of its cause, and when that was produced."""

    value: ScoreRecord
    position: str
    produced_at: float


class Explainer:
    """Says what became of a source's events.

    Parameters
    ----------
    settings
        Those of telemetry.
    policies
        All records of topics ``policies`` and ``changes``.
    detector_format
        Format of the detector's state.

    """

    def __init__(self, settings: TelemetrySettings, policies: Sequence[Record], detector_format: int) -> None:
        self._settings, self._format = settings, detector_format
        self._book = PolicyBook.of(settings.policy, settings.limits, policies)

    def scored(self, scored: Scored) -> Account:
        """Return what became of an event whose score was published."""
        value = scored.value
        if value.trace is None:
            score = _score_in(value)
            ruling = self._book.ruling(value.source, scored.produced_at)
            found = self._normal(score, ruling)
            account = self._account(value, scored.position, found, "score", self._versions(ruling))
            return account if not value.alert else _going_on(account)
        record = value.trace
        trace = record.trace()
        step = decided_again(trace).step
        versions = Versions(
            tocsin=record.tocsin,
            detector=record.detector,
            detector_format=record.detector_format,
            policies=tuple(record.policies),
        )
        alerts = list(dict.fromkeys(alert.alert_id for alert in step.changes))
        exact = (int(step.alert), step.alert_score, step.held, alerts) == (
            *(value.alert, value.alert_score, value.held),
            record.alerts,
        )
        return self._account(value, scored.position, findings(trace), "trace", versions, exact=exact)

    def rescored(self, event: Replayed, *, exact: bool) -> Account:
        """Return what became of an event whose score was not published: nothing was worth telling.

        Parameters
        ----------
        event
            As it was scored again.
        exact
            Whether what was scored then is certain to be the same.

        """
        ruling = self._book.ruling(event.reading.source, event.record.timestamp)
        base = {"source": event.reading.source, "at": event.reading.time, "event_id": event.reading.event_id}
        base |= {"position": position_of(event.record), "evidence": "replay", "versions": self._versions(ruling)}
        if event.score is None:
            because = f"an event with the id {event.reading.event_id!r} came shortly before: it counts once"
            return Account(outcome="duplicate", reason="duplicate", because=because, exact=exact, **base)
        score = event.score
        reason, because, change = self._why_normal(score, found := self._normal(score, ruling))
        return Account(
            outcome="normal",
            reason=reason,
            because=because,
            change=change,
            p_value=score.p_value,
            anomaly_score=score.anomaly_score,
            warm_up=score.warm_up,
            missing=score.missing,
            findings=tuple(found),
            exact=exact,
            **base,
        )

    def _versions(self, ruling: Ruling) -> Versions:
        return Versions(
            tocsin=program(),
            detector=self._settings.detector.name,
            detector_format=self._format,
            policies=tuple(str(one) for one in ruling.versions),
        )

    def _normal(self, score: Score, ruling: Ruling) -> list[Finding]:
        found = strongest_of_each_kind(score).values()
        return [unremarkable(score, ruling.policy.of(signal.kind), signal) for signal in found]

    def _why_normal(self, score: Score, found: Sequence[Finding]) -> tuple[str, str, str | None]:
        if score.warm_up < 1.0:
            missing = f"; still to come: {', '.join(score.missing)}" if score.missing else ""
            because = f"the detector was still learning what is normal ({score.warm_up:.0%}){missing}"
            return "warm_up", because, "let new sources begin from their peers: give events the attribute of their type"
        if found:
            nearest = min(found, key=lambda one: one.p_value / one.fire_p)
            return "below_threshold", f"{nearest.kind}: {nearest.because}", nearest.change
        least = self._settings.policy.highest_fire_p
        because = f"no signal has anything to say: p {score.p_value:.2g}; alerts begin at p {least:g} of a signal"
        return "below_threshold", because, None

    def _account(
        self,
        value: ScoreRecord,
        position: str,
        found: Sequence[Finding],
        evidence: Literal["trace", "score"],
        versions: Versions,
        *,
        exact: bool | None = None,
    ) -> Account:
        first = next((one for one in found if one.reason != "below_threshold"), None)
        if first is None:
            outcome: Outcome = "normal"
            reason, because, change = self._why_normal(_score_in(value), found)
        else:
            outcome = _OUTCOMES.get(first.reason, "held")
            reason, because, change = first.reason, f"{first.kind}: {first.because}", first.change
        return Account(
            source=value.source,
            at=value.timestamp,
            event_id=value.event_id,
            position=position,
            outcome=outcome,
            reason=reason,
            because=because,
            change=change,
            p_value=value.p_value,
            anomaly_score=value.anomaly_score,
            warm_up=value.warm_up,
            missing=value.missing,
            findings=tuple(found),
            feedback=tuple(one.summary for one in value.feedback),
            versions=versions,
            evidence=evidence,
            exact=exact,
        )


_OUTCOMES: dict[str, Outcome] = {"alert": "alert", "pending": "pending", "just_ended": "normal"}


def _going_on(account: Account) -> Account:
    because = "an alert of this source went on; `tocsin explain alert ID` tells of it"
    return account.model_copy(update={"outcome": "alert", "reason": "alert", "because": because, "change": None})


def _score_in(value: ScoreRecord) -> Score:
    signals = tuple(SignalScore(one.kind, one.p_value, one.name) for one in value.signals)
    values = {
        n: ValueExplanation(v.value, v.expected, v.lower, v.upper, v.contribution) for n, v in value.values.items()
    }
    return Score(value.p_value, value.anomaly_score, signals, values, value.warm_up, tuple(value.missing))
