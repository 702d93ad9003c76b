"""What of a score an alert is about, and what it tells of its peak."""

from __future__ import annotations

from alerts.alert import AlertForeseen, AlertSignal, AlertValue
from detectors.score import Score, SignalScore


def strongest_of_each_kind(score: Score) -> dict[str, SignalScore]:
    """Return the most significant signal of each kind."""
    strongest: dict[str, SignalScore] = {}
    for signal in score.signals:
        best = strongest.get(signal.kind)
        if best is None or signal.p_value < best.p_value:
            strongest[signal.kind] = signal
    return strongest


def evidence(signal: SignalScore, score: Score) -> dict[str, object]:
    """Return what an alert tells of its peak."""
    values = {
        name: AlertValue(value=v.value, expected=v.expected, lower=v.lower, upper=v.upper, contribution=v.contribution)
        for name, v in score.values.items()
    }
    if signal.name in values and signal.expected is not None:  # what the strongest signal compares with may be another
        own = {"expected": signal.expected, "lower": signal.lower, "upper": signal.upper}
        values[signal.name] = values[signal.name].model_copy(update=own)
    return {
        "p_value": signal.p_value,
        "anomaly_score": score.anomaly_score,
        "direction": signal.direction,
        "name": signal.name,
        "values": values,
        "foreseen": None if signal.foreseen is None else AlertForeseen.of(signal.foreseen),
        "signals": tuple(
            AlertSignal(kind=s.kind, p_value=s.p_value, name=s.name, started_at=s.started_at)
            for s in score.signals
            if s.p_value <= 0.05
        ),
    }
