"""An alert's explanation holds up when one looks at the plot."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.csv
import pytest

from alerts.alert import Alert, AlertSignal, AlertValue, Severity, State, Transition
from alerts.lifecycle import SILENCE
from alerts.summary import clock, summarise
from detectors.auto import KINDS
from streams.columns import epochs
from tests.tocsin.claims import is_told_at_its_event, violations
from tests.tocsin.claims_of_kinds import OF_KIND
from tocsin.cli import run


@pytest.fixture(scope="module")
def told(data: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Alert]:
    """Every change of every alert over NAB that tells of an event."""
    folder = tmp_path_factory.mktemp("explanations")
    changes = folder / "alerts.jsonl"
    assert run(["backtest", "telemetry", str(data / "nab" / "data"), "-o", str(folder), "--alerts", str(changes)]) == 0
    alerts = [Alert.model_validate_json(line) for line in changes.read_bytes().splitlines()]
    return [alert for alert in alerts if is_told_at_its_event(alert)]


@pytest.mark.slow
def test_what_every_alert_on_nab_claims_is_so(data: Path, told: list[Alert]) -> None:
    series, wrong = {}, []
    for alert in told:
        if alert.source not in series:
            table = pyarrow.csv.read_csv(data / "nab" / "data" / f"{alert.source}.csv")
            series[alert.source] = np.array(epochs(table["timestamp"])), table["value"].to_numpy().astype(float)
        for claim in violations(alert, *series[alert.source]):
            wrong.append(f"{alert.source} {alert.kind} {clock(alert.updated_at)}: {claim}")
    assert len({alert.alert_id for alert in told}) > 50
    kinds = Counter(line.split()[1] for line in wrong)
    assert not wrong, f"{len(wrong)} claims of {len(told)} do not hold ({dict(kinds)}):\n" + "\n".join(wrong)


def test_every_kind_of_alert_has_claims_to_check() -> None:
    assert {*KINDS, SILENCE} <= OF_KIND.keys()


TIMES = np.arange(600.0)
FLOW = np.sin(TIMES / 9) + np.where(TIMES == 500, 9.0, 0.0)


def alert_of(at: float, series: np.ndarray, *, kind: str = "spike", **told: object) -> Alert:
    """An alert on the series, right in all that ``told`` does not change."""
    value = AlertValue(value=series[int(at)], expected=0.0, lower=-1.5, upper=1.5, contribution=1.0)
    alert = Alert(
        alert_id="a1",
        stream="telemetry",
        source="pump-7",
        kind=kind,
        state=State.FIRING,
        severity=Severity.WARNING,
        started_at=at,
        fired_at=at,
        updated_at=at,
        history=(Transition(state=State.FIRING, at=at),),
        anomaly_score=0.9,
        p_value=1e-5,
        direction=1,
        name="flow",
        values={"flow": value},
        signals=(AlertSignal(kind=kind, p_value=1e-5, name="flow"),),
        summary="",
    ).model_copy(update=told)
    return alert.model_copy(update={"summary": summarise(alert)})


def test_a_right_explanation_has_nothing_against_it() -> None:
    assert violations(alert_of(500.0, FLOW), TIMES, FLOW) == []


@pytest.mark.parametrize(
    ("at", "told", "objection"),
    [
        (500.0, {"direction": -1}, "direction -1"),
        (500.0, {"started_at": 400.0}, "started 100 events before"),
        (500.0, {"started_at": 501.0}, "after it fired"),
        (500.0, {"started_at": -50.0}, "before the first event"),
        (300.0, {}, "within its bounds"),
        (500.0, {"kind": "flatline"}, "only 1 events"),
        (500.0, {"kind": "flatline", "started_at": 480.0}, "values since"),
        (500.0, {"kind": "astonishment"}, "has no claims"),
        (500.0, {"name": "pressure"}, "tells nothing"),
        (500.0, {"signals": ()}, "do not name it"),
        (
            500.0,
            {"values": {"flow": AlertValue(value=FLOW[500], expected=2.0, lower=-1.5, upper=1.5, contribution=0.5)}},
            "contributions sum to 0.5",
        ),
        (
            500.0,
            {"values": {"flow": AlertValue(value=77.0, expected=0.0, lower=-1.5, upper=1.5, contribution=1.0)}},
            "no event",
        ),
    ],
)
def test_a_wrong_explanation_is_found_out(at: float, told: dict[str, Any], objection: str) -> None:
    assert objection in " ".join(violations(alert_of(at, FLOW, **told), TIMES, FLOW))
