"""Measures how often the cause of an incident is named rightly, on simulated faults whose cause is known.

    python -m benchmarks.diagnosis             75 scenarios of 15 kinds that nothing was designed on, a minute or two
    python -m benchmarks.diagnosis --learned   the same, with the graph learned from what happened before
    python -m benchmarks.diagnosis --design    those on which the diagnosis was designed

Telemetry goes through the default detector, the policy and the life of alerts as a worker runs them, and the alerts
into incidents. A scenario counts for *first* if what is named first is a true cause, for *first three* if all true
causes (of two faults, both) are named among the first three of their incidents.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np

from alerts.alert import Alert
from alerts.happening import Happening, RareMoment
from alerts.incident import Incident
from alerts.incident_settings import IncidentSettings
from alerts.incidents import Incidents
from alerts.topology import SourceRule, TopologySettings
from benchmarks.simulated_faults import DESIGNED_ON, KINDS, START, STEP, Draft, Scenario, System, readings, scenario
from detectors.registry import detector_factory
from streams.processor import Record
from streams.telemetry import TelemetryProcessor
from streams.telemetry_settings import TelemetrySettings

BATCH = 30
RARE_P = 0.001
"""p-value at or below which a score is a rare moment, from which the graph is learned."""

HISTORY, DISTURBED_EVERY = 12_000, 60
"""Steps from which a graph is learned, and of how many one begins a small disturbance somewhere."""


@dataclass(frozen=True)
class Outcome:
    """How a scenario was diagnosed."""

    kind: str
    seed: int
    causes: tuple[str, ...]
    named: tuple[tuple[str, ...], ...]
    alerts: int

    @property
    def first(self) -> bool:
        """Whether a true cause comes first in the largest incident."""
        return bool(self.named and self.named[0]) and self.named[0][0] in self.causes

    @property
    def first_three(self) -> bool:
        """Whether every true cause is among the first three of an incident."""
        return all(any(cause in names[:3] for names in self.named) for cause in self.causes)


def happenings(
    readings: Iterator[tuple[float, str, dict[str, float]]], rare_moments: bool = False
) -> Iterator[list[Happening]]:
    """Yield what a worker publishes of telemetry, a batch at a time: alerts, and rare moments from its scores."""
    settings = TelemetrySettings()
    processor = TelemetryProcessor(settings, 0, {}, detector_factory(settings.detector))
    batch: list[Record] = []
    for offset, (time, source, values) in enumerate(readings):
        value = msgspec.json.encode({"source": source, "timestamp": round(time * 1000), "values": values})
        batch.append(Record("telemetry", 0, offset, time, source.encode(), value))
        if len(batch) < BATCH:
            continue
        found: list[Happening] = []
        for output in (*processor.process(batch).outputs, *processor.tick(time).outputs):
            if output.topic == "alerts":
                found.append(Alert.model_validate_json(output.value))
            elif output.topic == "scores" and rare_moments:
                score = msgspec.json.decode(output.value)
                if score["p_value"] <= RARE_P:
                    found.append(RareMoment(score["source"], output.cause.timestamp))
        yield found
        batch = []


def declared(system: System) -> TopologySettings:
    """Return a system's graph as it would be declared."""
    rules = tuple(SourceRule(match=name, depends_on=behind) for name, behind in system.depends_on().items())
    return TopologySettings(sources=rules)


def diagnosed(given: Scenario, incidents: Incidents) -> Outcome:
    """Let a scenario happen and return what was named."""
    last: dict[str, Incident] = {}
    count = 0
    incidents.take(given.fault.changes)
    for found in happenings(given.readings()):
        count += sum(isinstance(one, Alert) and one.version == 1 and one.updated_at >= given.begins for one in found)
        last |= {incident.incident_id: incident for incident in incidents.take(found)}
    last |= {incident.incident_id: incident for incident in incidents.advance(given.begins + 1e5)}
    return Outcome(given.kind, given.seed, given.causes, named(last.values(), given), count)


def named(incidents: Iterator[Incident], given: Scenario) -> tuple[tuple[str, ...], ...]:
    """Return what the incidents of a fault name; of those that only have to do with other nodes, nothing counts."""
    affected = {given.system.names[node] for cause in given.fault.causes for node in given.system.affected(cause)}
    found = []
    for incident in incidents:
        late = [alert for alert in incident.alerts if alert.started_at >= given.begins - 6 * STEP]
        if incident.state != "merged" and any(alert.source in affected for alert in late):
            found.append((len(incident.alerts), tuple(cause.source for cause in incident.causes)))
    found.sort(key=lambda one: -one[0])
    return tuple(names for _, names in found[: max(1, len(given.causes))])


def history(system: System, seed: int) -> bytes:
    """Return the state of incidents that have learned a graph from small disturbances, with nothing declared."""
    draft = Draft(seed, 0, HISTORY, system=system)
    for begins in range(600, HISTORY - 20, DISTURBED_EVERY):
        node, at = int(draft.chance.integers(len(system.names))), begins + int(draft.chance.integers(20))
        draft.fault.own[at : at + int(draft.chance.integers(2, 6)), node] += draft.by(0.8, 2.5)
    incidents, chance = (
        Incidents(IncidentSettings(topology=TopologySettings(learn=True))),
        np.random.default_rng([seed, 2]),
    )
    start = START - STEP * (HISTORY + 1000)
    for found in happenings(readings(system, draft.fault, chance, start), rare_moments=True):
        incidents.take(found)
    return incidents.snapshot()


def measure(kinds: Sequence[str], seeds: Sequence[int], learned: bool = False) -> list[Outcome]:
    """Diagnose scenarios with the graph declared; or learned, then all of one seed have the same system."""
    outcomes = []
    for seed in seeds:
        system = System.drawn(np.random.default_rng([seed, 3])) if learned else None
        known = history(system, seed) if system else b""
        for kind in kinds:
            given = scenario(kind, seed, system)
            incidents = Incidents(
                IncidentSettings(topology=TopologySettings(learn=True) if learned else declared(given.system))
            )
            if known:
                incidents.restore(known)
            outcomes.append(diagnosed(given, incidents))
    return outcomes


def print_table(outcomes: Sequence[Outcome]) -> None:
    """Print how many causes were found, by kind."""
    by_kind: dict[str, list[Outcome]] = defaultdict(list)
    for outcome in outcomes:
        by_kind[outcome.kind].append(outcome)
        by_kind["all"].append(outcome)
    print(f"{'kind':32}{'scenarios':>10}{'first':>8}{'first three':>13}{'alerts':>8}")
    for kind, some in sorted(by_kind.items(), key=lambda one: one[0] == "all"):
        first, three = sum(one.first for one in some), sum(one.first_three for one in some)
        print(f"{kind:32}{len(some):10}{first:8}{three:13}{sum(one.alerts for one in some) / len(some):8.1f}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--design", action="store_true", help="the scenarios that the diagnosis was designed on")
    parser.add_argument("--learned", action="store_true", help="learn the graph instead of declaring it")
    parser.add_argument("--seeds", type=int, default=5, help="scenarios of each kind")
    parser.add_argument("--failures", action="store_true", help="print what was named instead")
    options = parser.parse_args()
    first = 1 if options.design else 101
    kinds = [kind for kind in (DESIGNED_ON if options.design else KINDS) if not (options.learned and kind == "cycles")]
    outcomes = measure(kinds, range(first, first + options.seeds), options.learned)
    print_table(outcomes)
    if options.failures:
        for one in outcomes:
            if not (one.first and one.first_three):
                print(one.kind, one.seed, one.causes, one.named)


if __name__ == "__main__":
    main()
