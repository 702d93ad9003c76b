"""Models of remaining useful life as people publish them while the service runs, and from when on they count."""

from __future__ import annotations

import json
from bisect import bisect_left, insort
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple, Self

from pydantic import Field, model_validator

from alerts.calendars import Word
from alerts.policies import Sources
from alerts.versions import Version
from detectors.artefact import Artefact, ArtefactError
from detectors.rul import Fleet
from detectors.rul.packed import Schema, unpack
from streams.absorbed import Offsets, unread
from streams.codec import Reason, Rejected, decode
from streams.processor import Record
from streams.schemas import EventLimits
from streams.settling import counts_after

TOPIC = "artefacts"
MOST_BYTES = 900_000
LIMITS = EventLimits(max_bytes=MOST_BYTES)

KEPT_VERSIONS = 4
"""Versions of one model that are kept; a replay begins at the last checkpoint, and needs one or two."""

MOST_SOURCES = 100_000
"""Sources whose model is remembered; the others' are found again."""

WARN_WITHIN = 0.2
"""The default of how long before a failure it is warned of, in shares of the horizon."""


class ModelVersion(Version):
    """The JSON value of topic ``artefacts``: one version of a trained model, for which sources, by whom and why.

    Examples
    --------
    >>> ModelVersion(name="pumps", version=3, author="ann", at=0.0).key
    b'pumps@3'

    """

    source: Word | None = Field(None, description="Glob of the sources that it is for; without one, all")
    warn_within: float | None = Field(
        None, gt=0, description="How long before a failure it is warned of, in the model's unit of time"
    )
    model: dict[str, Any] | None = Field(
        None, description="What `tocsin train` wrote; without one, the model is withdrawn"
    )

    @model_validator(mode="after")
    def _says_for_what(self) -> Self:
        Sources(source=self.source)
        return self

    def encode(self) -> bytes:
        """Return the JSON value."""
        return self.model_dump_json(exclude_none=True).encode()


class Published(NamedTuple):
    """A model that is in use.

    Parameters
    ----------
    name, version
        Which.
    sources
        For whom.
    fleet, schema
        The model, and what it takes.
    warn_within
        How long before a failure it is warned of, in the model's unit of time.

    """

    name: str
    version: int
    sources: Sources
    fleet: Fleet
    schema: Schema
    warn_within: float

    @property
    def unit(self) -> str:
        """Unit of its times."""
        return "s" if self.schema.seconds else self.schema.time


class FleetBook:
    """Every published model, each from the moment on at which it counts.

    As with policies, a version counts for the events of a source once a record of it was produced ``SETTLING`` seconds
    later, so that a replay asks the same version as the first run did. Nothing of it is part of the state: the topic is
    compacted, and is read from its beginning at each start. A version that cannot be used is refused, and what was
    there before goes on.

    Parameters
    ----------
    key
        Secret that must have signed models, if there is one.

    Attributes
    ----------
    absorbed
        Last offset taken in, by topic and partition.

    """

    def __init__(self, key: bytes | None = None) -> None:
        self.absorbed: Offsets = {}
        self._key = key
        self._versions: dict[str, list[tuple[float, int, Published | None]]] = {}
        self._beginnings: list[float] = []
        self._found: dict[tuple[int, str], Published | None] = {}

    def absorb(self, records: Sequence[Record]) -> list[tuple[Record, Rejected]]:
        """Take in records, and return those that cannot be taken: what was before them goes on."""
        wrong = []
        for record in unread(records, self.absorbed):
            if record.value is None:
                continue  # Kafka's own deletion of a key
            version = decode(ModelVersion, record.value, LIMITS)
            if not isinstance(version, Rejected):
                try:
                    self._apply(record, version)
                except ArtefactError as error:
                    version = Rejected(Reason.OUT_OF_RANGE, f"model: {error}")
            if isinstance(version, Rejected):
                wrong.append((record, version))
        return wrong

    def model_for(self, source: str, heard: float) -> Published | None:
        """Return the model for a source, the first by name of several; ``None`` if there is none.

        Parameters
        ----------
        source
            Whose.
        heard
            Latest time at which a record of it was produced, epoch seconds.

        """
        if not self._beginnings:
            return None
        place = bisect_left(self._beginnings, heard), source
        if place not in self._found:
            if len(self._found) >= MOST_SOURCES:
                self._found.clear()
            in_force = (_in_force(versions, heard) for _, versions in sorted(self._versions.items()))
            fitting = (one for one in in_force if one is not None and one.sources.matches(source))
            self._found[place] = next(fitting, None)
        return self._found[place]

    def _apply(self, record: Record, version: ModelVersion) -> None:
        entry = counts_after(record.timestamp), record.offset, _published(version, self._key)
        versions = self._versions.setdefault(version.name, [])
        insort(versions, entry, key=lambda one: one[:2])
        del versions[:-KEPT_VERSIONS]
        self._beginnings = sorted({after for each in self._versions.values() for after, _, _ in each})
        self._found.clear()


def _in_force(versions: Sequence[tuple[float, int, Published | None]], heard: float) -> Published | None:
    return next((one for after, _, one in reversed(versions) if after < heard), None)


def _published(version: ModelVersion, key: bytes | None) -> Published | None:
    if version.model is None:
        return None
    fleet, schema = _unpacked(json.dumps(version.model), key)
    within = version.warn_within or WARN_WITHIN * schema.horizon
    return Published(version.name, version.version, Sources(source=version.source), fleet, schema, within)


@lru_cache(maxsize=8)
def _unpacked(model: str, key: bytes | None) -> tuple[Fleet, Schema]:
    """Return a model; the partitions of a worker share it."""
    return unpack(Artefact.decode(model.encode(), key))
