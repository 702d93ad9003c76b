"""Early warnings: alerts on what is foretold. They begin by a rule, and end when it comes or is no longer likely."""

from __future__ import annotations

from alerts.alert import Alert, AlertForeseen, State, Transition
from alerts.changes import changed, stepped
from alerts.policies import EARLY_WARNING, RANGE
from alerts.summary import summarise
from detectors.score import SignalScore

BY_RULE = (RANGE, EARLY_WARNING)
"""Kinds that no improbability raises: no budget counts them, and late events do not correct them."""

CAME, TURNED = "it has come", "the trend has turned"


def has_failed(signal: SignalScore | None) -> bool:
    """Say whether a machine has failed, which ends the warning of it at once: what comes then is another life."""
    foreseen = None if signal is None else signal.foreseen
    return foreseen is not None and foreseen.event == "failure" and foreseen.latest == 0.0


def over(alert: Alert, signal: SignalScore | None, at: float) -> Alert:
    """Return the last version of an alert that what is said of an event no longer supports.

    A warning resolves if what it foretold has come, and is retracted if that is no longer likely.
    """
    if alert.kind != EARLY_WARNING:
        return changed(alert, State.RESOLVED, alert.severity, at)
    if signal is not None and signal.foreseen is not None and signal.foreseen.latest == 0.0:
        return changed(alert, State.RESOLVED, alert.severity, at, CAME)
    return changed(alert, State.RETRACTED, alert.severity, at, TURNED)


def refreshed(alert: Alert, signal: SignalScore, at: float) -> Alert:
    """Return a warning with what is foretold now; a new version of it if that is half as far as was told last."""
    if signal.foreseen is None or alert.foreseen is None:
        return alert
    now, told = AlertForeseen.of(signal.foreseen), alert.foreseen.told
    if now.median is None or (told is not None and now.median > told / 2):
        return alert.model_copy(update={"foreseen": now.model_copy(update={"told": told})})
    step = Transition(state=alert.state, at=at, what="forecast", note=f"{now.median:.6g} {now.unit}")
    after = stepped(alert, at, step, foreseen=now)
    return after.model_copy(update={"summary": summarise(after)})
