"""What is known to be wrong in the demo's events, to judge the alerts by.

The four segments of WaterFlow were marked once, by looking at a plot of the series beside River's own text
("3 low value moments … a small peak in the water inflow after the first 2 segments").
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

Verdict = Literal["true", "false", "unjudged"]


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of time, epoch seconds, in which a source is known to be anomalous."""

    start: float
    end: float
    what: str


def _water(start: str, end: str, what: str) -> Segment:
    first, last = (datetime.fromisoformat(time).replace(tzinfo=UTC).timestamp() for time in (start, end))
    return Segment(first, last, what)


WATER_SEGMENTS = (
    _water("2022-03-24T07:00", "2022-03-25T00:00", "first low-value moment"),
    _water("2022-03-29T06:00", "2022-03-29T18:00", "second low-value moment"),
    _water("2022-04-03T03:00", "2022-04-03T04:00", "small peak in the inflow"),
    _water("2022-04-27T12:00", "2022-04-28T04:00", "third low-value moment"),
)


@dataclass(frozen=True, slots=True)
class Marks:
    """All that is known to be wrong with a source.

    Parameters
    ----------
    segments
        When it was anomalous.
    slack
        Seconds after a segment in which an alert still counts as in it.
    complete
        Whether nothing else is wrong with it, so that an alert beside them is false.

    """

    segments: tuple[Segment, ...]
    slack: float
    complete: bool


@dataclass(slots=True)
class Truth:
    """Everything known to be wrong among the events that were produced.

    Examples
    --------
    >>> truth = Truth()
    >>> truth.mark("pump-7", [Segment(100.0, 200.0, "a leak")], slack=10.0)
    >>> truth.verdict({"stream": "telemetry", "source": "pump-7", "kind": "level", "fired_at": "1970-01-01T00:02:00Z"})
    'true'

    """

    marks: dict[str, Marks] = field(default_factory=dict)
    times: dict[str, list[float]] = field(default_factory=dict)
    transactions: int = 0
    frauds: set[str] = field(default_factory=set)
    broken: int = 0
    _fraud_times: set[tuple[str, float]] = field(default_factory=set)

    def mark(self, source: str, segments: Sequence[Segment], slack: float, *, complete: bool = True) -> None:
        """Note when a source was anomalous, in place of what was noted before."""
        self.marks[source] = Marks(tuple(segments), slack, complete)

    def note_times(self, source: str, times: list[float]) -> None:
        """Note when a source's events are, so that alerts of its silence can be judged."""
        self.times[source] = times

    def payment(self, transaction_id: str, account: str, time: float, *, fraud: bool) -> None:
        """Note a payment."""
        self.transactions += 1
        if fraud:
            self.frauds.add(transaction_id)
            self._fraud_times.add((account, time))

    def verdict(self, alert: Mapping[str, Any]) -> Verdict:
        """Say whether an alert is right to have been raised.

        It counts by the moment at which it fired: in telemetry within a marked segment, of an account with a
        fraudulent payment. A long alert that happens to reach into a segment has not found it.

        Parameters
        ----------
        alert
            A value of topic ``alerts`` that has fired.

        """
        fired, source = _seconds(alert["fired_at"]), alert["source"]
        if alert["stream"] == "transactions":
            return "true" if (source, fired) in self._fraud_times else "false"
        if alert["kind"] == "silence" and source in self.times:
            return "true" if self._stops_at(source, _seconds(alert["started_at"])) else "false"
        marks = self.marks.get(source)
        if marks is None:
            return "unjudged"
        if self._found_by(alert):
            return "true"
        return "false" if marks.complete else "unjudged"

    def judge(self, alerts: Iterable[Mapping[str, Any]]) -> Judgement:
        """Hold fired alerts against what is known."""
        verdicts: Counter[Verdict] = Counter()
        found: set[tuple[str, Segment]] = set()
        for alert in alerts:
            verdicts[self.verdict(alert)] += 1
            found.update((alert["source"], segment) for segment in self._found_by(alert))
        total = sum(len(marks.segments) for marks in self.marks.values())
        return Judgement(total, len(found), verdicts["true"], verdicts["false"], verdicts["unjudged"])

    def _found_by(self, alert: Mapping[str, Any]) -> list[Segment]:
        marks = self.marks.get(alert["source"])
        if marks is None or alert["kind"] == "silence":
            return []
        fired = _seconds(alert["fired_at"])
        return [segment for segment in marks.segments if segment.start <= fired <= segment.end + marks.slack]

    def _stops_at(self, source: str, time: float) -> bool:
        """Say whether a source's events stop for long after ``time``: three times as long as they usually do."""
        gaps = [(before, after - before) for before, after in itertools.pairwise(self.times[source])]
        usual = sorted(gap for _, gap in gaps)[len(gaps) // 2] if gaps else 0.0
        return any(before <= time < before + gap for before, gap in gaps if gap >= 3 * usual)


@dataclass(frozen=True, slots=True)
class Judgement:
    """How many known anomalies there are and were found, and how many alerts were right.

    ``unjudged`` are alerts where nobody knows: this machine does things of its own beside the demo's load.
    """

    total: int
    found: int
    true: int
    false: int
    unjudged: int


def _seconds(time: str) -> float:
    return datetime.fromisoformat(time).timestamp()
