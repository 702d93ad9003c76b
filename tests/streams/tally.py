"""A small real processor, exact to check: it counts and sums the numbers of each key.

Run as a script it is a worker: `tally.py SETTINGS-JSON`.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from streams.processor import Output, Record, Result

INPUTS = ("transactions", "telemetry")
OUTPUTS = ("alerts", "dead-letters")
OVERDUE = 3.0


class Sum(msgspec.Struct, array_like=True):
    """What has been learned of one key, up to an offset."""

    offset: int = -1
    count: int = 0
    total: int = 0
    seen: float = 0.0
    overdue: bool = False


class Tally:
    """Puts out the count and sum of a key after each number, and says when a key called `mortal…` falls silent."""

    detector = "tally"

    def __init__(self, topic: str, partition: int, states: Mapping[str, bytes]) -> None:
        self.broadcasts = ("labels",) if topic == "transactions" else ()
        self._states = states
        self._sums: dict[str, Sum] = {}
        self._changed: set[str] = set()
        self._labels: dict[str, int] = {}
        for name, value in json.loads(states.get("labels", b"{}")).items():
            self._labels[name] = value

    def process(self, records: Sequence[Record]) -> Result:
        result = Result()
        for record in records:
            try:
                number = int(record.value or b"")
                key = (record.key or b"").decode()
            except ValueError:
                result.outcomes["dead_letter"] += 1
                content = json.dumps({"offset": record.offset, "size": len(record.value or b"")})
                result.outputs.append(Output("dead-letters", record.key or b"", content.encode(), "tally.dead", record))
                continue
            found = self._sum(key)
            if record.offset <= found.offset:
                result.outcomes["replayed"] += 1
                continue
            if found.overdue:
                result.outputs.append(self._say(key, "back", found, record))
            found.offset, found.seen, found.overdue = record.offset, record.timestamp, False
            found.count += 1
            found.total += number
            self._changed.add(key)
            result.outcomes["counted"] += 1
            result.outputs.append(self._say(key, "sum", found, record))
        return result

    def absorb(self, records: Sequence[Record]) -> Result:
        for record in records:
            where = f"{record.topic}/{record.partition}"
            if record.offset > self._labels.get(where, -1):
                self._labels[where] = record.offset
                self._labels["count"] = self._labels.get("count", 0) + 1
        return Result(outcomes=Counter(absorbed=len(records)))

    def absorbed(self) -> Mapping[tuple[str, int], int]:
        return {
            (name.rpartition("/")[0], int(name.rpartition("/")[2])): offset
            for name, offset in self._labels.items()
            if "/" in name
        }

    def tick(self, now: float) -> Result:
        result = Result()
        for key in set(self._sums) | set(self._states):
            if key.startswith("mortal"):
                found = self._sum(key)
                if not found.overdue and now - found.seen > OVERDUE:
                    found.overdue = True
                    self._changed.add(key)
                    cause = Record("telemetry", 0, found.offset, found.seen, key.encode(), b"")
                    result.outputs.append(self._say(key, "silent", found, cause))
        return result

    def models(self) -> int:
        return len(self._sums)

    def kept_bytes(self) -> int:
        return 0

    def put_away(self, down_to: int) -> int:
        return 0

    def changes(self) -> Iterable[tuple[str, bytes | None]]:
        changed, self._changed = self._changed, set()
        yield "labels", json.dumps(self._labels).encode()
        for key in changed:
            yield key, msgspec.msgpack.encode(self._sums[key])

    def _sum(self, key: str) -> Sum:
        if key not in self._sums:
            state = self._states.get(key)
            self._sums[key] = Sum() if state is None else msgspec.msgpack.decode(state, type=Sum)
        return self._sums[key]

    def _say(self, key: str, what: str, found: Sum, cause: Record) -> Output:
        content = {"key": key, "what": what, "count": found.count, "total": found.total}
        if self.broadcasts:
            content["labels"] = self._labels.get("count", 0)
        return Output("alerts", key.encode(), json.dumps(content).encode(), f"tally.{what}", cause)


if __name__ == "__main__":
    from streams.settings import EngineSettings
    from streams.worker import run_worker

    settings = EngineSettings.model_validate_json(sys.argv[1])
    sys.exit(run_worker(settings, Tally, INPUTS, OUTPUTS))
