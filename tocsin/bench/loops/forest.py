"""What all loops do with a record: decode it, score it with its source's forest, learn it."""

from __future__ import annotations

import json
import sys
from typing import Any, NamedTuple

from river import anomaly, preprocessing

TREES, HEIGHT = 10, 8
THRESHOLD = 0.9
"""Score of the forest above which a loop raises an alert; the forest begins to score after its first 250 events."""


class Place(NamedTuple):
    """Where a loop reads and writes."""

    servers: str
    prefix: str
    group: str

    @property
    def telemetry(self) -> str:
        """Topic of the events."""
        return self.prefix + "telemetry"

    @property
    def alerts(self) -> str:
        """Topic of the alerts."""
        return self.prefix + "alerts"

    @property
    def dead_letters(self) -> str:
        """Topic of what is no event."""
        return self.prefix + "dead-letters"


def place() -> Place:
    """Return what the command line of this program says."""
    return Place(*sys.argv[1:4])


class Forests:
    """A forest behind a scaler for each source, as River's documentation shows it.

    Examples
    --------
    >>> forests = Forests()
    >>> forests.alert(b'{"source": "pump-7", "values": {"temperature": 71.2}}') is None
    True
    >>> forests.alert(b"not JSON")
    Traceback (most recent call last):
    ...
    json.decoder.JSONDecodeError: Expecting value: line 1 column 1 (char 0)

    """

    def __init__(self) -> None:
        self._forests: dict[str, Any] = {}

    def alert(self, value: bytes) -> bytes | None:
        """Score an event and learn it, and return an alert if it is worth one.

        Raises
        ------
        ValueError
            If it is no JSON.

        """
        event = json.loads(value)
        source, readings = event["source"], event["values"]
        forest = self._forests.get(source)
        if forest is None:
            forest = self._forests[source] = preprocessing.MinMaxScaler() | anomaly.HalfSpaceTrees(
                n_trees=TREES, height=HEIGHT, seed=0
            )
        score = forest.score_one(readings)
        forest.learn_one(readings)
        if score <= THRESHOLD:
            return None
        return json.dumps({"source": source, "timestamp": event["timestamp"], "score": score}).encode()
