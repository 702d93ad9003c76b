"""What is known to be wrong in the demo's events, to judge the alerts by.

The four segments of WaterFlow were marked once, by looking at a plot of the series beside River's own text
("3 low value moments … a small peak in the water inflow after the first 2 segments").
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of time, epoch seconds, in which a source is known to be anomalous."""

    source: str
    start: float
    end: float
    what: str

    def overlaps(self, start: float, end: float, slack: float) -> bool:
        """Say whether ``start``…``end`` touches the segment, ``slack`` seconds allowed either side."""
        return start <= self.end + slack and end >= self.start - slack


def _water(start: str, end: str, what: str) -> Segment:
    first, last = (datetime.fromisoformat(time).replace(tzinfo=UTC).timestamp() for time in (start, end))
    return Segment("water-network", first, last, what)


WATER_SEGMENTS = (
    _water("2022-03-24T07:00", "2022-03-25T00:00", "first low-value moment"),
    _water("2022-03-29T06:00", "2022-03-29T18:00", "second low-value moment"),
    _water("2022-04-03T03:00", "2022-04-03T04:00", "small peak in the inflow"),
    _water("2022-04-27T12:00", "2022-04-28T04:00", "third low-value moment"),
)


@dataclass(slots=True)
class Truth:
    """Everything known to be wrong among the events that were produced."""

    segments: list[Segment] = field(default_factory=list)
    frauds: set[str] = field(default_factory=set)
    transactions: int = 0
    times: dict[str, list[float]] = field(default_factory=dict)

    def anomalous_record(self, source: str, time: float) -> None:
        """Note a labelled record; neighbours make one segment."""
        last = self.segments[-1] if self.segments else None
        if last and last.source == source and time - last.end <= 1.0:
            self.segments[-1] = Segment(source, last.start, time, last.what)
        else:
            self.segments.append(Segment(source, time, time, "labelled anomalous"))

    def record_times(self, source: str, times: list[float]) -> None:
        """Note when a source's events are, so that alerts of its silence can be judged."""
        self.times[source] = times

    def judge(self, alerts: Iterable[Mapping[str, Any]], slack: Mapping[str, float]) -> Judgement:
        """Hold fired telemetry alerts against what is known.

        Parameters
        ----------
        alerts
            Alert values with ``source``, ``kind``, ``start`` and ``end`` in epoch seconds.
        slack
            By source, how many seconds beside a segment still count as in it.

        """
        found: set[Segment] = set()
        false = unjudged = 0
        for alert in alerts:
            hits = [
                segment
                for segment in self.segments
                if segment.source == alert["source"]
                and segment.overlaps(alert["start"], alert["end"], slack.get(segment.source, 0.0))
            ]
            found.update(hits)
            if hits:
                continue
            if alert["kind"] == "silence" and self._has_gap(alert["source"], alert["start"]):
                continue
            if any(segment.source == alert["source"] for segment in self.segments):
                false += 1
            else:
                unjudged += 1
        return Judgement(total=len(set(self.segments)), found=len(found), false=false, unjudged=unjudged)

    def _has_gap(self, source: str, start: float) -> bool:
        times = self.times.get(source, [])
        return any(before <= start < after for before, after in itertools.pairwise(times))


@dataclass(frozen=True, slots=True)
class Judgement:
    """How many known anomalies were found, and how many alerts were on sources with marks but beside them."""

    total: int
    found: int
    false: int
    unjudged: int
