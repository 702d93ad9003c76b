"""What sources of one type have learned, for those that begin: a cold start from peers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec
from pydantic import Field

from streams.settings import Settings

MAX_PRIOR_BYTES = 65_536
MAX_TYPE_LENGTH = 256


class PeerSettings(Settings):
    """How a new source begins from what others of its type have learned."""

    enabled: bool = Field(True, description="Whether new sources begin from what their peers have learned.")
    attribute: str = Field(
        "type", min_length=1, description="Attribute of an event that says of which type its source is."
    )
    after_events: int = Field(500, ge=1, description="Events after which a source has learned enough to be a peer.")
    refresh_events: int = Field(
        20_000, ge=1, description="Events after which what a peer has learned is taken from it again."
    )
    priors: int = Field(16, ge=1, le=64, description="Peers of a type that are remembered, in each partition.")
    types: int = Field(
        64, ge=1, le=256, description="Types that are remembered, in each partition; beyond it old ones go."
    )
    step: int = Field(
        4096, ge=1, description="What peers have learned takes effect at the next multiple of so many offsets."
    )

    def type_of(self, attributes: Mapping[str, Any]) -> str | None:
        """Return the type of a source, as the attributes of one of its events say.

        Examples
        --------
        >>> PeerSettings().type_of({"type": "pump"}), PeerSettings().type_of({"type": 7})
        ('pump', None)

        """
        found = attributes.get(self.attribute)
        return found if isinstance(found, str) and 0 < len(found) <= MAX_TYPE_LENGTH else None


class Prior(msgspec.Struct, array_like=True, frozen=True):
    """What one source had learned at an offset."""

    offset: int
    type: str
    source: str
    learned: bytes


class Learned(NamedTuple):
    """What the peers of a type have learned, oldest first.

    Parameters
    ----------
    version
        Offset from which this is what they have learned.
    priors
        One for each peer.

    """

    version: int
    priors: list[bytes]


class Peers:
    """The peers of one partition, by type: a bounded number of each, and of types.

    What a source contributes takes effect at the next multiple of ``step`` offsets only. Between two of them nothing
    changes, so it makes no difference in which order the sources in between are worked on.

    Parameters
    ----------
    settings
        How many are remembered, and the step.

    Examples
    --------
    >>> peers = Peers(PeerSettings(step=100))
    >>> peers.contribute(Prior(150, "pump", "pump-7", b"..."))
    >>> peers.reach(199), peers.of("pump")
    (None, None)
    >>> peers.reach(200), peers.of("pump")
    (None, Learned(version=200, priors=[b'...']))

    """

    def __init__(self, settings: PeerSettings) -> None:
        self.settings = settings
        self._types: dict[str, dict[str, Prior]] = {}
        self._waiting: list[Prior] = []
        self._gone: list[int] = []

    @property
    def offsets(self) -> list[int]:
        """Offset of each prior that is remembered; no two have the same."""
        found = [prior.offset for known in self._types.values() for prior in known.values()]
        return sorted(found + [prior.offset for prior in self._waiting])

    def end(self, offset: int) -> int:
        """Return the offset at which the next step begins."""
        return (offset // self.settings.step + 1) * self.settings.step

    def contribute(self, prior: Prior) -> None:
        """Take what a source has learned; it counts from the next step."""
        self._waiting.append(prior)

    def reach(self, offset: int) -> None:
        """Let take effect what was contributed in steps before that of ``offset``."""
        waiting, self._waiting = sorted(self._waiting, key=_offset), []
        for prior in waiting:
            if self.end(prior.offset) <= offset:
                self._remember(prior)
            else:
                self._waiting.append(prior)

    def of(self, type_: str | None) -> Learned | None:
        """Return what the sources of a type have learned, ``None`` if there are none."""
        known = self._types.get(type_) if type_ is not None and self.settings.enabled else None
        if known is None:
            return None
        newest = next(reversed(known.values())).offset
        return Learned(self.end(newest), [prior.learned for prior in known.values()])

    def gone(self) -> list[int]:
        """Return the offsets of those that have been forgotten since the last call."""
        gone, self._gone = self._gone, []
        return gone

    def _remember(self, prior: Prior) -> None:
        known = self._types.pop(prior.type, {})
        self._types[prior.type] = known
        if (before := known.pop(prior.source, None)) is not None:
            self._gone.append(before.offset)
        known[prior.source] = prior
        while len(known) > self.settings.priors:
            self._gone.append(known.pop(next(iter(known))).offset)
        while len(self._types) > self.settings.types:
            forgotten = self._types.pop(next(iter(self._types)))
            self._gone.extend(prior.offset for prior in forgotten.values())


def _offset(prior: Prior) -> int:
    return prior.offset
