"""What is foretold of one source: its values, when they cross their limits, and how long the machine will last."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from alerts.alert import iso
from alerts.policies import EARLY_WARNING, Ruling, ValidRange
from alerts.policy import Thresholds
from detectors.forecasts import Breach, Forecaster, time_to_breach
from detectors.score import Foreseen, SignalScore
from streams.fleet_book import Published
from streams.forecast_settings import ForecastSettings
from streams.forecasters import Forecasters
from streams.forecasts import ForecastRecord, MachineForecast, ValueForecast
from streams.machine import Machine, MachineState, Told, foreseen

REACH = 256
"""Usual gaps between events within which a breach is warned of, if nobody says otherwise."""

LOOKS = 256
"""How often within this horizon it is looked for anew."""

STEADY = 1
"""Looks before this one that must have been as sure."""

WARM_UP = 64
"""Events before the first look."""

USUAL = 1024
"""Half-life, in events, of what counts as usual."""

OF_LATE = 4
"""Half-life, in events, of where a value is now, without its noise."""

UNDER_WAY = 0.35
"""Share of the way from what is usual to the limit that lies behind a value warned of: most of what has not yet come as
far turns before it is there. Chosen on seeds 1 to 4 of `benchmarks/early_warnings.py`."""

CAME = Foreseen("limit", 1.0, 0.0, "s", 0.0, 0.0, 0.0)
FAILED = Foreseen("failure", 1.0, 0.0, "s", 0.0, 0.0, 0.0)


class Foretold(NamedTuple):
    """What is to be said after an event.

    Parameters
    ----------
    signals
        Early warnings, the surest first.
    machine
        What is foretold of the machine; ``None`` if it is none.

    """

    signals: tuple[SignalScore, ...]
    machine: Told | None


NOTHING = Foretold((), None)


class _WatchState(msgspec.Struct, array_like=True):
    forecaster: bytes
    events: int
    look_at: float
    usual: float
    level: float
    side: int
    before: list[float]
    foreseen: Foreseen | None
    kind: str | None = None


class ForesightState(msgspec.Struct, array_like=True):
    """A ``Foresight`` as it is written."""

    watches: dict[str, _WatchState]
    machine: MachineState | None
    newest: float
    published_at: float


class _Watch:
    """One value: its forecaster, and what was seen when its limits were looked at last."""

    __slots__ = ("before", "events", "forecaster", "foreseen", "level", "look_at", "side", "usual")

    def __init__(self, forecaster: Forecaster) -> None:
        self.forecaster = forecaster
        self.events = 0
        self.look_at = -math.inf
        self.usual = self.level = 0.0
        self.side = 0
        self.before = [0.0] * STEADY
        self.foreseen: Foreseen | None = None

    @property
    def sure(self) -> float:
        """Probability of which it has been sure for some looks."""
        return 0.0 if self.foreseen is None else min(*self.before, self.foreseen.probability)

    def learn_one(
        self, value: float, time: float, x: Mapping[str, float], valid: ValidRange | None, within: float | None
    ) -> None:
        self.forecaster.learn_one(value, time, x)
        self.events += 1
        adjusted = self.forecaster.adjusted
        self.usual += (adjusted - self.usual) * max(1.0 / self.events, 1.0 - 0.5 ** (1.0 / USUAL))
        self.level += (adjusted - self.level) * max(1.0 / self.events, 1.0 - 0.5 ** (1.0 / OF_LATE))
        if valid is None:
            self.foreseen = None
        elif side := valid.side(value):
            limit = valid.max if side > 0 else valid.min
            self.side, self.look_at = side, time
            self.foreseen = msgspec.structs.replace(CAME, limit=limit)
        elif self.events >= WARM_UP and time >= self.look_at and self.forecaster.gap > 0:
            horizon = max(within or REACH * self.forecaster.gap, self.forecaster.gap)
            self.look_at = time + horizon / LOOKS
            self._look(valid, horizon)

    def snapshot(self, kind: str | None) -> _WatchState:
        places = self.events, self.look_at, self.usual, self.level, self.side, self.before
        return _WatchState(self.forecaster.snapshot(), *places, self.foreseen, kind)

    def restore(self, state: _WatchState) -> None:
        self.forecaster.restore(state.forecaster)
        self.events, self.look_at = state.events, state.look_at
        self.usual, self.level = state.usual, state.level
        self.side, self.before, self.foreseen = state.side, state.before, state.foreseen

    def _look(self, valid: ValidRange, within: float) -> None:
        """See which limit is more likely to be crossed within a horizon, and when."""
        self.before = [*self.before[1:], 0.0 if self.foreseen is None else self.foreseen.probability]
        behind = UNDER_WAY if self.foreseen is None else UNDER_WAY / 2
        self.side, self.foreseen = 0, None
        for side, limit in ((1, valid.max), (-1, valid.min)):
            if limit is None or (self.level - self.usual) / (limit - self.usual) < behind:
                continue
            breach = time_to_breach(self.forecaster, limit, "above" if side > 0 else "below", within)
            if self.foreseen is None or breach.probability > self.foreseen.probability:
                self.side, self.foreseen = side, _of_breach(breach, limit, within)


class Foresight:
    """What is foretold of one source.

    Parameters
    ----------
    forecasters
        Make those of its values.

    """

    __slots__ = ("_forecasters", "_newest", "_published_at", "_watches", "machine")

    def __init__(self, forecasters: Forecasters) -> None:
        self._forecasters = forecasters
        self._watches: dict[str, _Watch] = {}
        self.machine: Machine | None = None
        self._newest = -math.inf
        self._published_at = -math.inf

    def learn_one(
        self,
        settings: ForecastSettings,
        values: Mapping[str, float],
        time: float,
        ruling: Ruling,
        model: Published | None,
    ) -> Foretold:
        """Learn an event, and return what is to be said; one that comes late, after newer ones, is passed over.

        Parameters
        ----------
        settings
            What is foretold, and when it is warned of.
        values
            The event's values.
        time
            Event time, epoch seconds.
        ruling
            What governs the source: its valid ranges are the limits.
        model
            Of the machine's life, if there is one for this source.

        """
        everything = settings.values == "all"
        wanted = {} if settings.values == "none" else ruling.values
        if not (wanted or model or everything) or time < self._newest:
            return NOTHING
        self._newest = time
        for name, value in values.items():
            if everything or name in wanted:
                watch = self._watches.get(name)
                if watch is None:
                    watch = self._watches[name] = _Watch(self._forecasters.make(name))
                watch.learn_one(value, time, values, wanted.get(name), settings.within)
        machine = self._machine(values, time, model)
        thresholds = ruling.policy.of(EARLY_WARNING)
        signals = [
            _signal(settings, watch.foreseen, watch.sure, thresholds, name, watch.side)
            for name, watch in self._watches.items()
            if watch.foreseen is not None
        ]
        # Put into words only where something is to be said.
        if machine is not None and model is not None and machine.life.soon >= settings.withdraw_below:
            signals.append(_signal(settings, foreseen(machine.life, model), machine.life.soon, thresholds))
        told = [signal for signal in signals if signal is not None]
        told.sort(key=lambda signal: (signal.p_value, -_probability(signal)))
        return Foretold(tuple(told), machine)

    def has_failed(self) -> SignalScore:
        """Begin the life of another machine, and return what ends the warning of this one's failure."""
        if self.machine is not None:
            self.machine = Machine(self.machine.condition.layout)
        return SignalScore(EARLY_WARNING, 1.0, foreseen=FAILED)

    def publication(
        self, every: float | None, source: str, time: float, told: Foretold, model: Published | None
    ) -> ForecastRecord | None:
        """Return what is foretold of the source, if it is time to publish it: ``every`` so many seconds."""
        machine = told.machine
        if every is None or not (self._watches or machine):
            return None
        if time < self._published_at + every and not (machine is not None and machine.anew):
            return None
        self._published_at = time
        values = {
            name: ValueForecast.of(watch.forecaster, watch.foreseen)
            for name, watch in sorted(self._watches.items())
            if watch.forecaster.gap > 0
        }
        life = None if machine is None or model is None else MachineForecast.of(machine.life, model)
        return ForecastRecord(source, iso(time), values, life)

    def snapshot(self) -> ForesightState | None:
        """Return the state; ``None`` while there is nothing to know."""
        if not self._watches and self.machine is None:
            return None
        watches = {name: watch.snapshot(self._forecasters.kind(name)) for name, watch in self._watches.items()}
        machine = None if self.machine is None else self.machine.snapshot()
        return ForesightState(watches, machine, self._newest, self._published_at)

    def restore(self, state: ForesightState) -> None:
        """Take up what ``snapshot`` gave, but for what forecasters of another kind have learned."""
        for name, watch in state.watches.items():
            if watch.kind == self._forecasters.kind(name):
                self._watches[name] = _Watch(self._forecasters.make(name))
                self._watches[name].restore(watch)
        self.machine = None if state.machine is None else Machine.restored(state.machine)
        self._newest, self._published_at = state.newest, state.published_at

    def _machine(self, values: Mapping[str, float], time: float, model: Published | None) -> Told | None:
        if model is None:
            return None  # its condition stays, should a model come back
        if self.machine is None:
            self.machine = Machine(model.fleet.layout)
        return self.machine.learn_one(values, time, model)


def _signal(
    settings: ForecastSettings,
    seen: Foreseen,
    sure: float,
    thresholds: Thresholds,
    name: str | None = None,
    side: int = 0,
) -> SignalScore | None:
    """Return a warning; one that has begun goes on until it is far less likely, and once it came it is over."""
    if seen.latest == 0.0:
        p_value = 1.0
    elif sure >= settings.warn_at:
        p_value = thresholds.fire_p
    elif seen.probability >= settings.withdraw_below:
        p_value = math.sqrt(thresholds.fire_p * thresholds.clear_p)
    else:
        return None
    return SignalScore(EARLY_WARNING, p_value, name, side, foreseen=seen)


def _probability(signal: SignalScore) -> float:
    return 0.0 if signal.foreseen is None else signal.foreseen.probability


def _of_breach(breach: Breach, limit: float, within: float) -> Foreseen:
    times = breach.seconds
    return Foreseen(
        *("limit", breach.probability, within, "s"),
        *(times[0.1], times[0.5], times[0.9]),
        *(limit, breach.trend_per_hour),
    )
