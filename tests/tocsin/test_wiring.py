"""From a configuration to what works through the topics."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from pydantic import ValidationError

from streams.changelog import TopicError
from streams.processor import Record
from tocsin.config import Configuration, ConfigurationError, load_configuration
from tocsin.wiring import make_detector, make_processor, run_worker

TREES = {"telemetry": {"detector": {"name": "river.HalfSpaceTrees"}, "scores": "all"}}


def configuration(**settings: object) -> Configuration:
    return Configuration.model_validate(settings)


def test_telemetry_is_scored_by_the_detector_that_is_configured():
    processor = make_processor(configuration(**TREES))("telemetry", 2, {})
    event = {"source": "s", "timestamp": 1, "values": {"x": 1.0}}
    (output,) = processor.process([Record("telemetry", 2, 0, 1.0, b"s", json.dumps(event).encode())]).outputs
    assert output.topic == "scores"


def test_a_processor_goes_on_from_the_states_it_is_given():
    make = make_processor(configuration(**TREES, state={"key": "secret"}))
    event = json.dumps({"source": "s", "timestamp": 1, "values": {"x": 1.0}}).encode()
    records = [Record("telemetry", 0, 7, 1.0, b"s", event)]
    first = make("telemetry", 0, {})
    first.process(records)
    states = {name: state for name, state in first.changes() if state is not None}
    assert make("telemetry", 0, states).process(records).outcomes == {"replayed": 1}


def test_transactions_are_decided():
    processor = make_processor(configuration(**TREES))("transactions", 0, {})
    event = {"transaction_id": "t", "timestamp": 1, "account": "a", "counterparty": "b", "amount": 5}
    result = processor.process([Record("transactions", 0, 0, 1.0, b"a", json.dumps(event).encode())])
    assert [output.topic for output in result.outputs] == ["decisions"]


BUDGET = {"policy": {"budget": {"per_stream_a_day": 4}}}


def test_more_partitions_than_configured_would_spend_more_than_the_budget():
    make = make_processor(configuration(telemetry=BUDGET, topics={"partitions": 2}))
    make("telemetry", 1, {})
    with pytest.raises(TopicError, match=r"topics\.partitions is 2, but there is a partition 2: set it to"):
        make("telemetry", 2, {})


def test_transactions_have_no_alert_budget():
    with pytest.raises(ValidationError, match="an alert budget is for telemetry"):
        configuration(transactions=BUDGET)


@pytest.mark.parametrize("use", [make_detector, make_processor, run_worker])
def test_a_detector_that_cannot_be_made_is_a_fault_of_the_configuration(use):
    wrong = configuration(telemetry={"detector": {"name": "river.HalfSpaceTree"}})
    with pytest.raises(ConfigurationError) as raised:
        use(wrong)
    assert str(raised.value) == (
        "telemetry.detector: there is no detector 'river.HalfSpaceTree': did you mean 'river.HalfSpaceTrees'?"
    )


def test_the_key_of_states_comes_from_the_environment_and_stays_secret():
    found = load_configuration(environment={"TOCSIN_STATE__KEY": "hush"})
    assert found.state.key is not None
    assert found.state.key.get_secret_value() == "hush"
    assert "hush" not in found.model_dump_json()


@pytest.mark.parametrize("command", [["check"], ["worker"], ["backtest", "telemetry", ".", "-o", "out"]])
def test_a_detector_that_is_not_there_stops_every_command_with_one_line(command, tmp_path):
    (tmp_path / "tocsin.yaml").write_text("telemetry:\n  detector: {name: autoo}\n")
    done = subprocess.run(
        [sys.executable, "-m", "tocsin", *command], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "tocsin: telemetry.detector: there is no detector 'autoo': did you mean 'auto'?\n"


@pytest.mark.parametrize(
    ("telemetry", "place", "instead"),
    [
        ({"detector": {"name": "river.HalfSpaceTrees"}}, "telemetry.detector", "detector"),
        ({"forecasts": {"forecaster": {"name": "river.SNARIMAX"}}}, "telemetry.forecasts.forecaster", "forecaster"),
    ],
)
def test_without_a_key_nothing_starts_whose_state_is_a_pickle(telemetry, place, instead):
    with pytest.raises(ConfigurationError, match=rf"^{place}: .*set state.key.* or use the {instead} auto"):
        run_worker(configuration(telemetry=telemetry))
