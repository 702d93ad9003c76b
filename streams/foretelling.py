"""What is foretold of the sources of one partition, and said of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from detectors.score import Score, SignalScore
from streams.codec import Rejected
from streams.fleet_book import FleetBook, Published
from streams.forecast_settings import ForecastSettings
from streams.forecasters import Forecasters
from streams.forecasts import TOPIC, TYPE
from streams.foresight import Foresight
from streams.machine import FAILURE
from streams.processor import Output, Record, Result
from streams.readings import Reading
from streams.source import Source


class Foretelling:
    """Foretells what a policy gives limits for, and how long machines will last that a published model is for.

    Parameters
    ----------
    settings
        What is foretold, and when it is warned of.
    key
        Secret that signs the states of River's forecasters, and must have signed published models, if there is one.

    """

    def __init__(self, settings: ForecastSettings, key: bytes | None = None) -> None:
        self._settings, self._fleets, self._forecasters = settings, FleetBook(key), Forecasters(settings, key)

    def begin(self) -> Foresight:
        """Return what knows nothing of a source yet."""
        return Foresight(self._forecasters)

    @property
    def absorbed(self) -> Mapping[tuple[str, int], int]:
        """Last offset taken in of published models, by topic and partition."""
        return self._fleets.absorbed

    def absorb(self, records: Sequence[Record]) -> list[tuple[Record, Rejected]]:
        """Take in published models, and return those that cannot be used."""
        return self._fleets.absorb(records)

    def of_event(
        self, source: Source, event: Reading, time: float, heard: float, record: Record, score: Score, result: Result
    ) -> Score:
        """Learn an event, publish what is foretold, and return the score with early warnings.

        Parameters
        ----------
        source, event
            Whose, and what; the source is under the policy that is in force at it.
        time, heard
            Event time, and the latest time of production including the event's, epoch seconds.
        record
            What the event came as.
        score
            What the detector said.
        result
            Takes what is to be published.

        """
        ruling = source.lifecycle.ruling
        model = self._fleets.model_for(source.name, heard)
        if not (model or ruling.values or self._settings.values == "all"):
            return score
        if ruling.windows and ruling.is_frozen(time):
            return score
        if source.foresight is None:
            source.foresight = self.begin()
        foretold = source.foresight.learn_one(self._settings, event.values, time, ruling, model)
        told = source.foresight.publication(self._settings.publish_every, source.name, time, foretold, model)
        if told is not None:
            result.outputs.append(Output(TOPIC, source.name.encode(), msgspec.json.encode(told), TYPE, record))
        signals = foretold.signals
        if model is not None and (failure := event.attributes.get(FAILURE)):
            others = [one for one in signals if one.name is not None]
            signals = (*self._failed(source, str(failure), model, record, time, result), *others)
        return msgspec.structs.replace(score, signals=(*signals, *score.signals)) if signals else score

    def _failed(
        self, source: Source, mode: str, model: Published, record: Record, time: float, result: Result
    ) -> Sequence[SignalScore]:
        """Tell models of a failure, begin the life of another machine, and end the warning of it."""
        foresight = source.foresight
        if foresight is None or foresight.machine is None:
            return ()
        life = foresight.machine.failed(source.name, mode, model, record, time)
        if life is not None:
            result.outputs.append(life)
        return (foresight.has_failed(),)
