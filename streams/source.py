"""One source of telemetry: its detector, its alerts, and how far it has been learned."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec

from alerts.lifecycle import Lifecycle
from detectors.base import Detector
from streams.peers import Learned
from streams.source_labels import WaitingLabel

FORMAT = 2
READABLE = (1, 2)
"""Format 1 knew nothing of peers, budgets and labels."""


class StateFormatError(ValueError):
    """A stored state cannot be read; the message says why and what to do."""


class _Snapshot(msgspec.Struct, array_like=True):
    """A source's state as it is written."""

    format: int
    offset: int
    newest: float
    heard: float
    event_ids: list[str]
    detector: bytes
    lifecycle: list[object]
    events: int = 1
    prior: int | None = None
    tells_peers_at: int = 0
    labels: list[WaitingLabel] = []


class Source:
    """One source: its detector, its alerts, and how far it has been learned.

    Parameters
    ----------
    name
        What its events call it.
    detector
        What scores them; a new one, unless the state is restored.
    lifecycle
        Its alerts.
    tells_peers_at
        Number of events at which its peers are told what it has learned.

    Attributes
    ----------
    offset
        Up to which it has been learned.
    newest, heard
        Latest event time, and latest time at which an event was produced.
    event_ids
        Latest event ids.
    events
        How many have been scored.
    prior
        Version of what its peers had learned when it began; ``None`` if it began from nothing.
    labels
        Labels that wait until it has reached their time.

    """

    __slots__ = (
        *("detector", "event_ids", "events", "heard", "labels", "lifecycle"),
        *("name", "newest", "offset", "prior", "tells_peers_at"),
    )

    def __init__(self, name: str, detector: Detector, lifecycle: Lifecycle, tells_peers_at: int) -> None:
        self.name, self.detector, self.lifecycle = name, detector, lifecycle
        self.offset = -1
        self.newest = float("-inf")
        self.heard = float("-inf")
        self.event_ids: list[str] = []
        self.events = 0
        self.prior: int | None = None
        self.tells_peers_at = tells_peers_at
        self.labels: list[WaitingLabel] = []

    def ids(self) -> Iterator[str]:
        """Return the ids by which a label may find something here."""
        return self.lifecycle.ids()

    def join(self, peers: Learned, make_detector: Callable[[], Detector]) -> None:
        """Begin from what the peers have learned; with a detector that fails at that, from nothing."""
        try:
            self.detector.adopt(peers.priors)
        except Exception:
            self.detector, self.prior = make_detector(), None
        else:
            self.prior = peers.version

    def snapshot(self) -> bytes:
        """Return the state."""
        return msgspec.msgpack.encode(
            _Snapshot(
                FORMAT,
                self.offset,
                self.newest,
                self.heard,
                self.event_ids,
                self.detector.snapshot(),
                self.lifecycle.snapshot(),
                self.events,
                self.prior,
                self.tells_peers_at,
                self.labels,
            )
        )

    def restore(self, state: bytes) -> None:
        """Take up a state that ``snapshot`` gave.

        Raises
        ------
        streams.source.StateFormatError
            If it is of a newer format.

        """
        snapshot = msgspec.msgpack.decode(state, type=_Snapshot)
        if snapshot.format not in READABLE:
            raise StateFormatError(
                f"the state of source {self.name!r} has format {snapshot.format}, this program reads"
                f" {READABLE[0]} to {FORMAT}: run the version that wrote it, or reset the state"
            )
        self.offset, self.newest, self.heard = snapshot.offset, snapshot.newest, snapshot.heard
        self.event_ids, self.events, self.labels = snapshot.event_ids, snapshot.events, snapshot.labels
        self.prior, self.tells_peers_at = snapshot.prior, snapshot.tells_peers_at
        self.detector.restore(snapshot.detector)
        self.lifecycle.restore(snapshot.lifecycle)
