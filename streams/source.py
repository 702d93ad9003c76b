"""One source of telemetry: its detector, its alerts, and how far it has been learned."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec

from alerts.feedback import Feedback
from alerts.lifecycle import Lifecycle
from alerts.policies import Ruling
from detectors.base import Detector
from streams.foresight import Foresight, ForesightState
from streams.late_events import PastState, RecentPast, Scored
from streams.peers import Learned
from streams.source_labels import WaitingLabel

FORMAT = 3
READABLE = (1, 2, 3)
"""Format 1 knew nothing of peers, budgets and labels; before 3 a silence could be seen in the whole state only."""


FEEDBACK = 4
"""Place of the feedback in what a lifecycle writes."""


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
    tolerates: float | None = None
    is_silent: bool = False
    commanded: int = -1
    past: PastState | None = None
    foresight: ForesightState | None = None


class Heard(msgspec.Struct, array_like=True):
    """What a stored state says of when its source was heard, read without the rest of it.

    ``tolerates`` is the number of seconds without an event that are usual for it, ``None`` while unknown.
    """

    format: int
    offset: int
    newest: float
    heard: float
    event_ids: msgspec.Raw
    detector: msgspec.Raw
    lifecycle: msgspec.Raw
    events: int = 1
    prior: int | None = None
    tells_peers_at: int = 0
    labels: msgspec.Raw = msgspec.Raw(b"\x90")
    tolerates: float | None = None
    is_silent: bool = False


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
    make_foresight
        Makes what foretells it, into which a restored state is put.
    find_policy
        Puts it under the policy in force at a time of production; called with a restored state's.
    past
        What its detector has learned of late, for events that come late; ``None`` scores all as they come.

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
    commanded
        Offset of the last command to one of its alerts that it has taken.
    foresight
        What is foretold of it; ``None`` before the first time.
    era
        During which its policy was found; ``None`` before the first time.

    """

    __slots__ = (
        *(
            "_find_policy",
            "_make_foresight",
            "commanded",
            "detector",
            "era",
            "event_ids",
            "events",
            "foresight",
            "heard",
            "labels",
        ),
        *("lifecycle", "name", "newest", "offset", "past", "prior", "tells_peers_at"),
    )

    def __init__(
        self,
        name: str,
        detector: Detector,
        lifecycle: Lifecycle,
        tells_peers_at: int,
        make_foresight: Callable[[], Foresight],
        find_policy: Callable[[Source, float], None] | None = None,
        past: RecentPast | None = None,
    ) -> None:
        self.name, self.detector, self.lifecycle = name, detector, lifecycle
        self._make_foresight = make_foresight
        self._find_policy, self.past = find_policy, past
        self.foresight: Foresight | None = None
        self.era: object = None
        self.offset = -1
        self.newest = float("-inf")
        self.heard = float("-inf")
        self.event_ids: list[str] = []
        self.events = 0
        self.prior: int | None = None
        self.tells_peers_at = tells_peers_at
        self.labels: list[WaitingLabel] = []
        self.commanded = -1

    @property
    def is_silent(self) -> bool:
        """Whether an alert says so."""
        return self.lifecycle.is_silent

    @property
    def tolerates(self) -> float | None:
        """Seconds without an event that are usual, ``None`` while unknown."""
        silent_after = self.detector.silent_after()
        return None if silent_after is None else max(silent_after, self.lifecycle.tolerated_silence)

    def govern(self, ruling: Ruling) -> None:
        """Let another policy count from now on."""
        self.lifecycle.govern(ruling)

    def score(self, x: dict[str, float], t: float, *, frozen: bool) -> Scored:
        """Let the detector score an event and learn it, or only watch it if ``frozen``."""
        if self.past is not None:
            return self.past.score(self.detector, x, t, frozen=frozen)
        return Scored(self.detector.watch_one(x, t) if frozen else self.detector.process_one(x, t))

    def ids(self) -> Iterator[str]:
        """Return the ids by which a label may find something here."""
        yield from self.lifecycle.ids()
        for waiting in self.labels:
            yield waiting.label.id

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
                self.tolerates,
                self.is_silent,
                self.commanded,
                None if self.past is None else self.past.snapshot(),
                None if self.foresight is None else self.foresight.snapshot(),
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
        _check_format(self.name, snapshot.format)
        self.offset, self.newest, self.heard = snapshot.offset, snapshot.newest, snapshot.heard
        self.event_ids, self.events, self.labels = snapshot.event_ids, snapshot.events, snapshot.labels
        self.commanded = snapshot.commanded
        if self.past is not None and snapshot.past is not None:
            self.past.restore(snapshot.past)
        if snapshot.foresight is not None:
            self.foresight = self._make_foresight()
            self.foresight.restore(snapshot.foresight)
        self.prior, self.tells_peers_at = snapshot.prior, snapshot.tells_peers_at
        self.detector.restore(snapshot.detector)
        if self._find_policy is not None:  # before its alerts, whose budget is the policy's
            self._find_policy(self, self.heard)
        self.lifecycle.restore(snapshot.lifecycle)


def heard_of(name: str, state: bytes) -> Heard | None:
    """Return what a stored state says of when its source was heard; ``None`` if its format does not tell all of it.

    Raises
    ------
    streams.source.StateFormatError
        If it is of a newer format.

    """
    found = msgspec.msgpack.decode(state, type=Heard)
    _check_format(name, found.format)
    return found if found.format == FORMAT else None


def ids_in(name: str, state: bytes) -> set[str]:
    """Return the ids by which a label may find something in a stored state."""
    snapshot = msgspec.msgpack.decode(state, type=_Snapshot)
    _check_format(name, snapshot.format)
    found = {waiting.label.id for waiting in snapshot.labels}
    if len(snapshot.lifecycle) > FEEDBACK and snapshot.lifecycle[FEEDBACK] is not None:
        feedback = Feedback("telemetry", name)
        feedback.restore(msgspec.convert(snapshot.lifecycle[FEEDBACK], list[object]))
        found.update(feedback.ids())
    return found


def with_offset(name: str, state: bytes, offset: int) -> bytes:
    """Return a stored state as one that has learned up to another offset."""
    found: list[object] = msgspec.msgpack.decode(state)
    _check_format(name, int(str(found[0])))
    return msgspec.msgpack.encode([found[0], offset, *found[2:]])


def _check_format(name: str, found: int) -> None:
    if found not in READABLE:
        raise StateFormatError(
            f"the state of source {name!r} has format {found}, this program reads"
            f" {READABLE[0]} to {FORMAT}: run the version that wrote it, or reset the state"
        )
