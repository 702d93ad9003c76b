"""The one interface of every detector: a River estimator with what a service needs besides."""

from __future__ import annotations

import abc
import copy
from collections.abc import Mapping, Sequence
from typing import Any, Self

import msgspec
from river.base import AnomalyDetector

from detectors.score import Score


class Detector(AnomalyDetector):
    """A River anomaly detector that explains itself, keeps event time and can be put away and taken up again.

    ``score_one`` and ``learn_one`` mean what they mean in River: the first changes nothing, the second
    learns. Both take the event's time, because a detector never asks a clock. ``process_one`` does both in
    one pass and is what the service calls.
    """

    state_format: int = 1
    """Number of its snapshots' form; decisions are told with it."""

    @abc.abstractmethod
    def process_one(self, x: Mapping[str, float], t: float | None = None) -> Score:
        """Score an event, explain it, then learn from it.

        Parameters
        ----------
        x
            Values by name; finite floats. Names may appear and disappear.
        t
            Event time, epoch seconds. ``None`` counts events one second apart.

        """

    def watch_one(self, x: Mapping[str, float], t: float | None = None) -> Score:
        """Score and explain an event, and learn nothing of it but that it came.

        For times in which what happens is not normal. It costs a copy of the state.

        Parameters
        ----------
        x, t
            As for ``process_one``.

        """
        score = self.copy().process_one(x, t)
        if t is not None:
            self.arrived(t)
        return score

    def copy(self) -> Self:
        """Return another detector that has learned the same."""
        return copy.deepcopy(self)

    def arrived(self, t: float) -> None:
        """Note that an event came: after a time in which nothing is learned there is no gap."""

    def silent_after(self) -> float | None:
        """Seconds without an event after which this source counts as silent; ``None`` while unknown."""
        return None

    def prior(self) -> bytes | None:
        """What a new source of the same type may begin with; ``None`` while too young, or if never."""
        return None

    def adopt(self, priors: Sequence[bytes]) -> None:
        """Begin from what peers have learned; called before the first event. Ignores priors it cannot use."""
        return

    @abc.abstractmethod
    def snapshot(self) -> bytes:
        """Return the whole learned state in a compact, versioned, non-executable form."""

    @abc.abstractmethod
    def restore(self, state: bytes) -> None:
        """Take up a state that ``snapshot`` gave.

        Raises
        ------
        detectors.base.SnapshotError
            If the state is damaged, of another detector, or of a newer format.

        """


class SnapshotError(ValueError):
    """A snapshot cannot be restored; the message says why and what to do."""


def parts_of(state: bytes, version: int, what: str) -> list[Any]:
    """Return the parts of a MessagePack state that begins with its format's number.

    Raises
    ------
    detectors.base.SnapshotError
        If it is no such state, or of another format.

    Examples
    --------
    >>> parts_of(msgspec.msgpack.encode((2, "spike", 7)), 2, "the detector spike")
    ['spike', 7]

    """
    try:
        found, *parts = msgspec.msgpack.decode(state, type=list[Any])
    except (msgspec.DecodeError, ValueError) as error:
        raise SnapshotError(f"this is no state of {what} ({error}): reset the source's state") from error
    if not isinstance(found, int):
        raise SnapshotError(f"this is no state of {what}: reset the source's state")
    if found != version:
        raise SnapshotError(
            f"the state of {what} has format {found}, this program reads {version}: run the version that wrote it, or"
            " reset the source's state"
        )
    return parts
