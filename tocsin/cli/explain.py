"""`tocsin explain`: why an alert was raised, and why none was."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from tocsin.cli.alerts import Id, known_alerts
from tocsin.cli.commands import find
from tocsin.cli.durations import moment, seconds
from tocsin.cli.options import ConfigFile, Json
from tocsin.cli.terminal import print_json, print_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from alerts.alert import Alert
    from alerts.told import Telegraph
    from alerts.why import Finding
    from streams.account import Account
    from streams.explained_decision import Explained
    from tocsin.config import Configuration

app = typer.Typer(
    help="""Say why an alert was raised, why none was, and why a transaction was decided as it was.

    \b
    Example:
      tocsin explain alert 1a3d
      tocsin explain source pump-7 --at 2026-01-02T03:04:05Z
      tocsin explain decision t-1234
    """,
    rich_markup_mode=None,
)


@app.command("alert")
def alert(id_: Id, config: ConfigFile = None, json_: Json = False) -> None:
    """Say what raised an alert, what changed it since, who was told of it, and if nobody was, why.

        Each event that changed it is decided again from what was stored with its score, for as long as scores are kept.
    With --json: an object with the alert, its decisions and what was told.

    \b
    Example:
      tocsin explain alert 1a3d819cb05b264e8214
    """
    from tocsin.config import load_configuration  # noqa: PLC0415 - start-up time

    configuration = load_configuration(config)
    found = find(known_alerts(configuration.kafka), id_, "alert")
    decisions = _decisions(configuration, found)
    told = _told(configuration, found)
    if json_:
        print_json(
            {
                "alert": found.model_dump(mode="json"),
                "decisions": [one.model_dump(mode="json") for one in decisions],
                "told": told.model_dump(mode="json"),
            }
        )
        return
    _print_alert(found, told)
    for one in decisions:
        print_line("")
        _print_account(one)


@app.command("source")
def source(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The source, as its events call it.")],
    at: Annotated[
        str, typer.Option("--at", metavar="TIME", help="Time of the event, ISO 8601 (without a zone: UTC) or epoch.")
    ],
    history: Annotated[
        str,
        typer.Option(
            "--history",
            metavar="SPAN",
            help="Of an event whose score was not published: how far back the source's events are read, to score it "
            "again.",
        ),
    ] = "1d",
    config: ConfigFile = None,
    json_: Json = False,
) -> None:
    """Say what became of a source's event of a time, and why: what spoke, and what held it back.

        The event is the nearest within a minute. What was decided is decided again, from what was stored with its
    score. Usual events have no stored score: they are scored again from the source's events of the last day before,
    which reads the whole partition. With --json: an object with the account of the event, its alerts and what was told.

    \b
    Example:
      tocsin explain source pump-7 --at 2026-01-02T03:04:05Z
    """
    from tocsin.config import load_configuration  # noqa: PLC0415 - start-up time

    time, span = moment(at), seconds(history)
    configuration = load_configuration(config)
    account = _account(configuration, name, time, span)
    ids = dict.fromkeys(one.alert_id for one in account.findings if one.alert_id is not None)
    alerts = [one for one in known_alerts(configuration.kafka).values() if one.source == name]
    named = [one for one in alerts if one.alert_id in ids] or [one for one in alerts if _lasts(one, account.at)]
    told = {one.alert_id: _told(configuration, one) for one in named}
    if json_:
        shown = [{"alert": a.model_dump(mode="json"), "told": told[a.alert_id].model_dump(mode="json")} for a in named]
        print_json({**account.model_dump(mode="json"), "alerts": shown})
        return
    _print_account(account)
    for one in named:
        print_line("")
        _print_alert(one, told[one.alert_id])


@app.command("decision")
def decision(
    id_: Annotated[str, typer.Argument(metavar="ID", help="Id of the transaction.")],
    since: Annotated[str, typer.Option("--since", metavar="SPAN", help="How far back decisions are read.")] = "7d",
    config: ConfigFile = None,
    json_: Json = False,
) -> None:
    """Say why a transaction was decided as it was: score, features, lists, rules and breaker.

        The decision is made again from what was stored with it; the rules that were asked then are asked again while
    Kafka has the transaction.

    \b
    Example:
      tocsin explain decision t-1234
    """
    import msgspec  # noqa: PLC0415 - start-up time

    from tocsin.cli.decision_evidence import explained_decision  # noqa: PLC0415 - start-up time
    from tocsin.config import load_configuration  # noqa: PLC0415 - start-up time

    found = explained_decision(load_configuration(config).kafka, id_, seconds(since))
    if json_:
        print_json(msgspec.to_builtins(found))
        return
    for line in _decision_lines(found):
        print_line(line)


def _decision_lines(found: Explained) -> Iterator[str]:
    one = found.decision
    yield f"{one.transaction_id} of {one.account} at {one.timestamp}: {one.decision}"
    for reason in one.reasons:
        yield f"  {reason}"
    alone = f"; the score alone would {found.by_score}" if found.by_score is not None else ""
    yield f"  fraud score {one.fraud_score:.4f}, p {one.p_value:.2g}{alone}"
    for name, value in list(found.contributions.items())[:8]:
        yield f"  {name} = {found.features[name]:.4g}: {value:+.2f} to the log-odds"
    for rule in found.rules:
        shadow = " (in shadow)" if rule.shadow else ""
        yield f"  rules {rule.rules}{shadow}: {rule.action or 'nothing'} {rule.reason or rule.error}".rstrip()
    yield f"  model: {one.frauds_learned} frauds of {one.labels_learned} labels learned"
    yield f"  from: {found.because}{_AGAIN[found.exact]}"


_AGAIN = {True: "; decided again, with the same result", False: "; decided again, with ANOTHER result", None: ""}


def _account(configuration: Configuration, name: str, at: float, history: float) -> Account:
    """Find the event that is meant, and say what became of it."""
    from streams.not_scored import NEAR, nothing_there, refused  # noqa: PLC0415 - start-up time
    from tocsin.cli.evidence import Evidence  # noqa: PLC0415 - start-up time

    evidence = Evidence(configuration, name)
    explainer = evidence.explainer()
    since = at - configuration.telemetry.limits.max_ahead
    scored = evidence.scores(since)
    letters = evidence.letters(since)
    found = [(abs(time - at), partial(explainer.scored, one)) for time, one in scored]
    found += [(abs(time - at), partial(refused, letter, name, time)) for time, letter in letters]
    best = min(found, key=lambda one: one[0], default=None)
    if best is not None and best[0] < 0.001:
        return best[1]()
    published = {one.position: one for _, one in scored}
    again = evidence.replayed(at, history)
    account = again.account(explainer, published)
    distance = NEAR if account is None else abs(account.at - at)
    if best is not None and best[0] <= distance:
        return best[1]()
    if account is not None and distance <= NEAR:
        return account
    known = bool(scored or letters or again.replay.events) or evidence.is_known()
    limits = configuration.topics.input_retention_days
    forgotten = configuration.telemetry.forget_after
    return nothing_there(name, at, again.replay, known=known, kept=f"{limits:g} days", forgotten=forgotten)


def _decisions(configuration: Configuration, alert: Alert) -> list[Account]:
    """Return the decisions that changed an alert, the oldest first."""
    from tocsin.cli.evidence import Evidence  # noqa: PLC0415 - start-up time

    if alert.stream != "telemetry":
        return []
    evidence = Evidence(configuration, alert.source)
    explainer = evidence.explainer()
    since = alert.started_at - configuration.telemetry.limits.max_ahead
    traced = [(one.value.trace, one) for _, one in evidence.scores(since)]
    return [explainer.scored(one) for trace, one in traced if trace is not None and alert.alert_id in trace.alerts]


def _told(configuration: Configuration, alert: Alert) -> Telegraph:
    from alerts.told import telegraph  # noqa: PLC0415 - start-up time
    from tocsin.cli.evidence import incidents_of, notifications  # noqa: PLC0415 - start-up time

    kafka, notify = configuration.kafka, configuration.notify
    incidents = incidents_of(kafka, alert.alert_id)
    found = notifications(kafka, [alert.alert_id, *incidents])
    return telegraph(alert, found, notify.route, incidents=incidents, alone=notify.tell != "incidents")


def _lasts(alert: Alert, at: float) -> bool:
    return alert.started_at <= at and (alert.resolved_at is None or at <= alert.resolved_at)


def _print_account(account: Account) -> None:
    from alerts.alert import iso  # noqa: PLC0415 - start-up time

    at = f" ({account.position})" if account.position else ""
    print_line(f"{account.source} at {iso(account.at)}{at}: {account.outcome.replace('_', ' ')}")
    print_line(f"  why: {account.because} [{account.reason}]")
    if account.change is not None:
        print_line(f"  to change that: {account.change}")
    if account.p_value is not None:
        print_line(f"  event: p {account.p_value:.2g}, anomaly score {account.anomaly_score:.3f}")
    if account.warm_up is not None and account.warm_up < 1 and account.reason != "warm_up":
        print_line(f"  warm-up: {account.warm_up:.0%}; still to come: {', '.join(account.missing) or 'nothing more'}")
    for finding in account.findings:
        print_line(f"  {_finding(finding)}")
    for said in account.feedback:
        print_line(f"  feedback: {said}")
    if (who := account.versions) is not None:
        policies = ", ".join(who.policies) or "that of the configuration"
        model = f"tocsin {who.tocsin}, detector {who.detector} (state format {who.detector_format})"
        print_line(f"  decided by: {model}; policy: {policies}")
    print_line(f"  from: {_FROM[account.evidence, account.exact]}")


_FROM = {
    ("trace", True): "the stored trace; decided again, with the same result",
    ("trace", False): "the stored trace; decided again, this version comes to ANOTHER result than was recorded",
    ("score", None): "the published score",
    ("replay", True): "the source's events, scored again from the first",
    ("replay", False): "the source's events, scored again, not from the first or not from what its peers had learned: "
    "its p-values are near those of then",
    ("dead_letter", None): "its dead letter",
    ("none", None): "what is there",
}


def _finding(finding: Finding) -> str:
    from alerts.summary import number  # noqa: PLC0415 - start-up time

    of = f" of {finding.name}" if finding.name else ""
    said = f"{finding.kind}{of}: p {finding.p_value:.2g} (alerts at {finding.fire_p:g})"
    if finding.value is not None:
        said += f", {number(finding.value)}"
        if finding.expected is not None:
            said += f" where {number(finding.expected)} is expected"
        if finding.lower is not None and finding.upper is not None:
            said += f" ({number(finding.lower)} to {number(finding.upper)})"
    return f"{said}: {finding.because} [{finding.reason}]"


def _print_alert(alert: Alert, told: Telegraph) -> None:
    print_line(f"alert {alert.alert_id} {alert.state} {alert.severity}: {alert.summary}")
    for step in alert.history:
        print_line(f"  {step.sentence}")
    for feedback in alert.feedback:
        print_line(f"  {feedback.sentence}")
    for telling in told.tellings:
        print_line(f"  {telling.sentence}")
    if told.because is not None:
        print_line(f"  {', '.join(told.receivers)} not told: {told.because} [{told.reason}]")
