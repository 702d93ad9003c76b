"""A pipeline of River's estimators from a configuration: named, never evaluated."""

from __future__ import annotations

import difflib
import inspect
import pickle
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from river import anomaly, compose, feature_extraction, feature_selection, preprocessing
from river.base import AnomalyDetector, SupervisedAnomalyDetector, SupervisedTransformer, Transformer

MODULES = (preprocessing, feature_extraction, feature_selection, compose, anomaly)
"""Public modules of River whose classes a pipeline may name."""

Parameters = Mapping[str, Any] | Sequence[Any]
"""Of a step: by name; or a list, for a class such as ``Select`` that takes any number."""

_OBJECTS = {"how", "func", "transformer", "similarity", "regressor", "anomaly_detector"}
"""Parameters that take a function or another estimator."""


class PipelineError(ValueError):
    """A pipeline cannot be made; the message says why and what to do."""


class Select(compose.Select):
    """River's, with the readings in the order of their names.

    River keeps the names as a set, whose order differs from process to process. A step after it that joins two names
    would call a reading by another name after a restart.
    """

    def __init__(self, *keys: str) -> None:
        super().__init__(*keys)
        self.keys = dict.fromkeys(sorted(keys))


def make_pipeline(steps: Sequence[Mapping[str, Parameters]], seed: int = 0) -> Any:
    """Return a new estimator: transformers of River, and a detector of River as the last step.

    Parameters
    ----------
    steps
        Each one class of River's public modules by its name, with its parameters.
    seed
        For every step that has a parameter ``seed`` which is not given.

    Raises
    ------
    detectors.river_pipeline.PipelineError
        If a step or parameter is unknown, or steps do not go together.

    Examples
    --------
    >>> print(make_pipeline([{"StandardScaler": {}}, {"HalfSpaceTrees": {"n_trees": 25}}]))
    StandardScaler | HalfSpaceTrees
    >>> make_pipeline([{"StandardScalar": {}}])
    Traceback (most recent call last):
    ...
    detectors.river_pipeline.PipelineError: there is no step 'StandardScalar' in River: did you mean 'StandardScaler'?

    """
    if not steps:
        raise PipelineError("a pipeline needs steps, such as [{StandardScaler: {}}, {HalfSpaceTrees: {n_trees: 25}}]")
    *transformers, last = [make_step(step, seed) for step in steps]
    if not isinstance(last, (AnomalyDetector, SupervisedAnomalyDetector)):
        raise PipelineError(f"the last step must be a detector ({', '.join(_detectors())}), not {_name(last)}")
    for one in transformers:
        if not isinstance(one, Transformer):
            raise PipelineError(f"step {_name(one)} is a detector: it can only be the last step")
    if transformers and isinstance(last, SupervisedAnomalyDetector):
        raise PipelineError(
            f"step {_name(last)} watches each value by itself, so nothing can go before it: name it alone, as"
            f" river.{_name(last)}"
        )
    estimator = compose.Pipeline(*transformers, last) if transformers else last
    _try(estimator, steps)
    return estimator


def make_step(step: Mapping[str, Parameters], seed: int = 0) -> Any:
    """Return one step of a pipeline.

    Raises
    ------
    detectors.river_pipeline.PipelineError
        If it or one of its parameters is unknown, or it cannot be a step.

    """
    if len(step) != 1:
        raise PipelineError("a step is one class with its parameters, such as {HalfSpaceTrees: {n_trees: 25}}")
    ((name, given),) = step.items()
    kind = _steps().get(name)
    if kind is None:
        raise PipelineError(_why_not(name))
    known = inspect.signature(kind).parameters
    named = given if isinstance(given, Mapping) else {}
    for parameter in named:
        if parameter not in known or known[parameter].kind is inspect.Parameter.VAR_POSITIONAL:
            raise PipelineError(_unknown_parameter(name, parameter, list(known)))
    seeded = {"seed": seed} if "seed" in known else {}
    try:
        return kind(**seeded | dict(named)) if isinstance(given, Mapping) else kind(*given)
    except Exception as error:
        told = " ".join(str(error).split())
        raise PipelineError(
            f"step {name} cannot be made: {told}; its parameters: {', '.join(known) or 'none'}"
        ) from error


def _try(estimator: Any, steps: Sequence[Mapping[str, Parameters]]) -> None:
    """Let an estimator see two events and be put away, for what its constructors do not look at."""
    names = [str(one) for step in steps for given in step.values() if not isinstance(given, Mapping) for one in given]
    sample = dict.fromkeys([*names, "x", "y"], 1.0)
    target = (1.0,) if isinstance(estimator, SupervisedAnomalyDetector) else ()
    trial = estimator.clone()
    try:
        for _ in range(2):
            trial.learn_one(dict(sample), *target)
            trial.score_one(dict(sample), *target)
    except Exception as error:
        told = " ".join(str(error).split())
        raise PipelineError(f"the pipeline cannot take readings: {type(error).__name__}: {told}") from error
    try:
        again = pickle.loads(pickle.dumps(trial))  # noqa: S301  it was made here
        same = again.score_one(dict(sample), *target) == trial.score_one(dict(sample), *target)
    except Exception:
        same = False
    if not same:  # RandomTreesEmbedding of River 0.26 knows its leaves by their addresses
        raise PipelineError("the pipeline does not survive a restart: one of its steps cannot be pickled and read back")


@cache
def _classes() -> dict[str, type]:
    found = ((name, getattr(module, name, None)) for module in MODULES for name in module.__all__)
    return {name: kind for name, kind in found if inspect.isclass(kind)} | {"Select": Select}


@cache
def _steps() -> dict[str, type]:
    return {name: kind for name, kind in _classes().items() if _refused(kind) is None}


@cache
def _detectors() -> list[str]:
    return [name for name, kind in _steps().items() if not issubclass(kind, Transformer)]


def _refused(kind: type) -> str | None:
    parameters = inspect.signature(kind).parameters
    if "anomaly_detector" in parameters:
        return "only says yes or no to another detector's scores, which the policy does: name that detector"
    if issubclass(kind, SupervisedTransformer):
        return "learns from a target, which telemetry has not"
    if any(name in _OBJECTS and one.default is inspect.Parameter.empty for name, one in parameters.items()):
        return "needs a function or another estimator, which a configuration cannot give: write a detector"
    if not issubclass(kind, (Transformer, AnomalyDetector, SupervisedAnomalyDetector)):
        return "neither transforms readings nor scores them"
    return None


def _why_not(name: str) -> str:
    if name in _classes():
        return f"step {name} cannot be used: it {_refused(_classes()[name])}"
    near = difflib.get_close_matches(name, _steps(), n=1, cutoff=0.5)
    return f"there is no step {name!r} in River: " + (
        f"did you mean {near[0]!r}?" if near else f"there are {', '.join(sorted(_steps()))}"
    )


def _unknown_parameter(name: str, parameter: str, known: list[str]) -> str:
    near = difflib.get_close_matches(parameter, known, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return f"step {name} has no parameter {parameter!r}: {hint}its parameters: {', '.join(known) or 'none'}"


def _name(estimator: Any) -> str:
    return type(estimator).__name__
