"""Finds detectors by name: ours, those that installed packages bring, and River's own.

What is River's is imported when it is asked for: with all that River needs it takes longer than the rest of a start.
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from river.base import AnomalyDetector, SupervisedAnomalyDetector

from detectors.base import Detector

GROUP = "tocsin.detectors"
"""Entry-point group in which packages announce their detectors."""

RIVER = "river."
"""Before the name of a class of ``river.anomaly``."""


PIPELINE = "river"
"""Name of the detector that is a pipeline of River."""


def _made(step: dict[str, dict[str, Any] | list[Any]]) -> dict[str, dict[str, Any] | list[Any]]:
    from detectors.river_pipeline import make_step  # noqa: PLC0415 - start-up time

    make_step(step)
    return step


Step = Annotated[dict[str, dict[str, Any] | list[Any]], AfterValidator(_made)]
"""One class of River by its name, with its parameters."""


class DetectorError(ValueError):
    """A detector cannot be made as the configuration says; the message says why and what to do."""


class DetectorSettings(BaseModel):
    """Which detector scores, and its parameters.

    Examples
    --------
    >>> DetectorSettings(name="river.HalfSpaceTrees", parameters={"n_trees": 10}).name
    'river.HalfSpaceTrees'
    >>> steps = [{"StandardScaler": {}}, {"HalfSpaceTrees": {"n_trees": 25}}]
    >>> len(DetectorSettings(name="river", pipeline=steps).pipeline)
    2

    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(
        "auto", description="`auto`, a detector of an installed package, `river.CLASS`, or `river` for a pipeline."
    )
    parameters: dict[str, Any] = Field(default_factory=dict, description="Parameters of the detector, by name.")
    pipeline: tuple[Step, ...] = Field(
        (), description="Steps of `river`, each a class of River with its parameters; the last is a detector."
    )
    seed: int = Field(0, description="Seed of a detector that draws random numbers, if it has a parameter `seed`.")
    scale: bool = Field(True, description="Put a MinMaxScaler before `river.CLASS`; a pipeline names its own scaler.")

    @model_validator(mode="after")
    def _pipeline_belongs_to_river(self) -> Self:
        if self.name == PIPELINE:
            if self.parameters:
                raise ValueError("parameters of `river` belong to its steps: write them in `pipeline`")
            from detectors.river_pipeline import make_pipeline  # noqa: PLC0415 - start-up time

            make_pipeline(self.pipeline, self.seed)
        elif self.pipeline:
            raise ValueError(f"a pipeline is for the detector `river`, not `{self.name}`: set `name: river`")
        return self


def detector_factory(settings: DetectorSettings, state_key: bytes | None = None) -> Callable[[], Detector]:
    """Return what makes a new source's detector.

    Parameters
    ----------
    settings
        Which detector, and its parameters.
    state_key
        Secret that signs the states of River's own detectors, which are pickles.

    Raises
    ------
    detectors.registry.DetectorError
        If there is no detector of this name or it does not take these parameters.

    Examples
    --------
    >>> detector_factory(DetectorSettings())().score_one({"x": 1.0})
    0.0
    >>> detector_factory(DetectorSettings(name="river.HalfSpaceTree"))
    Traceback (most recent call last):
    ...
    detectors.registry.DetectorError: there is no detector 'river.HalfSpaceTree': did you mean 'river.HalfSpaceTrees'?

    """
    if settings.name == PIPELINE or settings.name.startswith(RIVER):
        make = _factory_of_river(settings, state_key)
    else:
        announced = _announced().get(settings.name)
        if announced is None:
            raise DetectorError(_unknown(settings.name))
        detector = announced.load()

        def make() -> Detector:
            made: Detector = _make(settings, detector)
            return made

    if not isinstance(make(), Detector):
        raise DetectorError(f"detector {settings.name!r} is no detectors.base.Detector: see the how-to on detectors")
    return make


def _factory_of_river(settings: DetectorSettings, state_key: bytes | None) -> Callable[[], Detector]:
    from detectors.river_adapter import RiverDetector  # noqa: PLC0415 - start-up time
    from detectors.river_pipeline import make_pipeline  # noqa: PLC0415 - start-up time

    if settings.name == PIPELINE:
        pipeline = make_pipeline(settings.pipeline, settings.seed)
        return lambda: RiverDetector(pipeline, scale=False, state_key=state_key)
    estimator = _river_classes().get(settings.name)
    if estimator is None:
        raise DetectorError(_unknown(settings.name))
    _make(settings, estimator)
    return lambda: RiverDetector(_make(settings, estimator), scale=settings.scale, state_key=state_key)


def names() -> list[str]:
    """Return the names of all detectors that there are."""
    return sorted((PIPELINE, *_announced(), *_river_classes()))


def _make(settings: DetectorSettings, kind: Callable[..., Any]) -> Any:
    taken = inspect.signature(kind).parameters
    seed = {"seed": settings.seed} if "seed" in taken else {}
    try:
        return kind(**seed | settings.parameters)
    except (TypeError, ValueError) as error:
        raise DetectorError(
            f"detector {settings.name!r} cannot be made: {error}; its parameters: {', '.join(taken) or 'none'}"
        ) from error


@cache
def _announced() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=GROUP)}


@cache
def _river_classes() -> dict[str, type[AnomalyDetector | SupervisedAnomalyDetector]]:
    """Return River's detectors, but for those that need another inside."""
    from river import anomaly  # noqa: PLC0415 - start-up time

    classes = {RIVER + name: getattr(anomaly, name) for name in anomaly.__all__}
    return {
        name: kind
        for name, kind in classes.items()
        if inspect.isclass(kind)
        and issubclass(kind, (AnomalyDetector, SupervisedAnomalyDetector))
        and not _wraps_another(kind)
    }


def _wraps_another(kind: type) -> bool:
    return "anomaly_detector" in inspect.signature(kind).parameters


def _unknown(name: str) -> str:
    near = difflib.get_close_matches(name, names(), n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(names())}"
    return f"there is no detector {name!r}: {hint}"
