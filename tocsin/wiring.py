"""Puts the packages together: from a configuration to processors, and to a running worker."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

from alerts.changes import SILENCE
from alerts.policies import EARLY_WARNING, RANGE
from detectors.auto import KINDS, prepare
from detectors.base import Detector, SnapshotError
from detectors.registry import DetectorError, detector_factory
from detectors.transactions.classifier import prepare as prepare_fraud
from streams.accounts import STREAM as TRANSACTIONS
from streams.forecasters import Forecasters
from streams.fraud_alerts import KIND as FRAUD
from streams.models import TOPIC as MODELS
from streams.processor import Processor
from streams.telemetry import OUTCOMES, STREAM, TelemetryProcessor
from streams.transactions import OUTCOMES as DECISIONS
from streams.transactions import TransactionProcessor
from tocsin.config import Configuration, ConfigurationError, Problem

if TYPE_CHECKING:
    from streams.engine import ProcessorFactory


def state_key(configuration: Configuration) -> bytes | None:
    """Return the secret that signs states and models, if there is one."""
    key = configuration.state.key
    return None if key is None else key.get_secret_value().encode()


def make_detector(configuration: Configuration) -> Callable[[], Detector]:
    """Return what makes a new source's detector.

    Raises
    ------
    tocsin.config.ConfigurationError
        If there is no such detector, or it does not take these parameters.

    """
    try:
        return detector_factory(configuration.telemetry.detector, state_key(configuration))
    except (DetectorError, ImportError, AttributeError) as error:
        said = " ".join(str(error).split())
        raise ConfigurationError(Problem("", "telemetry.detector", said)) from error


def make_processor(configuration: Configuration) -> ProcessorFactory:
    """Return what makes the processor of an input topic's partition.

    Raises
    ------
    tocsin.config.ConfigurationError
        If the detector cannot be made.

    """
    detector, key = make_detector(configuration), state_key(configuration)

    def make(topic: str, partition: int, states: Mapping[str, bytes]) -> Processor:
        if topic == STREAM:
            partitions = configuration.topics.partitions
            if partition >= partitions and configuration.telemetry.policy.budget.per_stream_a_day is not None:
                from streams.changelog import TopicError  # noqa: PLC0415 - a backtest needs no Kafka

                raise TopicError(
                    f"topics.partitions is {partitions}, but there is a partition {partition}: set it to the number"
                    " there is, so that each spends its share of the alert budget"
                )
            return TelemetryProcessor(
                configuration.telemetry, partition, states, detector, partitions=partitions, key=key
            )
        return TransactionProcessor(configuration.transactions, partition, states)

    return make


def check_states(configuration: Configuration) -> None:
    """See that a worker can keep what it will learn.

    Raises
    ------
    tocsin.config.ConfigurationError
        If there is no secret to sign states with that are pickles.

    """
    key = state_key(configuration)
    for place, make in (
        ("telemetry.detector", make_detector(configuration)),
        ("telemetry.forecasts.forecaster", lambda: Forecasters(configuration.telemetry.forecasts, key).make("")),
    ):
        try:
            make().snapshot()
        except SnapshotError as error:
            raise ConfigurationError(Problem("", place, str(error))) from error


def run_worker(configuration: Configuration) -> int:
    """Work until told to stop, and return the exit code.

    Raises
    ------
    tocsin.config.ConfigurationError
        If the detector cannot be made.

    """
    from streams.engine import OUTPUTS  # noqa: PLC0415 - a backtest needs no Faust
    from streams.metrics import start_at_zero  # noqa: PLC0415 - a backtest exposes none
    from streams.worker import run_worker as work  # noqa: PLC0415 - a backtest needs no Faust

    processors = make_processor(configuration)
    check_states(configuration)
    kinds = _prepared(configuration.telemetry.detector.name)
    prepare_fraud()
    Forecasters(configuration.telemetry.forecasts).prepare()
    start_at_zero({STREAM: OUTCOMES, TRANSACTIONS: DECISIONS}, (*kinds, SILENCE, RANGE, EARLY_WARNING, FRAUD))
    transactions = configuration.transactions
    outputs = (*OUTPUTS, MODELS) if transactions.challengers or transactions.drift.enabled else OUTPUTS
    return work(configuration, processors, outputs=outputs)


def _prepared(detector: str) -> tuple[str, ...]:
    """Compile what a detector runs, so that no event has to wait for it, and return the kinds of alerts it raises."""
    if detector == "auto":
        prepare()
        return KINDS
    from detectors.river_adapter import KIND  # noqa: PLC0415 - start-up time
    from detectors.river_adapter import prepare as prepare_river  # noqa: PLC0415 - start-up time

    if detector.startswith("river"):
        prepare_river()
    return (detector,) if detector in KINDS else (KIND,)


def run_notifier(configuration: Configuration) -> int:
    """Tell people of alerts until told to stop, and return the exit code.

    Raises
    ------
    tocsin.config.ConfigurationError
        If a sink cannot be made.

    """
    from streams.delivery.process import check_services  # noqa: PLC0415 - a worker delivers nothing
    from streams.delivery.process import run_notifier as run  # noqa: PLC0415 - a worker delivers nothing

    with _problems():
        check_services(configuration.notify)
    return run(configuration, configuration.notify, configuration.incidents)


def run_server(configuration: Configuration) -> int:
    """Answer callers that wait for a decision until told to stop, and return the exit code.

    Raises
    ------
    tocsin.config.ConfigurationError
        If there is no token.

    """
    from streams.serving.process import run_server as run  # noqa: PLC0415 - a worker answers nobody

    with _problems():
        configuration.serve.tokens()
    return run(configuration, configuration.serve, configuration.transactions.limits)


@contextlib.contextmanager
def _problems() -> Iterator[None]:
    """Let a ``ValueError`` whose message begins with a setting's path be a problem of the configuration."""
    try:
        yield
    except ValueError as error:
        path, _, said = str(error).partition(": ")
        raise ConfigurationError(Problem("", path, said)) from None
